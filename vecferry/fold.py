"""The fold: what one partition of ``events`` means, record by record.

Applying, verifying, replaying and rewinding are this fold with another sink.
It is pure: no I/O, no clock. Its rules, in offset order:

- EPOCH: the current term is the highest seen.
- IMAGE, DELETE, BEAT: dropped unless their term is the current one. An image or
  a delete is then the state of its key, and the key is live at that offset.
- OPEN at ``o``: window ``o`` is open; windows are independent of each other.
- ROW of window ``o``: dropped unless ``o`` is open and its key has had no
  accepted IMAGE or DELETE after ``o``; else it is the state of its key.
- CLOSE of window ``o`` closes it; ``window_offsets`` after its OPEN it lapses.
- END(m) ends the direction; RESUME(n) voids every END(m ≤ n), before or after it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from vecferry.errors import HaltError
from vecferry.record import Event, EventKind

_ROW = EventKind.ROW
_IMAGE = EventKind.IMAGE
_DELETE = EventKind.DELETE
_TOKEN = re.compile(r"[\w-]{1,64}", re.ASCII)
_METADATA = re.compile(
    r"v1:([0-9]{1,19}):(-1|[0-9]{1,19}):(-1|[0-9]{1,19}):(-1|[0-9]{1,19}):([cu])"
    r":(-1|[0-9]{1,19}):([\w-]*)"
)

_MARKS_MAX = 65_536
"""More markers than a reader's span holds; only a reader that never asks for a checkpoint has more."""


class Checkpoint(NamedTuple):
    """From where a restarted reader folds again, and what the fold knew there.

    Attributes:
        offset: The next offset to take.
        term: The current term at ``offset``, -1 before the first EPOCH.
        resume: The highest RESUME that was seen, -1 for none.
        ended: The highest END that is not voided, -1 for none.
    """

    offset: int
    term: int = -1
    resume: int = -1
    ended: int = -1


class _Mark(NamedTuple):
    """What the fold remembered from ``offset`` on, until the next mark."""

    offset: int
    term: int
    resume: int
    ended: int
    windows: tuple[tuple[int, int], ...]


_offset_of = attrgetter("offset")


def has_lapsed(opened: int, offset: int, window_offsets: int) -> bool:
    """Tell whether the window opened at ``opened`` is over at ``offset`` without a CLOSE.

    A snapshot worker asks this of each acknowledged CLOSE: where it is true the
    chunk has no certificate.
    """
    return offset - opened >= window_offsets


class Fold:
    """The fold of one partition, from a checkpoint or from the partition's start.

    What it remembers is bounded by ``window_offsets``: the term, the open
    windows, and the last live offset of the keys that were touched since the
    oldest open window.
    """

    def __init__(self, window_offsets: int, checkpoint: Checkpoint | None = None) -> None:
        start = checkpoint or Checkpoint(0)
        self._window_offsets = window_offsets
        self._next = start.offset
        self._term = start.term
        self._resume = start.resume
        self._ended = start.ended
        self._windows: dict[int, int] = {}  # opened -> the term there, oldest first
        self._live: dict[bytes, int] = {}  # key -> its last live offset, oldest first
        self._marks: list[_Mark] = []
        self._mark(start.offset)

    @property
    def ended(self) -> int | None:
        """The term of the highest END that is not voided, or None."""
        return None if self._ended < 0 else self._ended

    @property
    def term(self) -> int:
        """The current term, -1 before the first EPOCH."""
        return self._term

    def take(self, offset: int, event: Event) -> Event | None:
        """Take the next record of the partition.

        Returns:
            The event, if it now is the state of its key (IMAGE, ROW, DELETE) or
            is an accepted BEAT or END; None when it is dropped or a marker.

        Raises:
            HaltError: ``offset`` was taken before: the reader went back without
                a new fold, and what it reads again cannot be judged.
        """
        if offset < self._next:
            raise HaltError(
                f"offset {offset} came after {self._next - 1}: a reader that goes back must fold from a checkpoint"
            )
        self._next = offset + 1
        kind = event.kind
        if kind is _ROW:
            opened = event.opened
            if opened not in self._windows or offset - opened >= self._window_offsets:
                return None
            return event if self._live.get(event.key, -1) < opened else None
        if kind is _IMAGE or kind is _DELETE:
            if not self._is_current(event):
                return None
            if self._windows:
                # popped first, so that the oldest stay in front and are forgotten from there
                self._live.pop(event.key, None)
                self._live[event.key] = offset
            return event
        return self._take_marker(offset, event)

    def checkpoint(self, offset: int) -> Checkpoint:
        """Return from where a reader must fold again to go on at ``offset``.

        That is the OPEN of the oldest window open at ``offset``, with the term
        there, or ``offset`` itself. ``offset`` may lie before what was taken, as
        commits trail the intake, but never before one that was asked for
        earlier; it may lie beyond, where records in between cannot be decoded.

        Raises:
            ValueError: ``offset`` is before one that was asked for earlier.
        """
        at = bisect_right(self._marks, offset, key=_offset_of) - 1
        if at < 0:
            raise ValueError(
                f"a checkpoint at {offset} cannot be told: it is known from {self._marks[0].offset} on"
            )
        del self._marks[:at]
        mark = self._marks[0]
        for opened, term in mark.windows:
            if not has_lapsed(opened, offset, self._window_offsets):
                return Checkpoint(opened, term, mark.resume, mark.ended)
        return Checkpoint(offset, mark.term, mark.resume, mark.ended)

    def _is_current(self, event: Event) -> bool:
        return event.term == self._term and event.term >= 0

    def _take_marker(self, offset: int, event: Event) -> Event | None:
        accepted: Event | None = None
        match event.kind:
            case EventKind.BEAT:
                return event if self._is_current(event) else None
            case EventKind.EPOCH:
                self._term = max(self._term, event.term)
            case EventKind.OPEN:
                self._windows[offset] = self._term
            case EventKind.CLOSE:
                self._windows.pop(event.opened, None)
            case EventKind.END:
                if event.term > self._resume:
                    self._ended = max(self._ended, event.term)
                    accepted = event
            case EventKind.RESUME:
                self._resume = max(self._resume, event.term)
                if self._ended <= self._resume:
                    self._ended = -1
            case _:
                raise HaltError(f"offset {offset} holds an event of kind {event.kind!r}")
        self._forget(offset + 1)
        self._mark(offset + 1)
        return accepted

    def _forget(self, offset: int) -> None:
        """Drop lapsed windows, and the keys that no open window can ask for."""
        for opened in list(self._windows):
            if not has_lapsed(opened, offset, self._window_offsets):
                break
            del self._windows[opened]
        if not self._windows:
            self._live.clear()
            return
        oldest = next(iter(self._windows))
        stale = []
        for key, live in self._live.items():
            if live > oldest:
                break
            stale.append(key)
        for key in stale:
            del self._live[key]

    def _mark(self, offset: int) -> None:
        self._marks.append(
            _Mark(offset, self._term, self._resume, self._ended, tuple(self._windows.items()))
        )
        if len(self._marks) > _MARKS_MAX:
            del self._marks[: _MARKS_MAX // 2]


def coalesce(accepted: Iterable[tuple[int, Event]]) -> dict[bytes, tuple[int, Event]]:
    """Return the newest accepted event of each key, with its offset; markers are left out."""
    newest: dict[bytes, tuple[int, Event]] = {}
    for offset, event in accepted:
        kind = event.kind
        if kind is _ROW or kind is _IMAGE or kind is _DELETE:
            known = newest.get(event.key)
            if known is None or known[0] <= offset:
                newest[event.key] = (offset, event)
    return newest


class Left(NamedTuple):
    """What a commit's metadata tells the next owner.

    Attributes:
        checkpoint: From where to fold again.
        is_clean: Whether the worker left nothing in flight.
        beat: Number of the newest BEAT that the commit has passed, -1 for none.
        token: The newest token that it has passed: nobody may wait for it in vain
            because the worker died before it could report it.
    """

    checkpoint: Checkpoint
    is_clean: bool
    beat: int = -1
    token: str = ""


def encode_metadata(left: Left) -> str:
    """Spell what a commit says as its metadata: short, ASCII, with its version in front."""
    fields = ":".join(map(str, left.checkpoint))
    token = left.token if _TOKEN.fullmatch(left.token) else ""
    return f"v1:{fields}:{'c' if left.is_clean else 'u'}:{left.beat}:{token}"


def decode_metadata(text: str | None) -> Left | None:
    """Read what :func:`encode_metadata` wrote; None for anything else.

    A broker that drops metadata gives an empty one, and an unknown version is
    as good as none: the reader then folds from the partition's start and takes
    over as from an unclean loss.
    """
    match = _METADATA.fullmatch(text or "")
    if match is None:
        return None
    *numbers, clean, beat, token = match.groups()
    return Left(Checkpoint(*map(int, numbers)), clean == "c", int(beat), token)
