"""From waiting states to acknowledged ones: batches, retries, bisection, dead letters."""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from vecferry.consumers.dead_letter import DeadLetters
from vecferry.consumers.partition import Partition, Spoiled
from vecferry.consumers.progress import Batch, State
from vecferry.consumers.retries import Backoff
from vecferry.consumers.sending import Job, Outcome, Sender
from vecferry.consumers.targets import Refusal, Withheld
from vecferry.errors import RecordError, TransientError, UnknownOutcome
from vecferry.settings import ApplySettings

_log = logging.getLogger(__name__)


class _Pause(NamedTuple):
    """A batch that failed and when it is due; ``is_ailing`` where the database refused it for now."""

    partition: Partition
    batch: Batch
    due: float
    is_ailing: bool


class _Grave(NamedTuple):
    """What has to be buried before its batch is released."""

    partition: Partition
    batch: Batch
    bury: Callable[[], None]


class Delivery:
    """Sends batches, a bounded number at a time, and deals with what comes back."""

    def __init__(
        self,
        settings: ApplySettings,
        sender: Sender,
        letters: DeadLetters,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._letters = letters
        self._clock = clock
        self._backoff = Backoff(settings.backoff_max_s)
        self._pauses: list[_Pause] = []
        self._graves: list[_Grave] = []
        self._bury_at = float("-inf")
        self._burials_failed = 0
        self._flying = 0
        self._turns = 0
        self._served: dict[int, int] = {}  # partition: the turn of its last batch

    # --- sending ---

    def send(self, partitions: Iterable[Partition]) -> None:
        """Send what is due again, then new batches while there is room.

        Nothing while a letter is outstanding: the mark of an older state must
        lie before the success of a newer one that clears it.
        """
        if self._graves:
            return
        now = self._clock()
        sendable = {partition for partition in partitions if partition.may_send(now)}
        self._send_due(sendable, now)
        # the one that waited longest goes first, one batch each: none starves beside a full one
        waiting = sorted(sendable, key=lambda partition: self._served.get(partition.number, 0))
        while waiting and self._room() > 0:
            partition = waiting.pop(0)
            if keys := self._next_keys(partition):
                self._submit(partition, partition.progress.launch(keys))
                self._turns += 1
                self._served[partition.number] = self._turns
                waiting.append(partition)

    def is_blocked(self) -> bool:
        """Whether only an answer lets anything more be sent."""
        return self._flying > 0 and self._room() <= 0

    @property
    def flying(self) -> int:
        """Batches without an answer, also those of partitions that are gone."""
        return self._flying

    def _next_keys(self, partition: Partition) -> list[bytes]:
        # A part of a batch waits while its partition has a write out: under load
        # batches fill up, without load nothing waits
        progress, points = partition.progress, self._settings.batch_points
        if len(progress.waiting) < points and partition.is_flying():
            return []
        return progress.choose(points, self._settings.batch_bytes)

    def _room(self) -> int:
        # a batch that the database refuses for now keeps its place: in an outage
        # the same batches knock again, and no others
        ailing = sum(pause.is_ailing for pause in self._pauses)
        return self._settings.writes_in_flight - self._flying - ailing

    def _send_due(self, sendable: set[Partition], now: float) -> None:
        kept = []
        for pause in self._pauses:
            partition, batch = pause.partition, pause.batch
            if not partition.is_open:
                continue
            if now < pause.due or not (self._settle(partition, batch) and partition in sendable):
                kept.append(pause)
                continue
            partition.progress.relaunch(batch)
            self._submit(partition, batch)
        self._pauses = kept

    def _settle(self, partition: Partition, batch: Batch) -> bool:
        # its time is over: nothing of it can land any more
        if batch.state is State.UNKNOWN:
            partition.progress.settled(batch)
        return self._flying < self._settings.writes_in_flight

    def _submit(self, partition: Partition, batch: Batch) -> None:
        self._flying += 1
        self._sender.submit(Job(partition, batch, tuple(batch.entries.items())))

    # --- what comes back ---

    def receive(self, timeout_s: float) -> None:
        """Take the answers that are there, after waiting for one at most ``timeout_s``.

        Raises:
            HaltError, ConfigError: As a store said; so does any error that is not ours.
        """
        for outcome in self._sender.outcomes(timeout_s):
            self._flying -= 1
            partition = outcome.job.owner
            if isinstance(partition, Partition) and partition.is_open:
                self._receive(partition, outcome)

    def _receive(self, partition: Partition, outcome: Outcome) -> None:
        batch, error = outcome.job.batch, outcome.error
        match error:
            case None:
                self._applied(partition, outcome)
            case Withheld():
                self._again(partition, batch, outcome.at, is_ailing=False)
            case UnknownOutcome():
                partition.progress.unknown(batch)
                batch.tries += 1
                wait_s = max(self._settings.request_max_s, error.retry_after_s or 0)
                self._note(partition, batch, error, wait_s)
                self._pauses.append(_Pause(partition, batch, outcome.at + wait_s, is_ailing=False))
            case TransientError():
                pause_s = self._backoff.pause_s(batch.tries, error.retry_after_s)
                batch.tries += 1
                self._note(partition, batch, error, pause_s)
                self._again(partition, batch, outcome.at + pause_s, is_ailing=True)
            case RecordError():
                self._isolate(partition, batch, error)
            case _:
                raise error

    def _again(self, partition: Partition, batch: Batch, due: float, *, is_ailing: bool) -> None:
        partition.progress.settled(batch)
        self._pauses.append(_Pause(partition, batch, due, is_ailing))

    def _isolate(self, partition: Partition, batch: Batch, error: RecordError) -> None:
        """Halve a batch that the database refuses, until the poison stands alone."""
        keys = list(batch.entries)
        if len(keys) == 1:
            refusal = Refusal(keys[0], str(error), type(error).__name__)
            self._condemn(partition, batch, [refusal])
            return
        half = partition.progress.split(batch, keys[len(keys) // 2 :], State.READY)
        for part in (batch, half):
            part.tries = 0
            self._again(partition, part, float("-inf"), is_ailing=False)

    def _applied(self, partition: Partition, outcome: Outcome) -> None:
        """Everything but what was refused is durable."""
        batch, progress = outcome.job.batch, partition.progress
        if outcome.refused:
            keys = [refusal.key for refusal in outcome.refused]
            self._condemn(partition, progress.split(batch, keys, State.HELD), outcome.refused)
        partition.points += len(batch.entries)
        partition.size += sum(entry.size for entry in batch.entries.values())
        entries = tuple(batch.entries.items())
        if self._letters.concerns(entries):
            batch.state = State.HELD  # applied; the marks are cleared before it is released
            self._graves.append(_Grave(partition, batch, lambda: self._letters.clear(entries)))
        else:
            progress.acknowledged(batch)

    # --- what can never be applied ---

    def spoil(self, partition: Partition, spoiled: Spoiled) -> None:
        """Bury a record that cannot be decoded; the commit stays before it until then."""
        raw, error, batch = spoiled
        self._graves.append(
            _Grave(partition, batch, lambda: self._letters.bury_undecoded(raw, error))
        )

    def _condemn(self, partition: Partition, batch: Batch, refused: list[Refusal]) -> None:
        batch.state = State.HELD
        entries = dict(batch.entries)

        def bury() -> None:
            for refusal in refused:
                self._letters.bury(partition.number, refusal, entries[refusal.key])

        self._graves.append(_Grave(partition, batch, bury))

    def bury(self) -> None:
        """Write the letters and marks that are due; each releases its batch when acknowledged."""
        now = self._clock()
        if not self._graves or now < self._bury_at:
            return
        while self._graves:
            grave = self._graves[0]
            if grave.partition.is_open:
                try:
                    grave.bury()
                except TransientError as error:  # Kafka, not the record: the same again, later
                    self._bury_at = now + self._backoff.pause_s(self._burials_failed)
                    self._burials_failed += 1
                    _log.warning("a dead letter was not acknowledged, again soon: %s", error)
                    return
                grave.partition.progress.acknowledged(grave.batch)
            self._burials_failed = 0
            del self._graves[0]

    def _note(
        self, partition: Partition, batch: Batch, error: TransientError, pause_s: float
    ) -> None:
        _log.warning(
            "a write of %d points of partition %d failed (try %d), again in %.1f s: %s",
            len(batch.entries),
            partition.number,
            batch.tries,
            pause_s,
            error,
        )
