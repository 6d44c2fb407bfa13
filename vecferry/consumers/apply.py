"""The applier: what the log says, in the target.

One member of the group ``vecferry.<migration>.<direction>.apply``, any number of
which share the partitions. Each round of its loop is five of a record's six hops:

1. **intake**: a bounded poll;
2. **fold** and coalesce: what each key is now, one write per key;
3. **apply**: batches go out, a bounded number at a time; an answer means durable;
4. **commit**: the end of the prefix that is durable. A crash before this line
   repeats what came before it, harmlessly.

What makes that true is in :mod:`vecferry.consumers.progress` (what may be sent
and committed) and :mod:`vecferry.consumers.ownership` (taking over and giving back).
"""

import threading
import time
from collections.abc import Callable, Mapping

from vecferry.consumers.dead_letter import DeadLetters
from vecferry.consumers.delivery import Delivery
from vecferry.consumers.log_ends import ApplyLog
from vecferry.consumers.orders import Orders
from vecferry.consumers.ownership import Duties, Ownership
from vecferry.consumers.partition import Partition
from vecferry.consumers.reports import Reporter
from vecferry.consumers.sending import Deadline, Job, Sender, boot_time_s
from vecferry.consumers.targets import Refusal, Target, write_entries
from vecferry.errors import TransientError
from vecferry.log.intake import Intake, Raw
from vecferry.settings import Settings

__all__ = ["Applier", "ApplyLog", "Target"]

_POLL_RECORDS = 1_000
_IDLE_S = 0.1
_BUSY_S = 0.01
_BATCHES_HELD = 8  # states in memory, in units of a full batch, beyond what a takeover needs


class Applier:
    """One worker process's applier."""

    def __init__(
        self,
        settings: Settings,
        log: ApplyLog,
        targets: Mapping[str, Target],
        clock: Callable[[], float] = boot_time_s,
    ) -> None:
        """Join nothing yet: :meth:`run` does.

        Args:
            settings: Of the migration.
            log: The ends of the log; the caller closes them.
            targets: By the source's name of each collection; the caller closes the stores.
            clock: Seconds that go on while the process is stopped.
        """
        self._log = log
        self._targets = targets
        self._clock = clock
        self._bytes_max = _BATCHES_HELD * settings.apply.batch_bytes
        self._deadline = Deadline(log.connection.session_timeout_s)
        self._sender = Sender(self._write, settings.apply.writes_in_flight, clock)
        self._letters = DeadLetters(log)
        self._delivery = Delivery(settings.apply, self._sender, self._letters, clock)
        self._reporter = Reporter(log.control)
        self._orders = Orders(log.control, log.topics.direction)
        duties = Duties(self._delivery, self._reporter, self._deadline, clock)
        self._ownership = Ownership(settings, log, duties)
        self._report_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Apply until ``stop`` is set, then finish what is in flight, commit, and leave.

        Raises:
            HaltError: Going on could lose data; nothing more was committed.
            VecferryError: The same, for any other error that is no record's
                and does not pass.
        """
        topics = self._log.topics
        group = topics.group("apply")
        intake = self._open_intake(topics.events, group)
        self._ownership.intake = intake
        try:
            while not stop.is_set():
                self._turn(intake)
        except BaseException:
            self._ownership.abandon()
            raise
        finally:
            try:
                intake.close()
            finally:
                self._sender.close(timeout_s=1.0)
                self._reporter.close()

    def _turn(self, intake: Intake) -> None:
        """One round; its order is the argument: commit only after apply, apply only after fold."""
        held = self._ownership.owned
        # 1. intake; a successful poll also says that the partitions are still ours
        raws = intake.poll(_POLL_RECORDS, self._patience_s())
        self._ownership.polled()
        # 2. fold and coalesce; what is taken over now begins elsewhere than these records
        self._take(raws)
        self._ownership.take_over()
        # 3. apply; a dead letter is an answer too
        self._delivery.bury()
        if not self._orders.hold():
            self._delivery.send(held.values())
        self._delivery.receive(_BUSY_S if self._delivery.is_blocked() else 0)
        # 4. commit
        self._ownership.commit()
        self._look()

    def _open_intake(self, topic: str, group: str) -> Intake:
        return Intake(self._log.connection, topic, group, **self._ownership.reactions())

    def _write(self, job: Job) -> list[Refusal]:
        """Runs in a writer thread."""

        def may_send() -> bool:
            partition = job.owner
            is_ours = isinstance(partition, Partition) and partition.is_open
            return is_ours and not self._deadline.is_past(self._clock())

        return write_entries(self._targets, job.entries, may_send)

    # --- fold ---

    def _take(self, raws: list[Raw]) -> None:
        held = self._ownership.owned
        may_grow = sum(each.progress.size for each in held.values()) < self._bytes_max
        arrived: dict[int, list[Raw]] = {}
        for raw in raws:
            arrived.setdefault(raw.partition, []).append(raw)
        for number, partition in held.items():
            for spoiled in partition.take(arrived.get(number, ()), may_grow=may_grow):
                self._delivery.spoil(partition, spoiled)
            self._regulate(partition, may_grow)

    def _regulate(self, partition: Partition, may_grow: bool) -> None:
        """Hold the intake of a partition that is full, until half of its span is free."""
        if not partition.is_paused and partition.has_backlog:
            partition.is_paused = True
            self._ownership.intake.pause([partition.number])
        elif partition.is_paused and partition.has_room and may_grow:
            partition.is_paused = False
            self._ownership.intake.resume([partition.number])

    def _patience_s(self) -> float:
        """How long a poll may wait for the first record."""
        if self._delivery.is_blocked():
            return 0
        return _BUSY_S if self._delivery.flying else _IDLE_S

    # --- telling ---

    def _look(self) -> None:
        """Once a second: report, and learn of marks that others set."""
        now = self._clock()
        if now < self._report_at:
            return
        self._report_at = now + 1.0
        try:
            self._letters.look()
            for number, partition in self._ownership.owned.items():
                log_end = self._ownership.intake.seen_end(number)
                self._reporter.put(number, partition.report(log_end, time.time_ns() // 1_000_000))
        except TransientError:
            self._report_at = now + 2.0  # the broker is away: what is told then is newer
