"""Points and deletes as the rows of a Parquet file, and back."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vecferry.model import Collection, Image, Sparse, typed_id
from vecferry.ports import Write
from vecferry.stores.parquet.columns import pack_vectors, unpack_vectors

GROUP_ROWS = 1_000
"""Rows of a row group, the least that is decoded at a time."""

_KEYS = ["namespace", "id", "deleted"]


def encode_rows(schema: Collection, writes: Sequence[Write]) -> bytes:
    """Return a whole Parquet file, a row for each write.

    Columns: ``namespace``, ``id`` (typed: ``i5``, ``stext``, ``u6f9…``),
    ``deleted``, ``payload`` (canonical JSON), and those of the vectors.
    """
    payloads = [None if write.image is None else write.image.payload for write in writes]
    columns: dict[str, Any] = {
        "namespace": pa.array([write.key.namespace for write in writes], pa.string()),
        "id": pa.array([typed_id(write.key.id) for write in writes], pa.string()),
        "deleted": pa.array([write.image is None for write in writes], pa.bool_()),
        "payload": pa.array(payloads, pa.binary()).cast(pa.string()),
    }
    for spec in schema.vectors:
        vectors = [w.image.vectors.get(spec.name) if w.image else None for w in writes]
        # an empty sparse vector is an absent one
        kept = [None if isinstance(v, Sparse) and not v.indices else v for v in vectors]
        columns |= pack_vectors(spec, kept)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=GROUP_ROWS, compression="zstd")
    return sink.getvalue()


def decode_keys(data: bytes) -> Iterator[tuple[str, str, bool]]:
    """Yield each row's namespace, typed id, and whether it is a delete."""
    table = pq.ParquetFile(pa.BufferReader(data)).read(columns=_KEYS)
    yield from zip(*(table.column(name).to_pylist() for name in _KEYS), strict=True)


def decode_group(schema: Collection, data: bytes, group: int) -> list[Image]:
    """Return the images of one row group; that of a delete is empty."""
    table = pq.ParquetFile(pa.BufferReader(data)).read_row_group(group)
    payloads = table.column("payload").cast(pa.binary()).to_pylist()
    vectors = [list(unpack_vectors(spec, table)) for spec in schema.vectors]
    names = [spec.name for spec in schema.vectors]
    return [
        Image(
            {
                name: vector
                for name, column in zip(names, vectors, strict=True)
                if (vector := column[at]) is not None
            },
            payload or b"{}",
        )
        for at, payload in enumerate(payloads)
    ]
