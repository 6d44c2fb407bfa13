"""The applier's bookkeeping without one of its rules each: what a test of that rule must see fail."""

from typing import Any

from vecferry.consumers.progress import Batch, Progress, State
from vecferry.record import Event


class WithoutAck(Progress):
    """Commits what was only sent."""

    def committable(self) -> int:
        """As the broken rule has it."""
        return min((entry.first for entry in self.waiting.values()), default=self.position)


class WithoutCovered(Progress):
    """Commits the position of the intake as soon as anything was acknowledged."""

    def committable(self) -> int:
        """As the broken rule has it."""
        return self.position if super().committable() > self.base else self.base


class WithoutOne(Progress):
    """Has several writes of a key in flight."""

    def is_busy(self, key: bytes) -> bool:
        """As the broken rule has it."""
        return False


class WithoutSettle(Progress):
    """Repeats a write at once that may still land."""

    def unknown(self, batch: Batch) -> None:
        """As the broken rule has it."""
        self.settled(batch)


class WithoutHold(Progress):
    """Commits past a write whose outcome is unknown."""

    def committable(self) -> int:
        """As the broken rule has it."""
        lows = [batch.low for batch in self.batches if batch.state is State.FLYING]
        return min(
            [*lows, *(entry.first for entry in self.waiting.values())], default=self.position
        )


class WithoutNewest(Progress):
    """Writes change by change."""

    later: list[tuple[int, Event, int]]

    def __init__(self, base: int, span_offsets: int, *, clean: bool) -> None:
        super().__init__(base, span_offsets, clean=clean)
        self.later = []

    def take(self, position: int, accepted: Any) -> None:
        """As the broken rule has it."""
        for change in accepted:
            if change[1].key in self.waiting or change[1].key in self.busy:
                self.later.append(change)
            else:
                super().take(position, [change])
        self.position = position

    def acknowledged(self, batch: Batch) -> None:
        """As the broken rule has it."""
        super().acknowledged(batch)
        queued, self.later = self.later, []
        self.take(self.position, queued)

    def committable(self) -> int:
        """As the broken rule has it."""
        return min([super().committable(), *(offset for offset, _, _ in self.later)])


class WithoutWait(Progress):
    """Writes at once after an unclean commit."""

    def __init__(self, base: int, span_offsets: int, *, clean: bool) -> None:
        super().__init__(base, span_offsets, clean=True)


class WithoutQuiet(Progress):
    """Leaves `clean` with writes in flight."""

    def leaves_clean(self) -> bool:
        """As the broken rule has it."""
        return self.has_waited


class WithoutWaited(Progress):
    """Leaves `clean` while it waits for a predecessor's requests."""

    def leaves_clean(self) -> bool:
        """As the broken rule has it."""
        return self.is_quiet()


class WithoutSpan(Progress):
    """Takes, and so sends, without a limit."""

    def limit(self) -> int:
        """As the broken rule has it."""
        return 1_000


class WithoutCover(Progress):
    """Writes before its intake has reached what a predecessor may have written."""

    def is_covered(self) -> bool:
        """As the broken rule has it."""
        return self.goal is not None


class WithoutNewestInRepeats(Progress):
    """Repeats what was sent, whatever the key has become."""

    def relaunch(self, batch: Batch) -> None:
        """As the broken rule has it."""
        batch.state = State.FLYING
