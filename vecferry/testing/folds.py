"""Folds that each leave out one rule: what a test of that rule must see fail."""

from vecferry.fold import Checkpoint, Fold
from vecferry.record import Event, EventKind


class UnfencedFold(Fold):
    """Accepts an IMAGE, a DELETE and a BEAT of any term."""

    def _is_current(self, event: Event) -> bool:
        return True


class LastEpochFold(Fold):
    """Takes the term that came last for the newest."""

    def _take_marker(self, offset: int, event: Event) -> Event | None:
        accepted = super()._take_marker(offset, event)
        if event.kind is EventKind.EPOCH:
            self._term = event.term
        return accepted


class UnfencedBeatFold(Fold):
    """Accepts a BEAT of any term."""

    def take(self, offset: int, event: Event) -> Event | None:
        """Take or tell as the broken rule has it."""
        accepted = super().take(offset, event)
        return event if event.kind is EventKind.BEAT else accepted


class WindowlessFold(Fold):
    """Accepts every ROW."""

    def take(self, offset: int, event: Event) -> Event | None:
        """Take or tell as the broken rule has it."""
        accepted = super().take(offset, event)
        return event if event.kind is EventKind.ROW else accepted


class OneWindowFold(Fold):
    """Lets an OPEN replace the windows of other attempts."""

    def _take_marker(self, offset: int, event: Event) -> Event | None:
        if event.kind is EventKind.OPEN:
            self._windows.clear()
        return super()._take_marker(offset, event)


class NoLapseFold(Fold):
    """Keeps a window open for ever."""

    def __init__(self, window_offsets: int, checkpoint: Checkpoint | None = None) -> None:
        super().__init__(2**62, checkpoint)


class ForgettingFold(Fold):
    """Restarts at the commit itself, although windows are open there."""

    def checkpoint(self, offset: int) -> Checkpoint:
        """Take or tell as the broken rule has it."""
        return super().checkpoint(offset)._replace(offset=offset)


class TermlessFold(Fold):
    """Restarts at the oldest OPEN with the term of the commit, not the term there."""

    def checkpoint(self, offset: int) -> Checkpoint:
        """Take or tell as the broken rule has it."""
        return super().checkpoint(offset)._replace(term=self.term)


class LateResumeFold(Fold):
    """Lets a RESUME void only the ENDs before it."""

    def _take_marker(self, offset: int, event: Event) -> Event | None:
        accepted = super()._take_marker(offset, event)
        if event.kind is EventKind.RESUME:
            self._resume = -1
        return accepted
