"""Extras: keys that the target has and the source has not, as hints.

The hint is read back from the source like any other one, so a key that was
inserted meanwhile is captured and not deleted. A target that was not empty at
the start (``allow_not_empty``) may hold points that Vecferry did not put there,
which are reported by parity and never deleted unasked: no extras there.
"""

from collections.abc import Iterator, Sequence
from threading import Event as Flag

from vecferry.log.hints import HintWriter
from vecferry.mapping.names import Mapping
from vecferry.model import Key, key_bytes
from vecferry.ports import ReadPart, ScanPart
from vecferry.record import HintKind

_CHUNK_POINTS = 50_000
_READ_KEYS = 256


def extra_keys(
    source: ReadPart, target: ScanPart, mapping: Mapping, stop: Flag
) -> Iterator[list[Key]]:
    """Yield, page by page, the keys of the target that a strong read of the source does not find.

    An error of either store ends it: nothing is concluded from half an answer.
    """
    for bounds in target.plan_chunks(mapping.target.name, _CHUNK_POINTS):
        for page in target.scan(mapping.target, bounds):
            if stop.is_set():
                return
            for start in range(0, len(page), _READ_KEYS):
                keys = [point.key for point in page[start : start + _READ_KEYS]]
                yield _absent(source, mapping, keys)


def _absent(source: ReadPart, mapping: Mapping, keys: Sequence[Key]) -> list[Key]:
    found = source.read(mapping.source, keys)
    return [key for key, point in zip(keys, found, strict=True) if point is None]


def hint_extras(keys: Iterator[list[Key]], hints: HintWriter, request: str) -> int:
    """Write a hint for each key; return how many there were."""
    count = 0
    for group in keys:
        if group:
            hints.append(HintKind.DONE, map(key_bytes, group), request=request, verb="unknown")
            count += len(group)
    return count
