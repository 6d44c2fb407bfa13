"""What of one hints partition is not resolved yet. Pure: time is told to it.

Every hint is an item at its offset. An item is resolved once each of its keys
was read back by a read that began after the item was taken, and acknowledged
in ``events``. The commit stays before the first item that is not resolved, and
no BEAT passes one.

- An INTENT waits for the DONEs of its request; without them it is swept, that
  is, its keys are read, once the request can no longer land.
- A filter write waits from FILTER_INTENT to FILTER_DONE, and then the keys that
  it resolved are read, with every key that anybody hinted meanwhile: another
  process can slip a point in between the resolving and the writing. One that
  dies in between is a rescan of its scope.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from vecferry.record import Hint, HintKind


class Due(NamedTuple):
    """A key to be read back.

    Attributes:
        key: Canonical key bytes.
        verb: ``delete`` if a hint said so, else ``upsert`` if one did, else ``unknown``.
        position: Where the source says to read after; the newest that a hint gave.
        offset: The newest hint that asks for it.
    """

    key: bytes
    verb: str
    position: str
    offset: int


class Rescan(NamedTuple):
    """A scope that must be read again because a filter write died unresolved."""

    request: str
    scope: str
    offset: int


@dataclass(slots=True)
class _Item:
    """A hint that is not resolved: the keys still to be read, or what it waits for."""

    keys: set[bytes] = field(default_factory=set)
    waits: bool = False
    since: float = 0.0
    verb: str = "unknown"


@dataclass(slots=True)
class _Filter:
    """A filter write between its FILTER_INTENT and its FILTER_DONE."""

    offset: int
    scope: str
    since: float
    keys: dict[bytes, str] = field(default_factory=dict)


class Pending:
    """The unresolved hints of one partition, from its committed offset on.

    Args:
        offset: The next hint.
        patience_s: An INTENT that is as old as this can no longer land.
    """

    def __init__(self, offset: int, patience_s: float) -> None:
        self._next = offset
        self._patience_s = patience_s
        self._items: dict[int, _Item] = {}
        self._intents: dict[str, set[int]] = {}
        self._filters: dict[str, _Filter] = {}
        self._due: dict[bytes, Due] = {}
        self._askers: dict[bytes, set[int]] = {}
        self._beats: dict[int, Hint] = {}
        self._rescans: list[Rescan] = []

    def take(self, offset: int, hint: Hint, now: float) -> None:
        """Take the next hint of the partition at the time ``now``."""
        self._next = offset + 1
        match hint.kind:
            case HintKind.BEAT:
                self._beats[offset] = hint
                self._items[offset] = _Item(waits=True, since=now)
            case HintKind.INTENT:
                self._touch(hint)
                self._items[offset] = _Item(set(hint.keys), True, now, hint.verb)
                self._intents.setdefault(hint.request, set()).add(offset)
            case HintKind.DONE:
                self._touch(hint)
                self._ask(offset, hint)
                self._answer_intents(hint)
            case HintKind.FILTER_INTENT:
                self._filters[hint.request] = _Filter(offset, hint.scope, now)
                self._items[offset] = _Item(waits=True, since=now)
                self._touch(hint)
            case HintKind.FILTER_KEYS:
                self._touch(hint)
                if hint.request not in self._filters:  # its beginning was resolved: read them now
                    self._ask(offset, hint)
            case HintKind.FILTER_DONE:
                self._touch(hint)
                self._finish_filter(offset, hint)

    def sweep(self, now: float) -> None:
        """Count as done what was not done in time: its request landed, or never will."""
        for request, offsets in list(self._intents.items()):
            old = {at for at in offsets if now - self._items[at].since >= self._patience_s}
            for at in old:
                item = self._items[at]
                item.waits = False
                # whether an upsert has landed is not known; that a delete was asked for is
                verb = "delete" if item.verb == "delete" else "unknown"
                for key in item.keys:
                    self._want(key, Due(key, verb, "", at))
                self._settle(at)
            offsets -= old
            if not offsets:
                del self._intents[request]
        for request, open_filter in list(self._filters.items()):
            if now - open_filter.since >= self._patience_s:
                del self._filters[request]
                self._rescans.append(Rescan(request, open_filter.scope, open_filter.offset))

    def due(self) -> list[Due]:
        """Return the keys to be read back, each once, the longest waiting first."""
        return list(self._due.values())

    def began(self, keys: Iterable[bytes]) -> dict[bytes, frozenset[int]]:
        """Say that a read of these keys begins; return which items each one answers.

        Hints that are taken from now on are not answered by it.
        """
        answers = {}
        for key in keys:
            self._due.pop(key, None)
            answers[key] = frozenset(self._askers.get(key, ()))
        return answers

    def again(self, due: Due) -> None:
        """Put back a key whose read failed or has to be repeated; its items stay open."""
        known = self._due.get(due.key)
        if known is not None:
            due = Due(
                due.key,
                _stronger(due.verb, known.verb),
                known.position or due.position,
                known.offset,
            )
        self._due[due.key] = due

    def answered(self, answers: dict[bytes, frozenset[int]]) -> None:
        """Say that the read's images are acknowledged in ``events``."""
        for key, offsets in answers.items():
            left = self._askers.get(key, set()) - offsets
            if left:
                self._askers[key] = left
            else:
                self._askers.pop(key, None)
            for at in offsets:
                item = self._items.get(at)
                if item is not None:
                    item.keys.discard(key)
                    self._settle(at)

    def rescans(self) -> list[Rescan]:
        """Return the scopes of filter writes that died; they hold the commit until :meth:`recorded`."""
        return list(self._rescans)

    def recorded(self, rescan: Rescan) -> None:
        """Say that the rescan is durable in ``control``."""
        self._rescans.remove(rescan)
        self._items.pop(rescan.offset, None)

    def passing(self) -> list[tuple[int, Hint]]:
        """Return the BEATs that nothing unresolved lies before, in order."""
        passing = []
        for at in sorted(self._items):
            beat = self._beats.get(at)
            if beat is None:
                break
            passing.append((at, beat))
        return passing

    def passed(self, offset: int) -> None:
        """Say that the BEAT at ``offset`` is acknowledged in ``events``."""
        self._beats.pop(offset, None)
        self._items.pop(offset, None)

    def committable(self) -> int:
        """Return the first offset that is not resolved: the commit may reach it, no further."""
        return min(self._items, default=self._next)

    def oldest_intent_s(self, now: float) -> float | None:
        """Return the age of the oldest INTENT or filter write that waits for its end, in seconds."""
        since = [self._items[at].since for offsets in self._intents.values() for at in offsets]
        since += [each.since for each in self._filters.values()]
        return now - min(since) if since else None

    @property
    def next(self) -> int:
        """The next offset to be taken."""
        return self._next

    def _touch(self, hint: Hint) -> None:
        """Remember the keys for every open filter write but the hint's own one's resolving."""
        for open_filter in self._filters.values():
            for key in hint.keys:
                open_filter.keys[key] = hint.position

    def _ask(self, offset: int, hint: Hint) -> None:
        if not hint.keys:
            return
        self._items[offset] = _Item(set(hint.keys))
        for key in hint.keys:
            self._want(key, Due(key, hint.verb, hint.position, offset))

    def _want(self, key: bytes, due: Due) -> None:
        self._askers.setdefault(key, set()).add(due.offset)
        known = self._due.get(key)
        if known is not None:
            verb = _stronger(known.verb, due.verb)
            due = Due(key, verb, due.position or known.position, max(due.offset, known.offset))
        self._due[key] = due

    def _answer_intents(self, hint: Hint) -> None:
        for at in list(self._intents.get(hint.request, ())):
            item = self._items[at]
            item.keys -= set(hint.keys)
            if not item.keys:
                item.waits = False
                self._intents[hint.request].discard(at)
                self._settle(at)
        if not self._intents.get(hint.request, True):
            del self._intents[hint.request]

    def _finish_filter(self, offset: int, hint: Hint) -> None:
        open_filter = self._filters.pop(hint.request, None)
        if open_filter is None:
            self._ask(offset, hint)
            return
        item = self._items[open_filter.offset]
        item.waits = False
        item.keys = set(open_filter.keys) | set(hint.keys)
        for key in item.keys:
            position = hint.position or open_filter.keys.get(key, "")
            self._want(
                key,
                Due(
                    key,
                    "delete" if hint.verb == "delete" else "unknown",
                    position,
                    open_filter.offset,
                ),
            )
        self._settle(open_filter.offset)

    def _settle(self, at: int) -> None:
        item = self._items[at]
        if not item.keys and not item.waits:
            del self._items[at]


def _stronger(ours: str, theirs: str) -> str:
    order = ("unknown", "upsert", "delete")
    return max(ours, theirs, key=order.index)
