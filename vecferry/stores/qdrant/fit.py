"""What Qdrant would not hold of an image as it is: the code that packs points is asked."""

from collections.abc import Iterator

import numpy as np

from vecferry.errors import RecordError
from vecferry.model import Dense, Image, Key, Multi, Sparse, Vector, VectorSpec
from vecferry.ports import Fit
from vecferry.stores.identity import RESERVED, pack
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.points import Layout, native_id
from vecferry.stores.qdrant.values import fill_payload, split_payload
from vecferry.stores.qdrant.vectors import all_finite, fill_vector, from_float32
from vecferry.stores.widening import to_float32

_UNIT = 0.9e-6
"""Qdrant leaves a vector as it is where its squared length is within 1e-6 of one; a sum in
another order may differ by the rest."""


def fit_image(key: Key, image: Image, layout: Layout) -> list[Fit]:
    """Return what would not come back bit by bit."""
    found = []
    if native_id(key) != key.id:
        found.append(Fit("id", "carried", "a UUIDv5 of the key takes its place"))
    for name, vector in image.vectors.items():
        found += _fit_vector(name, vector, layout.get(name))
    found += _fit_payload(key, image.payload)
    return found


def _fit_vector(name: str, vector: Vector, spec: VectorSpec | None) -> Iterator[Fit]:
    field = f"vectors.{name}"
    if spec is None:
        yield Fit(field, "dropped", "the collection has no such vector")
        return
    try:
        data = fill_vector(wire.Vector(), vector, spec)
    except RecordError as error:
        yield Fit(field, "dropped", f"its point cannot be written: {error}")
        return
    if not all_finite([data]):
        yield Fit(field, "dropped", "its point cannot be written: it holds NaN or an infinity")
        return
    if isinstance(vector, Sparse):
        return
    if vector.dtype != spec.dtype:
        yield _fit_dtype(field, vector, spec, data)
    if spec.metric == "cosine" and spec.dtype != "uint8" and not _is_unit(vector, data):
        yield Fit(field, "lossy", "it is not of unit length: under cosine its norm is lost")


def _fit_dtype(field: str, vector: Dense | Multi, spec: VectorSpec, data: bytes) -> Fit:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is lossy
        kept = to_float32(spec.dtype, from_float32(spec.dtype, data))
    if np.array_equal(np.frombuffer(kept, "<f4"), np.frombuffer(data, "<f4")):
        return Fit(field, "widened", f"{vector.dtype} is stored as {spec.dtype}, values are kept")
    return Fit(field, "lossy", f"{vector.dtype} is rounded to {spec.dtype}")


def _is_unit(vector: Dense | Multi, data: bytes) -> bool:
    rows = np.frombuffer(data, "<f4").reshape(-1, vector.dim).astype("<f8")
    squares = (rows * rows).sum(axis=1)
    return bool(((abs(squares - 1.0) <= _UNIT) | (squares == 0.0)).all())


def _fit_payload(key: Key, payload: bytes) -> Iterator[Fit]:
    try:
        kept, carried = split_payload(payload)
        fill_payload(wire.PointStruct().payload, pack(kept, key, carried))
    except RecordError as error:
        yield Fit("payload", "dropped", f"its point cannot be written: {error}")
        return
    for name in carried:
        yield Fit(f"payload.{name}", "carried", "an integer beyond 64 bits, or nested too deep")
    for name in kept:
        if name.startswith(RESERVED):
            yield Fit(f"payload.{name}", "carried", "the name is reserved")
