"""One partition of ``events`` while it is ours: intake, fold, and what was committed."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vecferry.consumers.progress import Batch, Progress, State
from vecferry.errors import HaltError, RecordError
from vecferry.fold import Checkpoint, Fold, Left, decode_metadata, encode_metadata
from vecferry.log.intake import Committed, Raw
from vecferry.record import Event, EventKind


class Takeover(NamedTuple):
    """From where a partition goes on.

    Attributes:
        base: The last commit.
        checkpoint: From where to fold again.
        is_clean: Whether the last owner left nothing in flight.
        beat: Number of the newest BEAT that was passed, -1 for none.
        token: The newest token that was passed.
    """

    base: int
    checkpoint: Checkpoint
    is_clean: bool
    beat: int = -1
    token: str = ""


def plan_takeover(committed: Committed, *, was_owned: bool) -> Takeover:
    """Read a commit and its metadata.

    Without metadata the fold starts anew and the last owner counts as lost,
    unless there was none: nothing is committed and ``was_owned`` is false.
    """
    known = decode_metadata(committed.metadata)
    if known is None:
        return Takeover(committed.offset, Checkpoint(0), committed.offset == 0 and not was_owned)
    return Takeover(committed.offset, *known)


class Spoiled(NamedTuple):
    """A record that cannot be decoded, and what holds the commit before it."""

    raw: Raw
    error: RecordError
    batch: Batch


class Limits(NamedTuple):
    """Bounds of a partition: the span and the fold's windows, both in offsets."""

    span_offsets: int
    window_offsets: int


class Partition:
    """One assignment of one partition; dropped, never reused.

    Attributes:
        number: Of the partition.
        progress: What may be sent and committed.
        is_open: False once it is no longer ours; writer threads read it.
        is_leaving: Revoked, or closing: what is in flight is finished, nothing new is sent.
        is_paused: Whether the intake was told to hold it.
        send_at: When the first write may go out; None while that is not known.
        beat: Number of the newest BEAT that the commit has passed, -1 for none.
        token: The newest token that the commit has passed.
        points, size: Points and bytes that were applied.
        commit_at: When the next commit is due.
    """

    def __init__(
        self, number: int, takeover: Takeover, limits: Limits, decode: Callable[[bytes], Event]
    ) -> None:
        self.number = number
        self.progress = Progress(takeover.base, limits.span_offsets, clean=takeover.is_clean)
        self.is_open = True
        self.is_leaving = False
        self.is_paused = False
        self.send_at: float | None = None
        self.beat = takeover.beat
        self.token = takeover.token
        self.points = 0
        self.size = 0
        self.commit_at = float("-inf")
        self._decode = decode
        self._start = takeover.base
        self._checkpoint = takeover.checkpoint
        self._fold = Fold(limits.window_offsets, takeover.checkpoint)
        self._next = takeover.checkpoint.offset
        self._backlog: deque[Raw] = deque()
        self._beats: deque[tuple[int, Event]] = deque()
        self._is_at_end = False
        self._rough_end: int | None = None

    # --- intake ---

    def take(self, raws: Sequence[Raw], *, may_grow: bool = True) -> list[Spoiled]:
        """Fold and coalesce records, as far as the span allows; the rest waits here.

        Records before the last commit are folded again and not applied. With
        ``may_grow`` false nothing is taken beyond what a takeover needs.

        Raises:
            HaltError: An offset is missing: the log no longer holds what was not applied.
        """
        self._backlog.extend(raws)
        if not (may_grow or not self.progress.is_covered()):
            return []
        spoiled, accepted = self._fold_backlog(self.progress.limit())
        self.progress.take(max(self._next, self.progress.position), accepted)
        self._reach(is_silent=not raws)
        return spoiled

    def _reach(self, *, is_silent: bool) -> None:
        """Tell where the first writes reach to, where that was not known from the beginning."""
        if self.progress.is_covered() or not self.progress.is_marked:
            return
        is_last = self._rough_end is not None and is_silent and self._next >= self._rough_end
        if is_last or self._is_at_end:  # nothing behind an END is written
            self.progress.reach(self.progress.position)

    def _fold_backlog(self, limit: int) -> tuple[list[Spoiled], list[tuple[int, Event, int]]]:
        backlog, decode, fold, start = self._backlog, self._decode, self._fold.take, self._start
        spoiled: list[Spoiled] = []
        accepted: list[tuple[int, Event, int]] = []
        if self.progress.is_idle():
            self._is_at_end = False
        while backlog and backlog[0].offset < limit and not self._is_at_end:
            raw = backlog.popleft()
            offset = raw.offset
            if offset != self._next:
                if offset < self._next:
                    continue
                raise HaltError(
                    f"offsets {self._next} to {offset - 1} of {raw.topic} [{self.number}] are not in "
                    "the log any more and were not applied: check its retention, then rescan"
                )
            self._next = offset + 1
            try:
                event = fold(offset, decode(raw.value))
            except RecordError as error:
                if offset >= start:
                    spoiled.append(Spoiled(raw, error, self.progress.hold(offset)))
                continue
            if event is None:
                continue
            kind = event.kind
            if kind is EventKind.BEAT or kind is EventKind.END:
                self._take_marker(offset, event)
            elif offset >= start:
                accepted.append((offset, event, len(raw.value)))
        return spoiled, accepted

    def _take_marker(self, offset: int, event: Event) -> None:
        if event.kind is EventKind.END:
            # what came before it is applied before anything behind it is looked at
            self._is_at_end = offset >= self._start
        elif offset < self._start:
            self.beat, self.token = event.number, event.token or self.token
        else:
            self._beats.append((offset, event))

    @property
    def has_backlog(self) -> bool:
        """Whether records are here that may not be taken yet."""
        return bool(self._backlog)

    @property
    def has_room(self) -> bool:
        """Whether enough of the span is free for the intake to go on."""
        limit, span = self.progress.limit(), self.progress.span_offsets
        return not self._backlog and limit - self.progress.position > span // 2

    # --- before the first write ---

    def marked(self, log_end: int, send_at: float, *, is_rough: bool) -> None:
        """``unclean`` is committed, and the log ended at ``log_end`` after that.

        A *rough* end may be too low: then the first writes reach to where the
        log is silent, or to the end of the span.
        """
        self.progress.marked()
        self.send_at = send_at
        if is_rough:
            self._rough_end = log_end
            self.progress.reach(self.progress.limit())
        else:
            self.progress.reach(log_end)

    def may_send(self, now: float) -> bool:
        """Whether writes may go out, as far as this partition is concerned."""
        if self.send_at is not None and now >= self.send_at:
            self.progress.waited()
        if self.is_leaving or not self.is_open:
            return False
        # everything up to END is written; what lies behind waits for a RESUME
        is_over = self._fold.ended is not None and not self._is_at_end
        return not is_over and self.progress.may_send()

    def is_flying(self) -> bool:
        """Whether a write is in flight."""
        return any(batch.state is State.FLYING for batch in self.progress.batches)

    # --- committing ---

    def place(self, *, clean: bool = False) -> Committed:
        """Return what a commit says now; :meth:`committed` tells that it succeeded."""
        offset = self.progress.committable()
        checkpoint = self._checkpoint
        if self._next >= offset:
            checkpoint = self._fold.checkpoint(offset)
        beat, token = self.beat, self.token
        for at, event in self._beats:
            if at >= offset:
                break
            beat, token = event.number, event.token or token
        return Committed(offset, encode_metadata(Left(checkpoint, clean, beat, token)))

    def mark(self) -> Committed:
        """Return the last commit again, ``unclean``."""
        left = Left(self._checkpoint, is_clean=False, beat=self.beat, token=self.token)
        return Committed(self.progress.base, encode_metadata(left))

    def committed(self, place: Committed) -> None:
        """The broker holds this commit."""
        self.progress.committed(place.offset)
        known = decode_metadata(place.metadata)
        if known is not None:
            self._checkpoint = known.checkpoint
        while self._beats and self._beats[0][0] < place.offset:
            _, event = self._beats.popleft()
            self.beat, self.token = event.number, event.token or self.token

    def count_on(self, report: Mapping[str, object]) -> None:
        """Go on counting where an earlier owner's report ended."""
        self.points, self.size = int(str(report["points"])), int(str(report["bytes"]))

    def report(self, log_end: int, at_ms: int) -> dict[str, object]:
        """Return what ``status`` reads."""
        return {
            "committed": self.progress.base,
            "end": max(log_end, self.progress.position),
            "beat": self.beat,
            "token": self.token,
            "ended": self._fold.ended,
            "points": self.points,
            "bytes": self.size,
            "at": at_ms,
        }
