"""Rules that a role can be made to leave out, one at a time, to see the harm.

Each one is applied in the role's own process before it begins.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vecferry.fold import Fold
from vecferry.model import Point
from vecferry.producers import capture
from vecferry.producers.chunks import Chunk
from vecferry.producers.readback import ReadBack, Reader
from vecferry.producers.rescan import RescanWorker
from vecferry.producers.snapshot import SnapshotWorker, Window
from vecferry.record import Event, EventKind

SKIPPED = 7
"""The point that a broken scan overlooks."""


def _terms_are_not_compared() -> None:
    def is_current(self: Fold, event: Event) -> bool:
        return True

    _set(Fold, "_is_current", is_current)


def _the_last_epoch_wins() -> None:
    whole = Fold.take

    def take(self: Any, offset: int, event: Event) -> Event | None:
        accepted = whole(self, offset, event)
        if event.kind is EventKind.EPOCH:
            self._term = event.term
        return accepted

    _set(Fold, "take", take)


def _a_window_is_its_chunk() -> None:
    whole = Fold.take
    newest: dict[tuple[int, str], int] = {}

    def take(self: Fold, offset: int, event: Event) -> Event | None:
        if event.kind is EventKind.OPEN:
            newest[id(self), event.chunk] = offset
        elif event.kind is EventKind.ROW:
            event = event._replace(opened=newest.get((id(self), event.chunk), event.opened))
        return whole(self, offset, event)

    _set(Fold, "take", take)


def _capture_does_not_look_at_claims() -> None:
    def newest_claims(records: Sequence[tuple[str, int]], prefix: str) -> Mapping[int, int]:
        return defaultdict(lambda: -1)

    _set(capture, "newest_claims", newest_claims)


def _reads_are_stale() -> None:
    whole: Callable[..., list[ReadBack]] = Reader._read_batch
    known: dict[bytes, ReadBack] = {}

    def read(self: Reader, ref: Any, group: Any) -> list[ReadBack]:
        found = whole(self, ref, group)
        stale = [known.get(each.due.key, each)._replace(due=each.due) for each in found]
        known.update((each.due.key, each) for each in found)
        return stale

    _set(Reader, "_read_batch", read)


def _the_scan_skips_a_key() -> None:
    whole = SnapshotWorker._publish_row

    def publish_row(self: SnapshotWorker, chunk: Chunk, window: Window, point: Point) -> None:
        if point.key.id != SKIPPED:
            whole(self, chunk, window, point)

    _set(SnapshotWorker, "_publish_row", publish_row)


def _extras_do_not_wait() -> None:
    _set(RescanWorker, "_has_applied", lambda *_: True)


def _set(owner: Any, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more: nothing would be broken"
    setattr(owner, name, value)


RULES: Mapping[str, Callable[[], None]] = {
    "terms are not compared": _terms_are_not_compared,
    "the last epoch wins": _the_last_epoch_wins,
    "a window is its chunk": _a_window_is_its_chunk,
    "capture does not look at claims": _capture_does_not_look_at_claims,
    "reads are stale": _reads_are_stale,
    "the scan skips a key": _the_scan_skips_a_key,
    "extras do not wait": _extras_do_not_wait,
}
"""What can be broken, by name."""
