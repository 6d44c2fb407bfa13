"""Which prefixes list a range of ids: listing has a prefix and no place to begin.

Ids come in the order of their bytes, ASCII from 1 to 127. A range is listed as
the prefixes that cover it one character below what its ends have in common.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vecferry.stores.pinecone.places import Place

_FIRST, _LAST = 1, 127


class Range(NamedTuple):
    """Ids from ``low``, included, to ``high``, excluded; None where it is open."""

    low: str | None = None
    high: str | None = None

    def holds(self, native: str) -> bool:
        """Whether an id lies in it."""
        return (self.low is None or native >= self.low) and (
            self.high is None or native < self.high
        )


def prefixes(part: Range) -> Iterator[str]:
    """Yield prefixes in ascending order whose ids together are the range and little more.

    ``""`` stands for all ids. An id that lies in the range has exactly one of them.
    """
    low, high = part
    if low is None or (high is not None and low >= high):
        if low is None:
            yield ""
        return
    shared = _shared(low, high) if high is not None else ""
    depth = len(shared)
    if len(low) == depth:  # the shorter end is where the longer one begins
        yield shared
        return
    yield low[: depth + 1]
    last = _LAST if high is None else ord(high[depth])
    for code in range(max(_FIRST, ord(low[depth]) + 1), last + 1):
        yield shared + chr(code)


def following(native: str) -> str:
    """Return the least id above this one."""
    return native + chr(_FIRST)


def cut_between(before: str, after: str) -> str:
    """Return the shortest id above ``before`` and not above ``after``."""
    return after[: len(_shared(before, after)) + 1]


def range_within(namespace: str, low: Place | None, high: Place | None) -> Range | None:
    """Return the ids of one namespace between two places; None where there are none."""
    if low is not None and namespace < low.namespace:
        return None
    if high is not None and (namespace > high.namespace or high == Place(namespace, "")):
        return None
    first = low.id if low is not None and low.namespace == namespace else ""
    last = high.id if high is not None and high.namespace == namespace else ""
    return Range(first or None, last or None)


def cut_ids(ids: Iterable[str], points: int) -> Iterator[str]:
    """Yield where ascending ids are cut: after every ``points`` of them."""
    before = ""
    for at, native in enumerate(ids):
        if at and at % points == 0:
            yield cut_between(before, native)
        before = native


def _shared(one: str, other: str) -> str:
    """Return what two texts begin with."""
    at = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        at += 1
    return one[:at]
