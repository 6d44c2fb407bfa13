"""Exact scores between vectors: the truth that searches are held against."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vecferry.model import Dense, Dtype, Metric, Multi, Sparse, Vector

Floats = npt.NDArray[np.float64]

ASCENDING: frozenset[Metric] = frozenset({"l2", "l1", "hamming", "jaccard"})
"""Metrics under which the smallest score is the best."""


def as_floats(dtype: Dtype, data: bytes) -> Floats:
    """Return components as float64; a binary vector's bits become 0 and 1."""
    match dtype:
        case "bfloat16":  # the upper half of a float32
            wide = np.frombuffer(data, "<u2").astype("<u4") << 16
            return wide.view("<f4").astype(np.float64)
        case "binary":
            return np.unpackbits(np.frombuffer(data, np.uint8)).astype(np.float64)
        case _:
            spelled = {"float32": "<f4", "float16": "<f2", "int8": "i1", "uint8": "u1"}[dtype]
            return np.frombuffer(data, spelled).astype(np.float64)


def normalised(vector: Dense) -> Dense:
    """Return a float32 vector at unit length; zero stays zero."""
    values = as_floats(vector.dtype, vector.data)
    norm = float(np.sqrt(values @ values)) or 1.0
    return vector._replace(data=(values / norm).astype("<f4").tobytes())


def scores(metric: Metric, query: Vector, vectors: Sequence[Vector]) -> Floats:
    """Return the score of each vector, shape ``(n,)``: similarities, or distances (l2 is true).

    Raises:
        ValueError: The query is of another kind than the vectors.
    """
    if isinstance(query, Sparse):
        return np.array([_sparse_dot(query, vector) for vector in vectors])
    if isinstance(query, Multi):
        return np.array([_max_sim(metric, query, vector) for vector in vectors])
    rows = np.stack([_dense(vector, query) for vector in vectors])
    return _pairs(metric, as_floats(query.dtype, query.data), rows)


def _dense(vector: Vector, query: Dense) -> Floats:
    if not isinstance(vector, Dense) or vector.dim != query.dim:
        raise ValueError(f"a dense query of {query.dim} dimensions fits no such vector")
    return as_floats(vector.dtype, vector.data)


def _pairs(metric: Metric, query: Floats, rows: Floats) -> Floats:
    match metric:
        case "l2":
            result = np.sqrt(((rows - query) ** 2).sum(axis=1))
        case "l1":
            result = np.abs(rows - query).sum(axis=1)
        case "hamming":
            result = (rows != query).sum(axis=1)
        case "jaccard":
            union = np.maximum(rows, query).sum(axis=1)
            result = 1.0 - np.minimum(rows, query).sum(axis=1) / np.where(union == 0, 1, union)
        case "cosine":
            norms = np.sqrt((rows**2).sum(axis=1)) * np.sqrt(query @ query)
            result = rows @ query / np.where(norms == 0, 1, norms)
        case _:
            result = rows @ query
    return np.asarray(result, dtype=np.float64)


def _sparse_dot(query: Sparse, vector: Vector) -> float:
    if not isinstance(vector, Sparse):
        raise ValueError("a sparse query fits sparse vectors only")
    _, mine, theirs = np.intersect1d(
        np.frombuffer(query.indices, "<u4"),
        np.frombuffer(vector.indices, "<u4"),
        assume_unique=True,
        return_indices=True,
    )
    values = np.frombuffer(query.values, "<f4").astype(np.float64)
    return float(values[mine] @ np.frombuffer(vector.values, "<f4")[theirs])


def _max_sim(metric: Metric, query: Multi, vector: Vector) -> float:
    """Sum over the query's rows of the best score among the vector's (ColBERT's late interaction)."""
    if not isinstance(vector, Multi) or vector.dim != query.dim:
        raise ValueError(f"a multivector query of {query.dim} dimensions fits no such vector")
    rows = as_floats(vector.dtype, vector.data).reshape(vector.rows, -1)
    best = min if metric in ASCENDING else max
    asked = as_floats(query.dtype, query.data).reshape(query.rows, -1)
    return float(sum(best(_pairs(metric, row, rows)) for row in asked))
