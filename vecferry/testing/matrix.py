"""Moving a small collection from one database to another, and holding it against its plan.

No log lies between: what is tried is that a database gives back what the plan
said that it would.
"""

import itertools
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vecferry.mapping.plan import Plan, Side, plan_mapping
from vecferry.mapping.rating import REFUSED
from vecferry.mapping.sample import Sample, try_sample
from vecferry.model import Dense, Key, Multi, Point, Sparse, Vector
from vecferry.payload import decode_payload
from vecferry.ports import Rating, Ref, Store, Write
from vecferry.settings import CollectionSettings
from vecferry.stores.widening import to_float32
from vecferry.testing.nasty import LOGICAL, Nasty, corpus, named

_TOLERANCE = 1e-6
_BATCH = 20


class Held(NamedTuple):
    """A collection in a database.

    Attributes:
        store: The database.
        ref: The collection there.
    """

    store: Store
    ref: Ref

    def points(self) -> dict[Key, Point]:
        """Return every point.

        Raises:
            AssertionError: A key came twice, or the count is another one.
        """
        chunks = self.store.plan_chunks(self.ref.name, 1_000)
        found = [
            point
            for bounds in chunks
            for page in self.store.scan(self.ref, bounds)
            for point in page
        ]
        keyed = {point.key: point for point in found}
        assert len(keyed) == len(found) == self.store.count(self.ref.name)
        return keyed

    def put(self, points: Iterator[Point]) -> dict[Key, str]:
        """Write points; return what was refused and why."""
        writes = [Write(point.key, point.image) for point in points]
        failed = [
            failure
            for at in range(0, len(writes), _BATCH)
            for failure in self.store.write(self.ref, writes[at : at + _BATCH])
        ]
        return {failure.key: failure.reason for failure in failed}

    def drop(self) -> None:
        """Remove it."""
        self.store.drop(self.ref.name)


def fill(store: Store, nasty: Nasty) -> Held:
    """Create a collection of the corpus, under a name of its own, and fill it."""
    held = Held(store, Ref(_name(store), LOGICAL))
    store.create(named(nasty, held.ref.name))
    assert held.put(iter(nasty.points)) == {}
    return held


def plan_move(source: Held, target: Store) -> Plan:
    """Plan a move of the whole collection; what would be lost is acknowledged."""
    points = tuple(source.points().values())
    side = Side(source.store.describe(source.ref.name), source.store.capabilities)
    wanted = CollectionSettings(source=source.ref.name, target=_name(target))
    plan = _tried(side, target, wanted, points)
    lost = tuple(rated.field for rated in plan.fields if rated.rating in REFUSED)
    return _tried(side, target, wanted.model_copy(update={"acknowledge": lost}), points)


def _tried(
    side: Side, target: Store, wanted: CollectionSettings, points: tuple[Point, ...]
) -> Plan:
    return try_sample(plan_mapping(side, target.capabilities, wanted), target, Sample(points))


def move(source: Held, target: Store, plan: Plan) -> Held:
    """Create the target's collection as planned and write every point.

    Raises:
        AssertionError: A point was refused that the plan has no loss for.
    """
    held = Held(target, Ref(plan.collection.name, LOGICAL))
    target.create(plan.collection)
    refused = held.put(plan.mapping.apply(point) for point in source.points().values())
    lost = {rated.field for rated in plan.fields if rated.rating in REFUSED}
    assert not refused or lost & {"id", "payload"}, refused
    return held


def mismatches(plan: Plan, ours: dict[Key, Point], theirs: dict[Key, Point]) -> list[str]:
    """Return every field that did not end as it was rated, with its key.

    Args:
        plan: With a row for each field.
        ours: What was written, as the source holds it.
        theirs: What the target gives back.
    """
    ratings: dict[str, Rating] = {rated.field: rated.rating for rated in plan.fields}
    if ours.keys() != theirs.keys() and ratings.get("id") not in REFUSED:
        return [f"{key}: only on one side" for key in ours.keys() ^ theirs.keys()]
    found = []
    for key, point in ours.items():
        other = plan.mapping.back(theirs[key])
        for name, vector in point.image.vectors.items():
            rating = ratings[f"vectors.{name}"]
            if not _agrees(rating, vector, other.image.vectors.get(name), _is_unit(plan, name)):
                found.append(f"{key}: vector {name!r} is rated {rating}")
        mine, its = decode_payload(point.image.payload), decode_payload(other.image.payload)
        for name in mine.keys() | its.keys():
            rating = ratings.get(f"payload.{name}", "exact")
            if rating not in REFUSED and _spelled(mine, name) != _spelled(its, name):
                found.append(f"{key}: payload field {name!r} is rated {rating}")
    return found


def _spelled(payload: Mapping[str, Any], name: str) -> object:
    # repr tells 1 from 1.0 and from True, and -0.0 from 0.0
    return repr(payload[name]) if name in payload else None


def _is_unit(plan: Plan, name: str) -> bool:
    """Whether a plan warns that a vector loses its norm."""
    return any(
        warning.startswith(f"vectors.{name}: the target stores") for warning in plan.warnings
    )


def _agrees(rating: Rating, ours: Vector, theirs: Vector | None, is_unit: bool) -> bool:
    if rating == "dropped":
        return theirs is None
    if theirs is None:
        return False
    if rating == "lossy":
        return True
    if isinstance(ours, Sparse) or isinstance(theirs, Sparse):
        return ours == theirs
    mine, other = _numbers(ours), _numbers(theirs)
    if is_unit:
        mine, other = mine / np.linalg.norm(mine), other / np.linalg.norm(other)
        return bool(np.abs(mine - other).max() <= _TOLERANCE)
    return ours == theirs if rating == "exact" else bool(np.array_equal(mine, other))


def _numbers(vector: Dense | Multi) -> Any:
    if vector.dtype == "binary":
        return np.frombuffer(vector.data, "u1")
    return np.frombuffer(to_float32(vector.dtype, vector.data), "<f4").astype("f8")


def _name(store: Store) -> str:
    tail = uuid.uuid4().hex[:10]
    pattern = store.capabilities.collection_name
    names = (f"{head}{tail}" for head in ("nasty_", "Nasty_", "nasty-"))
    return next(name for name in names if not pattern or re.fullmatch(pattern, name))


_COLUMNS = ("exact", "widened", "carried", "lossy", "dropped", "refused")


def table(stores: Mapping[str, Store]) -> str:
    """Return what the plans say of the corpus between every two databases, as Markdown.

    Nothing is written anywhere: the plans are made from the corpus itself.
    """
    lines = [f"| | {' | '.join(_COLUMNS)} |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for source, target in itertools.permutations(stores, 2):
        told = _told(stores[source], stores[target])
        cells = (", ".join(told[column]) or "–" for column in _COLUMNS)
        lines.append(f"| {source} → {target} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _told(source: Store, target: Store) -> dict[str, list[str]]:
    told: dict[str, dict[str, None]] = {column: {} for column in _COLUMNS}
    for nasty in corpus(source.capabilities):
        wanted = CollectionSettings(source=LOGICAL, target=_name(target))
        plan = _tried(Side(nasty.collection, source.capabilities), target, wanted, nasty.points)
        if plan.obstacles:
            told["refused"][nasty.what] = None
            continue
        for rated in plan.fields:
            if rated.rating != "exact" or not rated.field.startswith("payload."):
                told[rated.rating][_field(rated.field, nasty)] = None
    return {
        column: [field for field in fields if not _is_worse_elsewhere(field, column, told)]
        for column, fields in told.items()
    }


def _field(name: str, nasty: Nasty) -> str:
    kind, _, rest = name.partition(".")
    if kind != "vectors":
        return f"`{rest}`" if kind == "payload" else name
    spec = nasty.collection.vector(rest)
    assert spec is not None
    return f"{spec.dtype} {spec.metric}" if spec.kind == "dense" else spec.kind


def _is_worse_elsewhere(field: str, column: str, told: dict[str, dict[str, None]]) -> bool:
    later = _COLUMNS[_COLUMNS.index(column) + 1 : -1]
    return any(field in told[other] for other in later)
