"""The memory store: the whole Store protocol over dictionaries."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from vecferry.errors import ConfigError, RecordError
from vecferry.model import Collection, Dense, Image, Key, Point, Sparse, Vector, VectorSpec
from vecferry.ports import Bounds, Capabilities, Failure, Fit, Hit, Ref, Write
from vecferry.stores.memory.admit import find_id_refusal, find_refusal, find_refusals
from vecferry.stores.memory.held import (
    Database,
    Held,
    Place,
    Stored,
    parse_place,
    place_of,
    spell_place,
)
from vecferry.stores.memory.score import ASCENDING, normalised, scores

CAPABILITIES = Capabilities(
    id_types=frozenset({"int", "uuid", "str"}),
    dtypes=frozenset({"float32", "float16", "bfloat16", "int8", "uint8", "binary"}),
    metrics=frozenset({"cosine", "dot", "l2", "l1", "hamming", "jaccard"}),
    int_min=-(2**63),
    namespaces=True,
    sparse=True,
    multi=True,
    several_vectors=True,
    embedded=True,
)

_PAGE_POINTS = 1_000


class MemoryStore:
    """One client of a database in memory; every method may be called from any thread."""

    def __init__(self, database: Database, capabilities: Capabilities = CAPABILITIES) -> None:
        self.capabilities = capabilities
        self._database = database

    def version(self) -> str:
        """Return product and version."""
        return "memory 1"

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        with self._database.lock:
            return sorted(self._database.collections)

    def describe(self, name: str) -> Collection:
        """Return the schema, with the namespaces that hold points.

        Raises:
            ConfigError: There is no such collection; the nearest name is given.
        """
        with self._database.lock:
            return self._database.held(name).described()

    def create(self, collection: Collection) -> None:
        """Create an empty collection.

        Raises:
            ConfigError: It exists, or the capabilities do not allow such a schema.
        """
        names = [spec.name for spec in collection.vectors]
        if len(set(names)) < len(names) or (
            len(names) > 1 and not self._capable("several_vectors")
        ):
            raise ConfigError(f"collection {collection.name!r} cannot have the vectors {names}")
        for spec in collection.vectors:
            self._require_capable(collection.name, spec)
        with self._database.lock:
            if collection.name in self._database.collections:
                raise ConfigError(f"collection {collection.name!r} exists already")
            self._database.collections[collection.name] = Held(collection)

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        with self._database.lock:
            self._database.collections.pop(name, None)

    def count(self, name: str) -> int:
        """Return the exact number of points, all namespaces together."""
        with self._database.lock:
            return len(self._database.held(name).points)

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the order of keys after every ``points`` of them; the ends are open.

        The order runs through all namespaces, so that a namespace which is made
        later lies in one of the parts too.
        """
        with self._database.lock:
            cuts = self._database.held(name).places()[max(points, 1) :: max(points, 1)]
        edges = [None, *map(spell_place, cuts), None]
        return [Bounds("", low, high) for low, high in pairwise(edges)]

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part, 1,000 a page, each as it is when its page is made."""
        low, high = (None if edge is None else parse_place(edge) for edge in bounds[1:])
        passed = None if after is None else place_of(after.namespace, after.id)
        with self._database.lock:
            places = self._database.held(ref.name).places(low, high, passed)
        for start in range(0, len(places), _PAGE_POINTS):
            with self._database.lock:
                held = self._database.held(ref.name)
                found = [
                    _point(ref, place, held.points[place])
                    for place in places[start : start + _PAGE_POINTS]
                    if place in held.points
                ]
            if found:
                yield found

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``, None for an absent one."""
        with self._database.lock:
            points = self._database.held(ref.name).points
            places = [place_of(key.namespace, key.id) for key in keys]
            return [
                _point(ref, place, points[place]) if place in points else None for place in places
            ]

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete under one lock; return what the collection does not admit."""
        failures = []
        with self._database.lock:
            held = self._database.held(ref.name)
            for write in writes:
                reason = self._write_one(held, write)
                if reason:
                    failures.append(Failure(write.key, reason))
        return failures

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what such a collection would not hold of the image as it is."""
        found = [
            Fit(field, "dropped", f"its point cannot be written: {reason}")
            for field, reason in find_refusals(collection, self.capabilities, key, image)
        ]
        return found + [
            Fit(f"vectors.{name}", "lossy", "under cosine it becomes unit length here")
            for name, vector in image.vectors.items()
            if self._kept_vector(collection, name, vector) != vector
        ]

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first; equal scores in the order of keys.

        There is no index: every search is exact. L2 is the true distance.

        Raises:
            ConfigError: The collection has no such vector.
            RecordError: A query does not fit it.
        """
        with self._database.lock:
            held = self._database.held(ref.name)
            spec = held.schema.vector(vector)
            if spec is None:
                raise ConfigError(f"collection {ref.name!r} has no vector {vector!r}")
            found = [
                (place, held.points[place])
                for place in held.places()
                if vector in held.points[place].image.vectors
            ]
        return [_best(ref, spec, query, found, k) for query in queries]

    def close(self) -> None:
        """Do nothing: the points stay for the other stores of the same name."""

    def _write_one(self, held: Held, write: Write) -> str | None:
        key, image = write.key, write.image
        refusal = (
            find_id_refusal(held.schema, self.capabilities, key)
            if image is None
            else find_refusal(held.schema, self.capabilities, key, image)
        )
        if refusal:
            return refusal
        place = place_of(key.namespace, key.id)
        conditional = self._capable("conditional_writes") and write.version >= 0
        if conditional and held.version_at(place) > write.version:
            return None  # what is there is newer: the write is over, with nothing to do
        if image is None:
            held.remove(place)
            if conditional:
                held.deleted[place] = write.version
        else:
            held.put(place, Stored(key.id, self._kept(held.schema, image), write.version))
        return None

    def _kept(self, schema: Collection, image: Image) -> Image:
        vectors = {
            name: self._kept_vector(schema, name, vector)
            for name, vector in image.vectors.items()
            if not (isinstance(vector, Sparse) and not vector.indices)  # empty is absent
        }
        return Image(vectors, image.payload)

    def _kept_vector(self, schema: Collection, name: str, vector: Vector) -> Vector:
        if not (self.capabilities.normalises and isinstance(vector, Dense)):
            return vector
        spec = schema.vector(name)
        unit = spec is not None and spec.metric == "cosine" and vector.dtype == "float32"
        return normalised(vector) if unit else vector

    def _capable(self, name: str) -> bool:
        return bool(getattr(self.capabilities, name))

    def _require_capable(self, name: str, spec: VectorSpec) -> None:
        able = (
            (spec.kind == "dense" or self._capable(spec.kind))
            and (spec.kind == "sparse" or spec.dtype in self.capabilities.dtypes)
            and (spec.kind == "sparse" or spec.dim > 0)
            and (spec.kind != "dense" or spec.metric in self.capabilities.metrics | {None})
        )
        if not able:
            raise ConfigError(
                f"collection {name!r}: this store cannot hold vector {spec.name!r}, "
                f"{spec.kind} {spec.dtype} of {spec.dim} dimensions with metric {spec.metric}"
            )


def _point(ref: Ref, place: Place, stored: Stored) -> Point:
    return Point(Key(ref.logical, place[0], stored.id), stored.image)


def _best(
    ref: Ref, spec: VectorSpec, query: Vector, found: list[tuple[Place, Stored]], k: int
) -> list[Hit]:
    if not found:
        return []
    metric = spec.metric or "dot"
    try:
        values = scores(metric, query, [stored.image.vectors[spec.name] for _, stored in found])
    except ValueError as error:
        raise RecordError(f"a query of vector {spec.name!r} does not fit: {error}") from error
    ascending = metric in ASCENDING and spec.kind != "sparse"
    order = (values if ascending else -values).argsort(kind="stable")[:k]
    return [
        Hit(Key(ref.logical, found[at][0][0], found[at][1].id), float(values[at])) for at in order
    ]
