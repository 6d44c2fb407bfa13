"""Vectors as Arrow columns and back, from bytes to bytes: no Python float is made."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vecferry.model import BITS, Dense, Dtype, Multi, Sparse, Vector, VectorSpec

_NUMBERS: dict[Dtype, Any] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    "uint8": pa.uint8(),
}


def pack_vectors(spec: VectorSpec, vectors: Sequence[Vector | None]) -> dict[str, Any]:
    """Return the columns of one vector by name, null where a point has none.

    Dense: a fixed-size list of numbers, or fixed-size bytes where Arrow has no
    such number (bfloat16, binary). Multi: a list of those. Sparse: two lists,
    ``NAME.indices`` (uint32) and ``NAME.values`` (float32).
    """
    name = column_name(spec)
    absent = np.array([vector is None for vector in vectors], dtype=bool)
    if spec.kind == "sparse":
        pairs = [v if isinstance(v, Sparse) else Sparse(b"", b"") for v in vectors]
        sizes = [len(pair.indices) // 4 for pair in pairs]
        indices = _numbers(pa.uint32(), b"".join(pair.indices for pair in pairs))
        values = _numbers(pa.float32(), b"".join(pair.values for pair in pairs))
        return {
            f"{name}.indices": _lists(indices, sizes, absent),
            f"{name}.values": _lists(values, sizes, absent),
        }
    if spec.kind == "multi":
        several = [v if isinstance(v, Multi) else None for v in vectors]
        rows = _rows(spec, b"".join(v.data for v in several if v is not None), None)
        return {name: _lists(rows, [v.rows if v else 0 for v in several], absent)}
    blank = b"\0" * _row_bytes(spec)
    data = b"".join(v.data if isinstance(v, Dense) else blank for v in vectors)
    return {name: _rows(spec, data, absent)}


def unpack_vectors(spec: VectorSpec, table: Any) -> Iterator[Vector | None]:
    """Yield what :func:`pack_vectors` was given, a vector for each row of the table."""
    name = column_name(spec)
    if spec.kind == "sparse":
        indices, values = (_column(table, f"{name}.{part}") for part in ("indices", "values"))
        texts = zip(_cut(indices, 4), _cut(values, 4), strict=True)
        for (first, _), (second, _), valid in _with(texts, indices):
            yield Sparse(first, second) if valid else None
        return
    column, size = _column(table, name), _row_bytes(spec)
    if spec.kind == "multi":
        for (data, rows), valid in zip(_cut(column, size), _valid(column), strict=True):
            yield Multi(spec.dtype, spec.dim, rows, data) if valid else None
        return
    data = _bytes(column, size)
    for at, valid in enumerate(_valid(column)):
        part = data[at * size : (at + 1) * size]
        yield Dense(spec.dtype, spec.dim, part) if valid else None


def column_name(spec: VectorSpec) -> str:
    """Return what a vector's column is called: ``vector``, or ``vector.NAME``."""
    return f"vector.{spec.name}" if spec.name else "vector"


def _row_bytes(spec: VectorSpec) -> int:
    return (spec.dim * BITS[spec.dtype] + 7) // 8


def _numbers(kind: Any, data: bytes) -> Any:
    count = len(data) * 8 // kind.bit_width
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data)])


def _rows(spec: VectorSpec, data: bytes, absent: npt.NDArray[np.bool_] | None) -> Any:
    size = _row_bytes(spec)
    number = _NUMBERS.get(spec.dtype)
    if number is not None:
        mask = None if absent is None else pa.array(absent)
        return pa.FixedSizeListArray.from_arrays(_numbers(number, data), spec.dim, mask=mask)
    validity = None
    if absent is not None:
        validity = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.binary(size), len(data) // size, [validity, pa.py_buffer(data)])


def _lists(values: Any, sizes: Sequence[int], absent: npt.NDArray[np.bool_]) -> Any:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype("<i4")
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(absent))


def _column(table: Any, name: str) -> Any:
    column = table.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _valid(column: Any) -> list[bool]:
    return [bool(each) for each in column.is_valid().to_numpy(zero_copy_only=False)]


def _with(texts: Any, column: Any) -> Iterator[Any]:
    for (first, second), valid in zip(texts, _valid(column), strict=True):
        yield first, second, valid


def _bytes(column: Any, size: int) -> bytes:
    """Return the raw rows of a column of fixed-size lists or bytes."""
    start, end = column.offset * size, (column.offset + len(column)) * size
    if pa.types.is_fixed_size_list(column.type):
        values = column.values
        shift = values.offset * size // column.type.list_size
        return _slice(values, start + shift, end + shift)
    return _slice(column, start, end)


def _slice(column: Any, start: int, end: int) -> bytes:
    buffer = column.buffers()[1]
    return b"" if buffer is None else buffer[start:end].to_pybytes()


def _cut(column: Any, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield the raw items of each list and their number."""
    offsets = column.offsets.to_numpy()
    items = column.values
    if pa.types.is_fixed_size_list(items.type) or pa.types.is_fixed_size_binary(items.type):
        data = _bytes(items, size)
    else:
        data = _slice(items, items.offset * size, (items.offset + len(items)) * size)
    for low, high in pairwise(offsets.tolist()):
        yield data[low * size : high * size], high - low
