"""Vectors between the model and Weaviate's messages, as float32 bytes."""

import struct
from typing import Any

import numpy as np

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Multi, Sparse, Vector, VectorSpec
from vecferry.stores.widening import to_float32

SINGLE, MULTI = 1, 2
"""``Vectors.VectorType``."""

_ROWS_HEAD = struct.Struct("<H")
"""Before a multivector's rows stands how many components each has."""


def vector_bytes(vector: Vector, spec: VectorSpec) -> bytes:
    """Return what goes over the wire.

    Raises:
        RecordError: It does not fit the class, or is not finite.
    """
    if isinstance(vector, Sparse) or isinstance(vector, Multi) != (spec.kind == "multi"):
        raise RecordError(f"vector {spec.name!r} is not {spec.kind}, as the class's is")
    # Weaviate keeps the object although it says that a vector's size is wrong: ask here
    if spec.dim and vector.dim != spec.dim:
        raise RecordError(f"vector {spec.name!r} has {vector.dim} dimensions, the class {spec.dim}")
    data = to_float32(vector.dtype, vector.data)
    rows = vector.rows if isinstance(vector, Multi) else 1
    if not data or len(data) != vector.dim * rows * 4:
        raise RecordError(f"vector {spec.name!r} holds {len(data)} bytes for {rows} x {vector.dim}")
    if not np.isfinite(np.frombuffer(data, "<f4")).all():
        raise RecordError(
            f"vector {spec.name!r} holds NaN or an infinity, which no search can rank"
        )
    return _ROWS_HEAD.pack(vector.dim) + data if isinstance(vector, Multi) else data


def fill_vector(message: Any, vector: Vector, spec: VectorSpec) -> None:
    """Write a vector into a ``Vectors``."""
    message.name = spec.name
    message.vector_bytes = vector_bytes(vector, spec)
    message.type = MULTI if spec.kind == "multi" else SINGLE


def read_vector(data: bytes, spec: VectorSpec) -> Vector:
    """Return the vector of an object.

    Raises:
        HaltError: Its size is not the one that the class was described with.
    """
    if spec.kind == "multi":
        (dim,) = _ROWS_HEAD.unpack_from(data)
        rows, rest = divmod(len(data) - _ROWS_HEAD.size, dim * 4)
        data = data[_ROWS_HEAD.size :]
    else:
        dim, rest = divmod(len(data), 4)
        rows = 1
    if rest or (spec.dim and dim != spec.dim):
        raise HaltError(
            f"vector {spec.name!r} came with {dim} components where the class has {spec.dim}: "
            "was it made anew meanwhile?"
        )
    return (
        Multi("float32", dim, rows, data) if spec.kind == "multi" else Dense("float32", dim, data)
    )
