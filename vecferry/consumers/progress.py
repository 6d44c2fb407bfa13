"""What an applier may send and commit in one partition: pure bookkeeping, no clock, no I/O.

The rules, each of which the tests take out to see the harm:

1. A commit covers what the database acknowledged, and nothing beyond it.
2. One write in flight per key, and it carries the key's newest state. A write
   with an unknown outcome keeps its keys, and the commit before them, until the
   request can no longer land and the repeat is acknowledged.
3. Nothing is sent before ``unclean`` is committed, nor, after a commit that was
   not clean, before the predecessor's requests must have expired.
4. The first writes reach to the end of the span or of the log.
5. Nothing at or beyond the last commit + span is taken, so nothing there is sent.
6. ``clean`` is left only with nothing in flight and no wait outstanding.

``models/applier.py`` beside the design checks the same rules; the deadline of a
send and the broker's fence are the loop's (:mod:`vecferry.consumers.apply`).
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from vecferry.record import Event


class Entry(NamedTuple):
    """The newest state of a key that is not yet acknowledged.

    Attributes:
        first: The oldest offset of the key that no write has covered.
        offset: Of the newest state: its version.
        event: The newest state, IMAGE, ROW or DELETE.
        size: Bytes of its record.
    """

    first: int
    offset: int
    event: Event
    size: int


class State(Enum):
    """Where a batch is."""

    READY = "to be sent, now or after a pause; nothing of it can land any more"
    FLYING = "sent and not answered"
    UNKNOWN = "not answered in time: it may land until request_max_s has passed"
    HELD = "answered for good: a dead letter, or a mark in `control`, is on its way"


class Batch:
    """Keys that are written together, one write each.

    Attributes:
        entries: By key; their newest state when last sent.
        state: See :class:`State`.
        low: The commit stays at or before this offset while the batch is open.
        tries: How often it failed in a row.
    """

    __slots__ = ("entries", "low", "state", "tries")

    def __init__(self, entries: dict[bytes, Entry], low: int, state: State) -> None:
        self.entries = entries
        self.low = low
        self.state = state
        self.tries = 0


class Progress:
    """One assignment of one partition.

    Attributes:
        base: The last commit.
        position: The next offset to take.
        is_marked: Whether ``unclean`` is committed.
        has_waited: Whether no predecessor's request can land any more.
        goal: Where the first writes reach to; None until the log's end was asked for.
        waiting: Newest states not in a batch, the oldest ``first`` in front.
        busy: The open batch of each key that is in one.
        batches: The open batches.
        size: Bytes of all states held.
    """

    def __init__(self, base: int, span_offsets: int, *, clean: bool) -> None:
        """Take over at the commit ``base``, which was left ``clean`` or was not."""
        self.base = base
        self.position = base
        self.span_offsets = span_offsets
        self.is_marked = False
        self.has_waited = clean
        self.goal: int | None = None
        self.waiting: dict[bytes, Entry] = {}
        self.busy: dict[bytes, Batch] = {}
        self.batches: set[Batch] = set()
        self.size = 0

    # --- before the first write ---

    def marked(self) -> None:
        """``unclean`` is committed: a successor will wait for what is sent from now on."""
        self.is_marked = True

    def waited(self) -> None:
        """The requests of a predecessor must have expired."""
        self.has_waited = True

    def reach(self, log_end: int) -> None:
        """Set where the first writes reach to; ``log_end`` was asked for after the assignment."""
        self.goal = min(log_end, self.base + self.span_offsets)

    def may_send(self) -> bool:
        """Whether the first write may go out."""
        return self.is_marked and self.has_waited and self.is_covered()

    def is_covered(self) -> bool:
        """Whether the intake has reached what a predecessor may have written."""
        return self.goal is not None and self.position >= self.goal

    # --- intake ---

    def limit(self) -> int:
        """Return the offset at which the intake ends until the next commit."""
        return self.base + self.span_offsets

    def take(self, position: int, accepted: Iterable[tuple[int, Event, int]]) -> None:
        """Coalesce accepted states (offset, event, bytes) up to ``position``."""
        waiting = self.waiting
        for offset, event, size in accepted:
            key = event.key
            known = waiting.get(key)
            if known is None:
                waiting[key] = Entry(offset, offset, event, size)
                self.size += size
            else:  # its place in the order of `first` stays
                waiting[key] = Entry(known.first, offset, event, size)
                self.size += size - known.size
        self.position = position

    def hold(self, offset: int) -> Batch:
        """Keep the commit at or before ``offset``, a record that cannot be decoded."""
        batch = Batch({}, offset, State.HELD)
        self.batches.add(batch)
        return batch

    # --- sending ---

    def choose(self, points_max: int, bytes_max: int) -> list[bytes]:
        """Return the keys of the next batch, the longest waiting first; none that is in flight."""
        chosen: list[bytes] = []
        for key, entry in self.waiting.items():
            if self.is_busy(key):
                continue
            bytes_max -= entry.size
            if chosen and (bytes_max < 0 or len(chosen) == points_max):
                break
            chosen.append(key)
        return chosen

    def is_busy(self, key: bytes) -> bool:
        """Whether a write of the key is in flight, or may be."""
        return key in self.busy

    def launch(self, keys: Sequence[bytes]) -> Batch:
        """Make a batch of waiting keys that are not busy; it is in flight from now on."""
        entries = {key: self.waiting.pop(key) for key in keys}
        batch = Batch(entries, _low(entries), State.FLYING)
        self.batches.add(batch)
        for key in keys:
            self.busy[key] = batch
        return batch

    def relaunch(self, batch: Batch) -> None:
        """Send a READY batch again, with what its keys have become meanwhile."""
        for key, old in batch.entries.items():
            newer = self.waiting.pop(key, None)
            if newer is not None:
                batch.entries[key] = newer._replace(first=old.first)
                self.size -= old.size
        batch.state = State.FLYING

    # --- outcomes ---

    def acknowledged(self, batch: Batch) -> None:
        """The database holds the batch, or a dead letter does."""
        self.batches.discard(batch)
        for key, entry in batch.entries.items():
            self.size -= entry.size
            if self.busy.get(key) is batch:
                del self.busy[key]

    def unknown(self, batch: Batch) -> None:
        """The batch may have landed, or may yet."""
        batch.state = State.UNKNOWN

    def settled(self, batch: Batch) -> None:
        """Nothing of the batch can land any more: it may be sent again."""
        batch.state = State.READY

    def split(self, batch: Batch, keys: Iterable[bytes], state: State) -> Batch:
        """Move ``keys`` out of the batch into one of their own."""
        entries = {key: batch.entries.pop(key) for key in keys}
        part = Batch(entries, _low(entries), state)
        for key in entries:
            self.busy[key] = part
        self.batches.add(part)
        batch.low = _low(batch.entries) if batch.entries else part.low
        return part

    # --- committing ---

    def committable(self) -> int:
        """Return the end of the prefix of the log that is acknowledged."""
        lows = [batch.low for batch in self.batches]
        for oldest in self.waiting.values():
            lows.append(oldest.first)
            break
        return min(lows, default=self.position)

    def committed(self, offset: int) -> None:
        """The commit at ``offset`` succeeded."""
        self.base = offset

    def is_quiet(self) -> bool:
        """Whether nothing of ours can land any more."""
        flying = (State.FLYING, State.UNKNOWN)
        return not any(batch.state in flying for batch in self.batches)

    def is_idle(self) -> bool:
        """Whether all that was taken is acknowledged."""
        return not self.waiting and not self.batches

    def leaves_clean(self) -> bool:
        """Whether a successor need not wait."""
        return self.has_waited and self.is_quiet()


def _low(entries: dict[bytes, Entry]) -> int:
    return min(entry.first for entry in entries.values())
