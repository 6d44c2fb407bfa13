"""Columns of vectors in pgvector's binary form: bytes in, bytes out, never a Python float.

Postgres sends everything big-endian, so a whole page of a column is turned round by one
numpy call. The forms are those of pgvector's ``*_recv`` and ``*_send`` functions and of
Postgres' ``bit``.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vecferry.errors import HaltError, RecordError
from vecferry.model import BITS, Dense, Dtype, Sparse, Vector, VectorKind
from vecferry.stores.widening import to_float32

DIM_MAX = 16_000
"""Of ``vector`` and ``halfvec``, and the most entries of a ``sparsevec``."""

BITS_MAX = 83_886_080
SPARSE_DIM = 1_000_000_000
"""What a ``sparsevec`` can be at most; Vecferry's own columns are of this size."""

TYPES: Mapping[str, tuple[VectorKind, Dtype]] = {
    "vector": ("dense", "float32"),
    "halfvec": ("dense", "float16"),
    "sparsevec": ("sparse", "float32"),
    "bit": ("dense", "binary"),
}
"""What each of pgvector's types holds."""

_COMPONENT = {"vector": "u4", "halfvec": "u2"}
_HEAD = 4  # two 16-bit numbers; of a bit string, one of 32
_SPARSE_HEAD = 12


class VectorColumn(NamedTuple):
    """A column that is a vector.

    Attributes:
        name: Of the column and the vector.
        type: One of :data:`TYPES`.
        dim: Its components; 0 where the column does not say.
        not_null: Whether every row has one.
    """

    name: str
    type: str
    dim: int
    not_null: bool = False


class NoRoomError(RecordError):
    """A vector that the type cannot hold, and that can be kept beside it."""


def fit_vector(column: VectorColumn, vector: Vector) -> Vector:
    """Return the vector as the column holds it: widened to float32 where that is its type.

    Raises:
        NoRoomError: pgvector cannot hold this sparse vector.
        RecordError: It does not fit the column at all.
    """
    kind, dtype = TYPES[column.type]
    if kind == "sparse":
        if not isinstance(vector, Sparse):
            raise RecordError(f"the vector {column.name!r} is not sparse, and the column is")
        _require_room(column, vector)
        return vector
    if not isinstance(vector, Dense):
        raise RecordError(f"the vector {column.name!r} is not dense, and the column is")
    if column.dim and vector.dim != column.dim:
        raise RecordError(
            f"the vector {column.name!r} has {vector.dim} components, and the column {column.dim}"
        )
    if len(vector.data) != (vector.dim * BITS[vector.dtype] + 7) // 8:
        raise RecordError(
            f"the vector {column.name!r} has {len(vector.data)} bytes for {vector.dim} components"
        )
    if vector.dtype != dtype:
        if dtype != "float32" or vector.dtype == "binary":
            raise RecordError(f"the vector {column.name!r} is {vector.dtype}, the column {dtype}")
        vector = Dense("float32", vector.dim, to_float32(vector.dtype, vector.data))
    _require_components(column.name, vector)
    return vector


def _require_components(name: str, vector: Dense) -> None:
    if vector.dtype == "binary":
        spare = -vector.dim % 8
        if spare and vector.data[-1] & ((1 << spare) - 1):
            raise RecordError(f"the vector {name!r} has bits behind its {vector.dim} components")
        return
    if not np.isfinite(
        np.frombuffer(vector.data, "<f4" if vector.dtype == "float32" else "<f2")
    ).all():
        raise RecordError(f"the vector {name!r} holds NaN or an infinity, which no search can rank")


def _require_room(column: VectorColumn, vector: Sparse) -> None:
    indices, values = np.frombuffer(vector.indices, "<u4"), np.frombuffer(vector.values, "<f4")
    if len(indices) != len(values):
        raise RecordError(
            f"the sparse vector {column.name!r} has {len(indices)} indices for {len(values)} values"
        )
    if not np.isfinite(values).all():
        raise RecordError(f"the vector {column.name!r} holds NaN or an infinity")
    dim = column.dim or SPARSE_DIM
    if len(indices) > DIM_MAX:
        raise NoRoomError(f"it has more than {DIM_MAX} entries")
    if len(indices) and int(indices[-1]) >= dim:
        raise NoRoomError(f"it has an index beyond {dim}")
    if not values.all():
        raise NoRoomError("it has an entry that is zero")


def encode_vectors(column: VectorColumn, rows: Sequence[Vector | None]) -> list[bytes | None]:
    """Return the binary form of each vector; they have been through :func:`fit_vector`."""
    if column.type == "sparsevec":
        dim = column.dim or SPARSE_DIM
        return [
            _encode_sparse(row, dim) if isinstance(row, Sparse) and row.indices else None
            for row in rows
        ]
    given = [row for row in rows if isinstance(row, Dense)]
    if column.type == "bit":
        turned = iter([struct.pack(">i", row.dim) + row.data for row in given])
    else:
        data = _turn(b"".join(row.data for row in given), _COMPONENT[column.type])
        turned = iter(_cut(data, given))
    return [next(turned) if isinstance(row, Dense) else None for row in rows]


def _cut(data: bytes, given: Sequence[Dense]) -> list[bytes]:
    pieces, at = [], 0
    for row in given:
        size = len(row.data)
        pieces.append(struct.pack(">hh", row.dim, 0) + data[at : at + size])
        at += size
    return pieces


def _turn(data: bytes, component: str) -> bytes:
    return np.frombuffer(data, component).byteswap().tobytes()


def _encode_sparse(vector: Sparse, dim: int) -> bytes:
    head = struct.pack(">iii", dim, len(vector.indices) // 4, 0)
    return head + _turn(vector.indices + vector.values, "u4")


def decode_vectors(column: VectorColumn, cells: Sequence[bytes | None]) -> list[Vector | None]:
    """Return the vectors of a column's cells, None for a null.

    Raises:
        HaltError: These are not vectors of that type.
    """
    given = [cell for cell in cells if cell is not None]
    if column.type == "sparsevec":
        found = iter([_decode_sparse(column.name, cell) for cell in given])
    elif column.type == "bit":
        found = iter(
            [Dense("binary", int.from_bytes(cell[:_HEAD]), cell[_HEAD:]) for cell in given]
        )
    else:
        found = iter(_decode_dense(column, given))
    return [None if cell is None else next(found) for cell in cells]


def _decode_dense(column: VectorColumn, given: Sequence[bytes]) -> list[Vector | None]:
    component, dtype = _COMPONENT[column.type], TYPES[column.type][1]
    data = _turn(b"".join(cell[_HEAD:] for cell in given), component)
    found: list[Vector | None] = []
    at, width = 0, int(component[1])
    for cell in given:
        dim, size = int.from_bytes(cell[:2]), len(cell) - _HEAD
        if size != dim * width:
            raise HaltError(f"Postgres gave {size} bytes of {column.name!r} for {dim} components")
        found.append(Dense(dtype, dim, data[at : at + size]))
        at += size
    return found


def _decode_sparse(name: str, cell: bytes) -> Vector | None:
    count = int.from_bytes(cell[4:8])
    if len(cell) != _SPARSE_HEAD + 8 * count:
        raise HaltError(f"Postgres gave {len(cell)} bytes of {name!r} for {count} entries")
    if not count:
        return None  # an empty sparse vector is an absent one
    data = _turn(cell[_SPARSE_HEAD:], "u4")
    return Sparse(data[: 4 * count], data[4 * count :])
