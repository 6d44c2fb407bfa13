"""Columns of vectors on the wire: bytes in, bytes out, never a Python float."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Dtype, Sparse, Vector
from vecferry.stores.milvus.scalars import spread
from vecferry.stores.milvus.shape import VECTOR_TYPES, Column, bytes_of

_BYTES = {
    DataType.BinaryVector: "binary_vector",
    DataType.Float16Vector: "float16_vector",
    DataType.BFloat16Vector: "bfloat16_vector",
    DataType.Int8Vector: "int8_vector",
}
_ENTRY = np.dtype([("index", "<u4"), ("value", "<f4")])


def wire_bytes(column: Column, vector: Vector | None) -> bytes | None:
    """Return what a row of the column holds, None for no vector.

    Whole numbers and half floats are widened where the field is float32.

    Raises:
        RecordError: The vector does not fit the field, is missing, or has a component
            that is not finite.
    """
    if vector is None:
        if column.nullable:
            return None
        if column.type == DataType.SparseFloatVector:
            return b""
        raise RecordError(f"the point has no vector {column.name!r}, and the field needs one")
    kind, dtype = VECTOR_TYPES[column.type]
    if kind == "sparse":
        if not isinstance(vector, Sparse):
            raise RecordError(f"the vector {column.name!r} is not sparse, and the field is")
        return _interleaved(column.name, vector)
    if not isinstance(vector, Dense):
        raise RecordError(f"the vector {column.name!r} is not dense, and the field is")
    if vector.dim != column.dim:
        raise RecordError(
            f"the vector {column.name!r} has {vector.dim} components, and the field {column.dim}"
        )
    data = vector.data if vector.dtype == dtype else _widened(column, vector)
    if len(data) != bytes_of(dtype, column.dim):
        raise RecordError(
            f"the vector {column.name!r} has {len(data)} bytes for {column.dim} components"
        )
    return data


def _widened(column: Column, vector: Dense) -> bytes:
    if column.type == DataType.FloatVector and vector.dtype != "binary":
        return as_float32(vector.dtype, vector.data)
    raise RecordError(
        f"the vector {column.name!r} is {vector.dtype}, and the field "
        f"{VECTOR_TYPES[column.type][1]}"
    )


def as_float32(dtype: Dtype, data: bytes) -> bytes:
    """Return the same values as float32, exactly; not for ``binary``."""
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).astype("<u4").tobytes()
    kinds = {"float32": "<f4", "float16": "<f2", "int8": "i1", "uint8": "u1"}
    return np.frombuffer(data, kinds[dtype]).astype("<f4").tobytes()


def _interleaved(name: str, vector: Sparse) -> bytes:
    if len(vector.indices) != len(vector.values):
        raise RecordError(
            f"the sparse vector {name!r} has {len(vector.indices) // 4} indices for "
            f"{len(vector.values) // 4} values"
        )
    entries = np.empty(len(vector.indices) // 4, _ENTRY)
    entries["index"] = np.frombuffer(vector.indices, "<u4")
    entries["value"] = np.frombuffer(vector.values, "<f4")
    return entries.tobytes()


def not_finite(column: Column, rows: Sequence[bytes | None]) -> list[int]:
    """Return which rows have a NaN or an infinity; one pass over all when none has."""
    kind, dtype = VECTOR_TYPES[column.type]
    if kind == "dense" and dtype not in ("float32", "float16", "bfloat16"):
        return []
    if _finite(dtype, kind, b"".join(row for row in rows if row)):
        return []
    return [at for at, row in enumerate(rows) if row and not _finite(dtype, kind, row)]


def _finite(dtype: Dtype, kind: str, data: bytes) -> bool:
    if kind == "sparse":
        return bool(np.isfinite(np.frombuffer(data, _ENTRY)["value"]).all())
    if dtype == "bfloat16":
        return not bool(((np.frombuffer(data, "<u2") & 0x7F80) == 0x7F80).any())
    return bool(np.isfinite(np.frombuffer(data, "<f4" if dtype == "float32" else "<f2")).all())


def fill_vectors(message: Any, column: Column, rows: Sequence[bytes | None]) -> None:
    """Write the rows into a ``FieldData``; a null takes no place among them."""
    message.field_name, message.type = column.name, column.type
    if column.nullable:
        message.valid_data.extend(row is not None for row in rows)
    given = [row for row in rows if row is not None]
    vectors = message.vectors
    if column.type == DataType.SparseFloatVector:
        vectors.sparse_float_vector.contents.extend(given)
        vectors.dim = vectors.sparse_float_vector.dim = max(map(_reach, given), default=0)
        return
    vectors.dim = column.dim
    if column.type == DataType.FloatVector:
        vectors.float_vector.data = b"".join(given)
    else:
        setattr(vectors, _BYTES[column.type], b"".join(given))


def _reach(row: bytes) -> int:
    return int(np.frombuffer(row, _ENTRY)["index"].max(initial=0)) + 1 if row else 0


def read_vectors(message: Any, column: Column, rows: int) -> list[Vector | None]:
    """Return a column's vectors, one per row, None for an absent one.

    Raises:
        HaltError: The reply's bytes are not rows of this field.
    """
    kind, dtype = VECTOR_TYPES[column.type]
    if kind == "sparse":
        contents = spread(
            message.vectors.sparse_float_vector.contents, message.valid_data, rows, column.name
        )
        return [_apart(row) if row else None for row in contents]
    slot = _BYTES.get(column.type)
    data: bytes = getattr(message.vectors, slot) if slot else message.vectors.float_vector.data
    dim, size = column.dim, bytes_of(dtype, column.dim)
    if len(data) % size:
        raise HaltError(
            f"Milvus gave {len(data)} bytes of {column.name!r}, which are no rows of {size} bytes"
        )
    found: list[Vector] = [
        Dense(dtype, dim, data[at : at + size]) for at in range(0, len(data), size)
    ]
    return spread(found, message.valid_data, rows, column.name)


def _apart(row: bytes) -> Sparse:
    entries = np.frombuffer(row, _ENTRY)
    if (np.diff(entries["index"].astype("i8")) < 0).any():
        entries = entries[np.argsort(entries["index"], kind="stable")]
    return Sparse(entries["index"].tobytes(), entries["value"].tobytes())


def query_bytes(column: Column, vector: Vector) -> bytes:
    """Return a search's query vector as Milvus takes it.

    Raises:
        RecordError: It does not fit the field.
    """
    return wire_bytes(column, vector) or b""
