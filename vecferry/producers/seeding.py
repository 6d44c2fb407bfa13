"""A target that was restored from a native snapshot: which points it still lacks.

The first pass reads all of the source, as ever, but only what the target does
not hold as it should becomes a row. Chunks, windows and certificates stay what
they are: a row that a change overtakes is dropped, and a worker that dies costs
one chunk. What the target has too many is found by an extras pass afterwards.

A point that is found equal needs no row: the source's state was read after
capture began, so every later change of it has a hint, and nobody but the
applier writes to the target.
"""

from collections.abc import Sequence

from vecferry.mapping.transforms import passage
from vecferry.model import Point
from vecferry.parity.compare import differing_fields
from vecferry.parity.full import Pair
from vecferry.producers.snapshot import Select

_READ_KEYS = 256


def differing(pairs: Sequence[Pair]) -> Select:
    """Return what selects, of a page of one collection, the points that the target lacks or has otherwise."""
    known = {pair.mapping.source.name: pair for pair in pairs}

    def select(page: list[Point]) -> list[Point]:
        found: list[Point] = []
        for start in range(0, len(page), _READ_KEYS):
            group = page[start : start + _READ_KEYS]
            found += _differing(known[group[0].key.collection], group)
        return found

    return select


def _differing(pair: Pair, points: Sequence[Point]) -> list[Point]:
    expected = passage(pair.transforms, pair.mapping)(points)
    actual = pair.target.read(pair.mapping.target, [point.key for point in points])
    found = []
    for point, wanted, there in zip(points, expected, actual, strict=True):
        if wanted is None and there is None:
            continue
        if (
            not isinstance(wanted, Point)  # left out, or a dead letter: the applier sees to it
            or there is None
            or differing_fields(wanted.image, there.image, pair.tolerances)
        ):
            found.append(point)
    return found
