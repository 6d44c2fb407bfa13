"""Vectors between the model and JSON, without a loop over their components.

A float32 is spelled as the shortest decimal that reads back as the same
float32, and what is read is rounded to float32 once: the bits survive both ways.
"""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Sparse, Vector, VectorSpec
from vecferry.stores.widening import to_float32

Numbers = NDArray[np.float32]

SPARSE_VALUES_MAX = 2_048

_ROUNDED_TWICE = np.array([0x15AE43FD], "<u4").view("<f4")
"""7.038531e-26, the only float32 above zero (each was tried) that becomes another one when its
shortest decimal is read as a double first."""


def dense_values(vector: Vector, spec: VectorSpec) -> NDArray[Any]:
    """Return the components to send, shape ``(dim,)``.

    Raises:
        RecordError: It does not fit the index, is not finite, or is nothing but zeros.
    """
    if not isinstance(vector, Dense):
        raise RecordError(f"vector {spec.name!r} is not dense, as the index's is")
    if vector.dim != spec.dim:
        raise RecordError(f"vector {spec.name!r} has {vector.dim} dimensions, the index {spec.dim}")
    values = np.frombuffer(to_float32(vector.dtype, vector.data), "<f4")
    if len(values) != vector.dim:
        raise RecordError(f"vector {spec.name!r} holds {len(values)} of {vector.dim} components")
    _require_finite(values, spec)
    if not values.any():
        raise RecordError(f"vector {spec.name!r} is all zeros, which Pinecone refuses")
    return spelled_safely(values)


def sparse_values(vector: Vector, spec: VectorSpec) -> dict[str, Any]:
    """Return the ``sparseValues`` to send.

    Raises:
        RecordError: It is not sparse, not finite, empty or too long.
    """
    if not isinstance(vector, Sparse):
        raise RecordError(f"vector {spec.name!r} is not sparse, as the index's is")
    if len(vector.indices) != len(vector.values) or len(vector.values) % 4:
        raise RecordError(
            f"vector {spec.name!r} has {len(vector.indices)} bytes of indices and "
            f"{len(vector.values)} of values"
        )
    values = np.frombuffer(vector.values, "<f4")
    _require_finite(values, spec)
    if not 0 < len(values) <= SPARSE_VALUES_MAX:
        raise RecordError(
            f"vector {spec.name!r} has {len(values)} values, and Pinecone holds 1 to {SPARSE_VALUES_MAX}"
        )
    return {"indices": np.frombuffer(vector.indices, "<u4"), "values": spelled_safely(values)}


def spelled_safely(values: Numbers) -> NDArray[Any]:
    """Return the numbers as JSON should spell them.

    Every float32 but one reads back bit by bit also where the reader makes a
    double of its shortest decimal first; that one goes as a double.
    """
    return values.astype("<f8") if np.isin(np.abs(values), _ROUNDED_TWICE).any() else values


def read_dense(values: list[float], spec: VectorSpec) -> Dense:
    """Return the vector of a record.

    Raises:
        HaltError: Its size is not the one that the index was described with.
    """
    if len(values) != spec.dim:
        raise HaltError(
            f"vector {spec.name!r} came with {len(values)} components where the index has "
            f"{spec.dim}: was it made anew meanwhile?"
        )
    return Dense("float32", spec.dim, np.array(values, "<f4").tobytes())


def read_sparse(found: dict[str, Any]) -> Sparse | None:
    """Return the ``sparseValues`` of a record in ascending order; None for empty ones."""
    indices, values = np.array(found["indices"], "<u4"), np.array(found["values"], "<f4")
    if not len(indices):
        return None
    if np.any(indices[1:] <= indices[:-1]):
        order = np.argsort(indices, kind="stable")
        indices, values = indices[order], values[order]
    return Sparse(indices.tobytes(), values.tobytes())


def spell(value: Any) -> bytes:
    """Return JSON, with arrays of numbers in it."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _require_finite(values: Numbers, spec: VectorSpec) -> None:
    if not np.isfinite(values).all():
        raise RecordError(
            f"vector {spec.name!r} holds NaN or an infinity, which no search can rank"
        )
