"""The partitions that this worker owns: taking over, committing, giving back.

Taking over a partition, in this order:

1. Read the commit: it says from where to fold and whether the last owner left
   something in flight.
2. Commit ``unclean`` there. From now on a successor waits for our requests, and
   the broker has proven that the partition is ours.
3. Ask for the end of the log. The last owner can have written nothing beyond
   it: what it sends later is stopped by its deadline.
4. Where it may have left something in flight, wait until that must have
   expired, taking records in meanwhile.

Revoked: finish what is in flight and commit, ``clean`` where nothing is left.
Lost: discard everything; the broker would refuse the commit.
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from vecferry.consumers.delivery import Delivery
from vecferry.consumers.log_ends import ApplyLog
from vecferry.consumers.partition import Limits, Partition, plan_takeover
from vecferry.consumers.reports import Reporter
from vecferry.consumers.sending import Deadline
from vecferry.errors import TransientError
from vecferry.log.intake import Committed, Intake, NotOwner, Reactions
from vecferry.settings import Settings

_AGAIN_S = 0.5


class Duties(NamedTuple):
    """What the ownership of partitions works with.

    Attributes:
        delivery: Finishes what is in flight.
        reporter: Tells ``control`` of a takeover where the broker drops metadata.
        deadline: Moved on by each answer of the broker to a commit.
        clock: Goes on while the process is stopped.
    """

    delivery: Delivery
    reporter: Reporter
    deadline: Deadline
    clock: Callable[[], float]


class Ownership:
    """The partitions of one member of the group.

    Attributes:
        owned: By number; only what was taken over completely.
        intake: Set before the first poll.
    """

    intake: Intake

    def __init__(self, settings: Settings, log: ApplyLog, duties: Duties) -> None:
        self._apply = settings.apply
        self._limits = Limits(settings.apply.span_offsets, settings.snapshot.window_offsets)
        self._log = log
        self._delivery, self._reporter, self._deadline, self._clock = duties
        self.owned: dict[int, Partition] = {}
        self._arriving: dict[int, float] = {}
        self._placed: set[int] = set()  # assigned, and nothing of them was read yet
        self._commit_at = float("-inf")
        self._is_abandoned = False

    def reactions(self) -> Reactions:
        """Return what the intake calls when partitions come and go."""
        return {"assigned": self._assigned, "revoked": self._revoked, "lost": self._lost}

    # --- coming ---

    def _assigned(self, numbers: list[int]) -> None:
        self.intake.pause(numbers)
        for number in numbers:
            # Placed before the first fetch: a later seek takes the partition out of the
            # assignment for a moment, and a rebalance in that moment gives it away at once.
            start = plan_takeover(self.intake.committed(number), was_owned=True).checkpoint
            self.intake.seek(number, start.offset)
        self._placed.update(numbers)
        self._arriving.update(dict.fromkeys(numbers, float("-inf")))

    def take_over(self) -> None:
        """Take over what has been assigned; what fails for now is tried again."""
        now = self._clock()
        for number, due in list(self._arriving.items()):
            if now < due:
                continue
            if number not in self.intake.owned:
                del self._arriving[number]
                continue
            try:
                self.owned[number] = self._take_over(number)
                del self._arriving[number]
            except TransientError:  # also NotOwner: then `lost` comes, or it is ours after all
                self._arriving[number] = now + _AGAIN_S

    def _take_over(self, number: int) -> Partition:
        self._log.control.read_to_end()
        reported = self._log.control.latest("progress").get(f"apply/{number}")
        committed = self.intake.committed(number)
        takeover = plan_takeover(committed, was_owned=reported is not None)
        partition = Partition(number, takeover, self._limits, self._log.codec.decode_event)
        if reported is not None:
            partition.count_on(reported.body)
        asked_at = self._clock()
        self.intake.commit({number: partition.mark()})
        self._deadline.proven(asked_at)
        log_end = self.intake.watermark(number)
        if not committed.metadata:  # a broker that drops it would not show our mark
            self._reporter.put_now(number, partition.report(log_end, 0))
        wait_s = 0 if takeover.is_clean else self._wait_s()
        partition.marked(log_end, self._clock() + wait_s, is_rough=self._log.connection.embedded)
        if number not in self._placed:
            self.intake.seek(number, takeover.checkpoint.offset)
        self._placed.discard(number)
        self.intake.resume([number])
        return partition

    def _wait_s(self) -> float:
        # a request lives so long; the window covers the time from the last
        # owner's check to the wire, and a check shortly after its session ended
        return self._apply.request_max_s + self._deadline.window_s

    # --- staying ---

    def polled(self) -> None:
        """Move the deadline on after a successful poll; ask the broker where that proves nothing."""
        now = self._clock()
        if self._deadline.polled(now) or not self.owned or now < self._commit_at:
            return
        self._commit({number: held.mark() for number, held in self.owned.items()})

    def commit(self) -> None:
        """Commit what is due: every ``commit_s``, or sooner when the span fills up."""
        now = self._clock()
        if now < self._commit_at:
            return
        soon = self._apply.span_offsets // 4
        due = {}
        for number, held in self.owned.items():
            gain = held.progress.committable() - held.progress.base
            if gain > 0 and (now >= held.commit_at or gain >= soon):
                due[number] = held.place()
        self._commit(due)

    def _commit(self, places: dict[int, Committed]) -> None:
        if not places:
            return
        asked_at = self._clock()
        try:
            self.intake.commit(places)
        except NotOwner:
            self._disown(places)
        except TransientError:  # nothing depends on this one: the next says more
            self._commit_at = self._clock() + _AGAIN_S
        else:
            self._deadline.proven(asked_at)
            for number, place in places.items():
                self.owned[number].committed(place)
                self.owned[number].commit_at = asked_at + self._apply.commit_s

    def _disown(self, numbers: Iterable[int]) -> None:
        """Discard what the broker says is not ours; should it be, take it over anew."""
        for number in numbers:
            self._close([self.owned.pop(number)])
            self._arriving[number] = self._clock() + 2 * _AGAIN_S

    # --- going ---

    def _revoked(self, numbers: list[int]) -> None:
        leaving = self._leave(numbers)
        if self._is_abandoned:
            return
        for held in leaving:
            held.is_leaving = True
        until = self._clock() + self._apply.request_max_s
        while any(held.is_flying() for held in leaving) and self._clock() < until:
            self._delivery.receive(0.05)
        self._delivery.bury()
        places = {held.number: held.place(clean=held.progress.leaves_clean()) for held in leaving}
        try:
            self.intake.commit(places)
        except TransientError:
            places.clear()  # it stays `unclean`, and the next owner waits
        finally:
            self._close(leaving)
        for held in leaving:
            if held.number in places:
                held.committed(places[held.number])
                at_ms = time.time_ns() // 1_000_000
                self._reporter.put(held.number, held.report(held.progress.position, at_ms))

    def _lost(self, numbers: list[int]) -> None:
        self._close(self._leave(numbers))

    def abandon(self) -> None:
        """Discard everything; nothing is committed any more."""
        self._is_abandoned = True
        self._close(self._leave(list(self.owned)))

    def _leave(self, numbers: Iterable[int]) -> list[Partition]:
        for number in numbers:
            self._arriving.pop(number, None)
            self._placed.discard(number)
        return [self.owned.pop(number) for number in numbers if number in self.owned]

    def _close(self, partitions: Iterable[Partition]) -> None:
        for held in partitions:
            held.is_open = False
