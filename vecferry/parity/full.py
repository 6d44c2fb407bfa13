"""The full tier: one pass over each side, digest sums per bucket, then by key.

What is held in memory does not grow with the collection: the sums of the
buckets, and the digests of the keys of some unequal buckets at a time. It
compares a collection that nobody writes to; a key that differs is read again
on both sides before it is reported.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from vecferry.digest import Sums, bucket, digest_image
from vecferry.errors import RecordError
from vecferry.mapping.names import Mapping
from vecferry.mapping.transforms import Outcome, Step, Transforms, passage
from vecferry.model import Image, Key, Point, key_bytes, parse_key
from vecferry.parity.compare import differing_fields
from vecferry.ports import Bounds, Ref, Store
from vecferry.settings import ParitySettings

_CHUNK_POINTS = 20_000
_HELD_KEYS_MAX = 200_000
_READ_KEYS = 256

Progress = Callable[[str, int], None]
"""Called with the side and the points just read."""


class MismatchKind(StrEnum):
    """How a key differs."""

    MISSING = "MISSING"
    EXTRA = "EXTRA"
    STALE = "STALE"
    DIVERGENT = "DIVERGENT"


class Mismatch(NamedTuple):
    """A key that differs, and in which fields; never what they hold."""

    kind: MismatchKind
    key: Key
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A collection on both sides.

    Attributes:
        source, target: The stores.
        mapping: How points are renamed.
        tolerances: For each vector, by its target name, that the target normalises
            or a function makes inexactly.
        transforms: What is done to the source's points before they are compared.
    """

    source: Store
    target: Store
    mapping: Mapping
    tolerances: dict[str, float] = field(default_factory=dict)
    transforms: Transforms = field(default_factory=Transforms)


@dataclass(frozen=True, slots=True)
class FullReport:
    """What the full tier found in one collection.

    Attributes:
        collection: The source's name.
        source_points, target_points: Keys that the passes returned.
        left_out: Those of the source that the transforms leave out of the target.
        source_count, target_count: What the stores' own exact counts say.
        digest: Sum of the source's digests, hexadecimal.
        unequal_buckets: How many buckets had to be compared by key.
        mismatches: By key.
    """

    collection: str
    source_points: int
    target_points: int
    source_count: int
    target_count: int
    digest: str
    unequal_buckets: int
    mismatches: tuple[Mismatch, ...]
    left_out: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether neither side holds a point: equal, and nothing was compared."""
        return not self.source_count and not self.target_count

    @property
    def is_equal(self) -> bool:
        """Whether every point is equal and the stores count what the passes saw."""
        return (
            not self.mismatches
            and self.source_points == self.source_count
            and self.target_points == self.target_count
        )


class _Side(NamedTuple):
    name: str
    store: Store
    ref: Ref
    prepare: Step
    tolerances: dict[str, float]


class _Pass:
    """One pass over a side: sums of what should be in the target, and a count of what should not."""

    def __init__(self, buckets: int) -> None:
        self.sums = Sums(buckets)
        self.left_out = 0

    def merge(self, other: "_Pass") -> None:
        self.sums.merge(other.sums)
        self.left_out += other.left_out


class FullCheck:
    """Compares one collection."""

    def __init__(
        self, pair: Pair, settings: ParitySettings, progress: Progress, threads: int = 2
    ) -> None:
        """Scan each side with so many ``threads``; tell ``progress`` what was read."""
        self._pair = pair
        self._settings = settings
        self._progress = progress
        self._threads = threads
        self._expect = passage(pair.transforms, pair.mapping)
        self._source = _Side(
            "source", pair.source, pair.mapping.source, self._expect, pair.tolerances
        )
        self._target = _Side(
            "target", pair.target, pair.mapping.target, _unchanged, pair.tolerances
        )

    def run(self) -> FullReport:
        """Compare; a store that cannot answer raises, it is never an empty side."""
        passed, found = self._pass(self._source), self._pass(self._target)
        ours, theirs = passed.sums, found.sums
        unequal = ours.unequal(theirs)
        mismatches = [
            found for group in self._groups(unequal, ours, theirs) for found in self._compare(group)
        ]
        return FullReport(
            collection=self._pair.mapping.source.name,
            source_points=ours.count + passed.left_out,
            target_points=theirs.count,
            source_count=self._pair.source.count(self._pair.mapping.source.name),
            target_count=self._pair.target.count(self._pair.mapping.target.name),
            digest=f"{ours.total:032x}",
            unequal_buckets=len(unequal),
            mismatches=tuple(mismatches),
            left_out=passed.left_out,
        )

    def _pass(self, side: _Side) -> _Pass:
        total = _Pass(self._settings.buckets)
        with ThreadPoolExecutor(self._threads, f"parity-{side.name}") as pool:
            for part in pool.map(lambda bounds: self._part(side, bounds), self._chunks(side)):
                total.merge(part)
        return total

    def _chunks(self, side: _Side) -> list[Bounds]:
        return side.store.plan_chunks(side.ref.name, _CHUNK_POINTS)

    def _part(self, side: _Side, bounds: Bounds) -> _Pass:
        part = _Pass(self._settings.buckets)
        for key, value in self._digests(side, bounds):
            if value is None:
                part.left_out += 1
            else:
                part.sums.add(key, value)
        return part

    def _digests(self, side: _Side, bounds: Bounds) -> Iterator[tuple[bytes, int | None]]:
        """Yield the digest of each key as it should be in the target; None where it should not."""
        for page in side.store.scan(side.ref, bounds):
            for point, outcome in zip(page, side.prepare(page), strict=True):
                key = key_bytes(point.key)
                yield key, _digest(key, outcome, side.tolerances)
            self._progress(side.name, len(page))

    def _groups(self, unequal: Sequence[int], ours: Sums, theirs: Sums) -> Iterator[frozenset[int]]:
        """Yield unequal buckets, so many at a time as memory may hold the keys of."""
        group: list[int] = []
        held = 0
        for at in unequal:
            keys = ours.counts[at] + theirs.counts[at]
            if group and held + keys > _HELD_KEYS_MAX:
                yield frozenset(group)
                group, held = [], 0
            group.append(at)
            held += keys
        if group:
            yield frozenset(group)

    def _compare(self, group: frozenset[int]) -> list[Mismatch]:
        ours, theirs = self._listed(self._source, group), self._listed(self._target, group)
        suspects = sorted(
            key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)
        )
        found: list[Mismatch] = []
        for start in range(0, len(suspects), _READ_KEYS):
            found += self._verify([parse_key(key) for key in suspects[start : start + _READ_KEYS]])
        return found

    def _listed(self, side: _Side, group: frozenset[int]) -> dict[bytes, int]:
        return {
            key: value
            for bounds in self._chunks(side)
            for key, value in self._digests(side, bounds)
            if value is not None and bucket(key, self._settings.buckets) in group
        }

    def _verify(self, keys: list[Key]) -> list[Mismatch]:
        """Read the keys on both sides and report what still differs."""
        mapping = self._pair.mapping
        ours = self._expected(self._pair.source.read(mapping.source, keys))
        theirs = self._pair.target.read(mapping.target, keys)
        found = []
        for key, expected, actual in zip(keys, ours, theirs, strict=True):
            if expected is None and actual is None:
                continue
            if expected is None:
                found.append(Mismatch(MismatchKind.EXTRA, key))
            elif actual is None:
                found.append(Mismatch(MismatchKind.MISSING, key))
            elif isinstance(expected, RecordError):
                found.append(Mismatch(MismatchKind.DIVERGENT, key, ("transforms",)))
            else:
                fields = self._differing(expected.image, actual.image)
                if fields:
                    found.append(Mismatch(MismatchKind.DIVERGENT, key, fields))
        return found

    def _expected(self, read: Sequence[Point | None]) -> list[Outcome]:
        outcomes = iter(self._expect([point for point in read if point is not None]))
        return [None if point is None else next(outcomes) for point in read]

    def _differing(self, expected: Image, actual: Image) -> tuple[str, ...]:
        return differing_fields(expected, actual, self._pair.tolerances)


def _unchanged(points: Sequence[Point]) -> list[Outcome]:
    return list(points)


def _digest(key: bytes, outcome: Outcome, tolerances: dict[str, float]) -> int | None:
    if outcome is None:
        return None
    if isinstance(outcome, RecordError):  # should be there and cannot: equal to nothing
        return -1
    return digest_image(key, outcome.image, tolerances)
