"""What a behaviour suite needs of any store: a collection of its own, and points that fit it.

Nothing here asks for a store's name: what it can hold is in its capabilities.
"""

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vecferry.model import (
    Collection,
    Dense,
    Dtype,
    Id,
    Image,
    Key,
    Metric,
    Multi,
    Point,
    Sparse,
    Vector,
    VectorKind,
    VectorSpec,
)
from vecferry.ports import Bounds, Capabilities, Failure, Ref, Store, Write

LOGICAL = "docs"
DIM = 8


class Subject(NamedTuple):
    """A collection under test; its first vector is called ``vector``."""

    store: Store
    ref: Ref
    vector: str

    def point(self, id: Id, text: str = "", *, namespace: str = "", seed: int = 0) -> Point:
        """Return a point that fits: a vector drawn from the id and ``seed``, a small payload."""
        key = Key(LOGICAL, namespace, id)
        payload = b'{"text":"%s"}' % text.encode()
        return Point(key, Image({self.vector: dense(DIM, f"{key}{seed}")}, payload))

    def put(self, points: Iterable[Point]) -> list[Failure]:
        """Write points over whatever is there."""
        return self.store.write(self.ref, [Write(point.key, point.image) for point in points])

    def delete(self, keys: Iterable[Key]) -> list[Failure]:
        """Delete points."""
        return self.store.write(self.ref, [Write(key, None) for key in keys])

    def get(self, *keys: Key) -> list[Point | None]:
        """Read points back."""
        return self.store.read(self.ref, keys)

    def scan(self, bounds: Sequence[Bounds]) -> Counter[Key]:
        """Return how often each key came from scans of all these bounds."""
        return Counter(point.key for part in bounds for point in self.points_of(part))

    def points_of(self, part: Bounds, *, after: Key | None = None) -> Iterator[Point]:
        """Yield the points of one part."""
        for page in self.store.scan(self.ref, part, after=after):
            yield from page

    def chunks(self, points: int) -> list[Bounds]:
        """Cut the collection."""
        return self.store.plan_chunks(self.ref.name, points)


def create(
    store: Store, *specs: VectorSpec, ids: Iterable[str] = ("int", "uuid", "str")
) -> Subject:
    """Create a collection with a new name."""
    name = new_name(store.capabilities)
    store.create(Collection(name, specs, id_types=frozenset(ids), id_bytes_max=1024))
    return Subject(store, Ref(name, LOGICAL), specs[0].name)


def new_name(capabilities: Capabilities) -> str:
    """Return a collection's name that nobody has, as a database allows it."""
    drawn = uuid.uuid4().hex[:12]
    allowed = capabilities.collection_name or ".*"
    spellings = (f"conform_{drawn}", f"conform-{drawn}", f"Conform_{drawn}")
    return next(name for name in spellings if re.fullmatch(allowed, name))


def plain(capabilities: Capabilities, metric: Metric = "l2", dim: int = DIM) -> VectorSpec:
    """Return the spec of a float32 vector with the name that an only vector has there."""
    return VectorSpec(capabilities.unnamed_vector, dim=dim, metric=metric)


def kinds(capabilities: Capabilities) -> Iterator[VectorSpec]:
    """Yield a spec of every kind and type of vector that these capabilities declare."""
    name = capabilities.unnamed_vector
    for dtype in sorted(capabilities.dtypes):
        yield VectorSpec(name, "dense", dtype, 64, _metric(capabilities, dtype))
    if capabilities.sparse:
        yield VectorSpec("words", "sparse", metric="dot")
    if capabilities.multi:
        yield VectorSpec(name, "multi", "float32", DIM, "dot")


def _metric(capabilities: Capabilities, dtype: Dtype) -> Metric:
    wanted: tuple[Metric, ...] = ("hamming", "jaccard") if dtype == "binary" else ("l2", "dot")
    return next(metric for metric in wanted if metric in capabilities.metrics)


def dense(dim: int, seed: object, dtype: Dtype = "float32") -> Dense:
    """Return a dense vector that follows from the seed, with awkward values among others."""
    dice = np.random.default_rng(list(str(seed).encode()))
    values = dice.standard_normal(dim).astype("<f4")
    values[:2] = -0.0, np.float32(1e-30)
    match dtype:
        case "float32":
            return Dense(dtype, dim, values.tobytes())
        case "float16":
            return Dense(dtype, dim, values.astype("<f2").tobytes())
        case "bfloat16":
            return Dense(dtype, dim, (values.view("<u4") >> 16).astype("<u2").tobytes())
        case "binary":
            return Dense(dtype, dim, dice.bytes(dim // 8))
        case _:
            return Dense(dtype, dim, dice.bytes(dim))


def vector_of(spec: VectorSpec, seed: int) -> Vector:
    """Return a vector that fits a spec."""
    kind: VectorKind = spec.kind
    if kind == "dense":
        return dense(spec.dim, seed, spec.dtype)
    if kind == "multi":
        rows = seed % 3 + 1
        data = b"".join(dense(spec.dim, (seed, row), spec.dtype).data for row in range(rows))
        return Multi(spec.dtype, spec.dim, rows, data)
    dice = np.random.default_rng(seed)
    indices = np.sort(dice.choice(2**20, 5, replace=False)).astype("<u4")
    indices[-1] = 2**31 + seed
    values = np.abs(dice.standard_normal(5)).astype("<f4")
    return Sparse(indices.tobytes(), values.tobytes())
