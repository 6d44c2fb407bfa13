"""Trying real points of the source against the target, without writing one.

The points come from the first pages of several chunks, and go through the code
of the target's store that packs them (:class:`vecferry.ports.FitPart`), so that
the rating cannot differ from what a write does.
"""

import difflib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from vecferry.errors import ConfigError
from vecferry.mapping.plan import FieldRating, Plan
from vecferry.mapping.rating import is_worse
from vecferry.model import Collection, Point, Sparse, key_bytes
from vecferry.payload import decode_payload
from vecferry.ports import Capabilities, Fit, FitPart, Rating, Ref, ScanPart, Store
from vecferry.stores.identity import is_native

_PLACES = 8
_EVENT_BYTES = 96
"""What a record of the log adds to key, vectors and payload: names, lengths, terms, batch."""

_HASHED = "it becomes a UUIDv5 of the key (docs/target-ids.md), the original is in _vf_id"

Change = Callable[[Point], Point | None]
"""What is done to a point before the target sees it; None leaves it out."""


class Sizes(NamedTuple):
    """What a sample's points take as records of the log, in bytes.

    Attributes:
        mean: Of all.
        largest: The largest of them.
        largest_key: Its key, as text.
        payload_mean: Their payloads' mean.
    """

    mean: float
    largest: int
    largest_key: str
    payload_mean: float


class Sample(NamedTuple):
    """Points of the source, and how long reading them took.

    Attributes:
        points: From several places of the collection.
        read_points: All points of the pages that they are from.
        read_s: Seconds spent on these pages.
    """

    points: tuple[Point, ...]
    read_points: int = 0
    read_s: float = 0.0

    @property
    def points_per_s(self) -> float:
        """How fast the source gave whole pages; 0 where nothing was read."""
        return self.read_points / self.read_s if self.read_s > 0 else 0.0


class _Source(ScanPart, Protocol):
    def count(self, name: str) -> int: ...


def take_sample(store: _Source, ref: Ref, wanted: int, *, pages: int = 1) -> Sample:
    """Read up to ``wanted`` points from the beginnings of several chunks.

    Args:
        store: The source.
        ref: The collection there.
        wanted: How many points are kept; 0 reads nothing.
        pages: How many pages of each chunk are read: more measure better.
    """
    points = store.count(ref.name) if wanted else 0
    if not points:
        return Sample(())
    chunks = store.plan_chunks(ref.name, max(1, -(-points // _PLACES)))
    chosen = [chunks[len(chunks) * at // _PLACES] for at in range(_PLACES)]
    kept: list[list[Point]] = []
    read, began = 0, time.monotonic()
    for bounds in dict.fromkeys(chosen):
        with closing(_closable(store.scan(ref, bounds))) as scan:
            found = list(itertools.chain.from_iterable(itertools.islice(scan, pages)))
        read += len(found)
        kept.append(found)
    took = time.monotonic() - began
    return Sample(tuple(itertools.islice(_in_turn(kept), wanted)), read, took)


def _closable(pages: Iterator[list[Point]]) -> Any:
    return pages if hasattr(pages, "close") else (page for page in pages)


def _in_turn(lists: Sequence[list[Point]]) -> Iterator[Point]:
    # one of each place at a time, so that a small sample is from everywhere, too
    for row in itertools.zip_longest(*lists):
        yield from (point for point in row if point is not None)


def record_bytes(point: Point) -> int:
    """Return what a point takes as an IMAGE in the log, about."""
    size = _EVENT_BYTES + len(key_bytes(point.key)) + len(point.image.payload)
    for name, vector in point.image.vectors.items():
        size += 16 + len(name.encode())
        if isinstance(vector, Sparse):
            size += len(vector.indices) + len(vector.values)
        else:
            size += len(vector.data)
    return size


def measure_sizes(points: Sequence[Point]) -> Sizes:
    """Return what these points take; zeros where there are none."""
    if not points:
        return Sizes(0.0, 0, "", 0.0)
    sizes = [record_bytes(point) for point in points]
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    payloads = sum(len(point.image.payload) for point in points) / len(points)
    return Sizes(sum(sizes) / len(sizes), sizes[largest], str(points[largest].key), payloads)


def try_sample(plan: Plan, target: Store, sample: Sample, change: Change | None = None) -> Plan:
    """Return the plan with what the sample shows, its acknowledgements checked.

    A plan with obstacles is left as it is: the target could not be made.

    Raises:
        ConfigError: An acknowledgement names no field.
    """
    if plan.obstacles:
        return plan
    capabilities = target.capabilities

    def judge(collection: Collection, point: Point) -> list[Fit]:
        if isinstance(target, FitPart):
            return target.fit(collection, point.key, point.image)
        return _by_limits(point, capabilities)

    return require_known(rate_sample(plan, sample.points, (judge, capabilities), change))


def _by_limits(point: Point, capabilities: Capabilities) -> list[Fit]:
    limit, size = capabilities.payload_bytes_max, len(point.image.payload)
    if 0 < limit < size:
        return [Fit("payload", "dropped", f"the target takes payloads of {limit:,} bytes at most")]
    return []


@dataclass(slots=True)
class _Seen:
    """What the sample says of one field."""

    worst: Rating = "exact"
    reason: str = ""
    example: str = ""
    target: str = ""
    points: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, rating: Rating, reason: str, example: str) -> None:
        self.points += 1
        if is_worse(rating, self.worst):
            self.worst, self.reason, self.example = rating, reason, example


def rate_sample(
    plan: Plan,
    points: Iterable[Point],
    target: tuple[Callable[[Collection, Point], list[Fit]], Capabilities],
    change: Change | None = None,
) -> Plan:
    """Return the plan with what the points show: each field's worst rating, and an example.

    Args:
        plan: Made from the schema.
        points: Of the source.
        target: Its judgement of a point, and its capabilities.
        change: What the migration does to a point; the mapping's renaming when left out.
    """
    change = change or plan.mapping.apply
    fit, capabilities = target
    names = {theirs: ours for ours, theirs in plan.mapping.vectors}
    seen: dict[str, _Seen] = {}
    count = 0
    for original in points:
        count += 1
        point = change(original)
        if point is None:
            continue
        example = str(original.key)
        _note_payload(seen, point)
        worst = _worst_each(fit(plan.collection, point), names)
        if "id" not in worst and not is_native(point.key, capabilities):
            worst["id"] = Fit("id", "carried", _HASHED)
        for name, (_, rating, reason) in worst.items():
            seen.setdefault(name, _Seen()).add(rating, reason, example)
    rows = tuple(_merged(rated, seen.pop(rated.field, None), count) for rated in plan.fields)
    found = tuple(_new_row(name, seen[name], count) for name in sorted(seen))
    return replace(plan, fields=rows + found, sampled=count)


def _worst_each(fits: Iterable[Fit], names: dict[str, str]) -> dict[str, Fit]:
    worst: dict[str, Fit] = {}
    for each in fits:
        kind, dot, name = each.field.partition(".")
        ours = f"{kind}.{names.get(name, name)}" if dot and kind == "vectors" else each.field
        if ours not in worst or is_worse(each.rating, worst[ours].rating):
            worst[ours] = each
    return worst


def _note_payload(seen: dict[str, _Seen], point: Point) -> None:
    for name, value in decode_payload(point.image.payload).items():
        seen.setdefault(f"payload.{name}", _Seen()).kinds[_kind(value)] += 1


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case None:
            return "null"
        case list():
            return "list"
    return "object"


def _merged(rated: FieldRating, seen: _Seen | None, count: int) -> FieldRating:
    if seen is None or not seen.points:
        return rated
    share = seen.points / count
    if not is_worse(seen.worst, rated.rating):
        return rated._replace(share=share)
    return rated._replace(rating=seen.worst, reason=seen.reason, example=seen.example, share=share)


def _new_row(name: str, seen: _Seen, count: int) -> FieldRating:
    spelled = " or ".join(sorted(seen.kinds))
    target = {"carried": "_vf_x", "dropped": "-"}.get(seen.worst, spelled)
    share = seen.points / count
    return FieldRating(name, seen.worst, spelled, target, seen.reason, seen.example, share)


def require_known(plan: Plan) -> Plan:
    """Check that every acknowledgement names a field of the plan.

    A payload field that no sampled point has is believed where no other one has
    nearly its name: it may be rare.

    Returns:
        The plan, with a warning for each payload field that the sample has not shown.

    Raises:
        ConfigError: A name is unknown; the nearest is given.
    """
    known = [rated.field for rated in plan.fields]
    warned = []
    for name in plan.acknowledged:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        if near or not name.startswith("payload."):
            near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"the nearest is {near[0]!r}" if near else "there is no field at all"
            raise ConfigError(
                f"collections.acknowledge of {plan.source.name!r} names {name!r}, which is no field "
                f"of the plan: {hint}"
            )
        warned.append(
            f"{name} is acknowledged, and none of {plan.sampled} sampled points has it: raise "
            f"sample in [plan] to see it"
        )
    return replace(plan, warnings=(*plan.warnings, *warned))
