"""Vectors between the model and Qdrant's messages, as bytes.

On the wire every component is a float32, whatever a collection stores. A
collection of float16 or uint8 gives back float32 values that those types hold
exactly, so narrowing them again loses nothing.

Servers from 1.16 answer with ``dense``, ``sparse`` or ``multi_dense``, older ones
with the flat ``data``, ``indices`` and ``vectors_count``: both are read. What is
written is the former, which every server from 1.13 on accepts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecferry.errors import HaltError, RecordError
from vecferry.model import BITS, Dense, Dtype, Multi, Sparse, Vector, VectorKind, VectorSpec
from vecferry.stores.widening import to_float32

_NUMPY: Mapping[Dtype, str] = {"float16": "<f2", "int8": "i1", "uint8": "u1"}
_KINDS: Mapping[type, VectorKind] = {Dense: "dense", Sparse: "sparse", Multi: "multi"}


def from_float32(dtype: Dtype, data: bytes) -> bytes:
    """Return float32 components in the type that the collection stores them in."""
    if dtype == "float32":
        return data
    return np.frombuffer(data, "<f4").astype(_NUMPY[dtype]).tobytes()


def fill_vector(message: Any, vector: Vector, spec: VectorSpec) -> bytes:
    """Write a vector into a ``Vector`` or ``VectorInput``; return its float32 bytes.

    Raises:
        RecordError: Its kind or shape is not the one that the collection has.
    """
    _require_shape(vector, spec)
    if isinstance(vector, Dense):
        data = message.dense.data = to_float32(vector.dtype, vector.data)
        return data
    if isinstance(vector, Sparse):
        message.sparse.values = vector.values
        message.sparse.indices.extend(np.frombuffer(vector.indices, "<u4").tolist())
        return vector.values
    data = to_float32(vector.dtype, vector.data)
    width = vector.dim * 4
    for start in range(0, len(data), width):
        message.multi_dense.vectors.add().data = data[start : start + width]
    return data


def _require_shape(vector: Vector, spec: VectorSpec) -> None:
    kind = _KINDS[type(vector)]
    if kind != spec.kind:
        raise RecordError(f"vector {spec.name!r} is {kind}, the collection's is {spec.kind}")
    if isinstance(vector, Sparse):
        if len(vector.indices) != len(vector.values) or len(vector.values) % 4:
            raise RecordError(
                f"vector {spec.name!r} has {len(vector.indices)} bytes of indices and "
                f"{len(vector.values)} of values"
            )
        return
    if vector.dim != spec.dim:
        raise RecordError(
            f"vector {spec.name!r} has {vector.dim} dimensions, the collection {spec.dim}"
        )
    rows = vector.rows if isinstance(vector, Multi) else 1
    if len(vector.data) * 8 != vector.dim * BITS[vector.dtype] * rows:
        raise RecordError(
            f"vector {spec.name!r} holds {len(vector.data)} bytes for "
            f"{rows} x {vector.dim} {vector.dtype}"
        )


def read_vector(message: Any, spec: VectorSpec) -> Vector | None:
    """Return a ``VectorOutput``, or None for an empty sparse vector.

    Raises:
        HaltError: Its size is not the one that the collection was described with.
    """
    if spec.kind == "dense":
        data = message.dense.data or message.data
        if len(data) != spec.dim * 4:
            raise _changed(spec, len(data))
        return Dense(spec.dtype, spec.dim, from_float32(spec.dtype, data))
    if spec.kind == "sparse":
        return _read_sparse(message)
    return _read_multi(message, spec)


def _read_sparse(message: Any) -> Sparse | None:
    indices = np.array(message.sparse.indices or message.indices.data, "<u4")
    values = message.sparse.values or message.data
    if not len(indices):
        return None
    if np.any(indices[1:] <= indices[:-1]):
        order = np.argsort(indices, kind="stable")
        indices, values = indices[order], np.frombuffer(values, "<f4")[order].tobytes()
    return Sparse(indices.tobytes(), values)


def _read_multi(message: Any, spec: VectorSpec) -> Multi:
    rows: Sequence[Any] = message.multi_dense.vectors
    if rows:
        data, count = b"".join([row.data for row in rows]), len(rows)
    else:
        data, count = message.data, message.vectors_count
    if len(data) != spec.dim * 4 * count:
        raise _changed(spec, len(data))
    return Multi(spec.dtype, spec.dim, count, from_float32(spec.dtype, data))


def _changed(spec: VectorSpec, size: int) -> HaltError:
    return HaltError(
        f"vector {spec.name!r} came with {size} bytes where the collection has "
        f"{spec.dim} dimensions: was it made anew meanwhile?"
    )


def all_finite(parts: Sequence[bytes]) -> bool:
    """Whether no float32 in these bytes is NaN or infinite; one pass over all."""
    joined: NDArray[np.float32] = np.frombuffer(b"".join(parts), "<f4")
    return bool(np.isfinite(joined).all())
