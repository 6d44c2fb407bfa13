"""The capture worker: a hint in, the key's image as the source holds it now out.

One owner for each hints partition, by the consumer group. What makes it lose
nothing, in order:

1. CLAIM in ``control``; its offset is the term. EPOCH(term) in the same
   partition of ``events``, acknowledged: from here on a predecessor's images
   are dropped by every fold.
2. Poll hints; coalesce by key; read the keys back *after* their hints.
3. Publish IMAGE or DELETE; every acknowledgement.
4. Read ``control`` to its end. A newer claim means that the images just
   published may be dropped: claim again and go back to the last commit.
5. Only then commit, and never past a hint that is not resolved.
"""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event as Flag

from vecferry.errors import HaltError, RecordError, TransientError
from vecferry.log.connection import Connection
from vecferry.log.errors import NotOwner
from vecferry.log.intake import Committed, Intake, Raw
from vecferry.ports import Store
from vecferry.producers.chunks import certificates
from vecferry.producers.event_log import EventLog
from vecferry.producers.pending import Due, Pending
from vecferry.producers.readback import Brake, ReadBack, Reader, newest_claims
from vecferry.record import Event, EventKind
from vecferry.settings import CaptureSettings

_log = logging.getLogger(__name__)
_POLL_RECORDS = 2_000
_IDLE_S = 0.1
_BUSY_S = 0.005
_PENDING_KEYS_MAX = 100_000
_READ_KEYS_MAX = 2_048
_DOUBT_S = 1.0


@dataclass(slots=True)
class _Partition:
    """A hints partition that is ours, under a term."""

    number: int
    term: int
    committed: int
    pending: Pending
    read_at: dict[bytes, float] = field(default_factory=dict)
    beat: int = -1


class CaptureWorker:
    """One worker process of the capture group."""

    def __init__(
        self,
        settings: CaptureSettings,
        source: Store,
        collections: list[str],
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Join nothing yet: :meth:`run` does.

        Args:
            settings: Patience, limits.
            source: Read back from; the caller closes it.
            collections: The source's names that move.
            log: Where images go.
            clock: Seconds that only grow.
        """
        self._settings = settings
        self._log = log
        self._clock = clock
        self._reader = Reader(source, collections)
        self._freshness_s = source.capabilities.freshness_s
        self._brake = Brake(
            settings.vanished_max, settings.vanished_window_s, clock, self._is_emptied
        )
        self._partitions: dict[int, _Partition] = {}
        self._doubtful: dict[int, float] = {}
        self._absent_since: dict[bytes, float] = {}
        self._name = uuid.uuid4().hex
        self._commit_at = 0.0
        self._quiet_until = 0.0
        self._failures = 0
        self._is_paused = False
        self._intake: Intake

    def run(self, connection: Connection, stop: Flag) -> None:
        """Join the group and capture until ``stop`` is set; then publish and commit what is resolved, and leave.

        Raises:
            HaltError: Going on could lose data; nothing more was committed.
        """
        topics = self._log.topics
        intake = Intake(
            connection,
            topics.hints,
            topics.group("capture"),
            assigned=self._assigned,
            revoked=self._revoked,
            lost=self._lost,
        )
        self._intake = intake
        try:
            while not stop.is_set():
                self._turn(intake)
        finally:
            intake.close()

    def _turn(self, intake: Intake) -> None:
        self._take_back(intake)
        is_busy = any(each.pending.due() for each in self._partitions.values())
        for raw in intake.poll(_POLL_RECORDS, _BUSY_S if is_busy else _IDLE_S):
            self._take(raw, self._clock())
        now = self._clock()
        for partition in self._partitions.values():
            partition.pending.sweep(now)
            self._record_rescans(partition)
        if now >= self._quiet_until:
            self._read_back(now)
        self._pass_beats()
        self._regulate(intake)
        if now >= self._commit_at:
            try:
                self._commit(intake)
                self._report(now)
            except TransientError as error:  # the broker is away: nothing was committed
                _log.warning("the commit is tried again: %s", error)
            self._commit_at = self._clock() + self._settings.commit_s

    # --- ownership ---

    def _assigned(self, numbers: list[int]) -> None:
        for number in numbers:
            committed = self._intake.committed(number).offset
            self._doubtful.pop(number, None)
            self._partitions[number] = self._claim(number, committed)

    def _claim(self, number: int, committed: int) -> _Partition:
        """CLAIM, then EPOCH in the same partition of ``events``, acknowledged."""
        name = f"{self._prefix}{number}/{uuid.uuid4().hex}"
        term = self._log.control.append("claim", name, {"partition": number})
        value = self._log.codec.encode_event(Event(EventKind.EPOCH, term=term))
        self._log.publisher.publish_acked(self._log.topics.events, value, partition=number)
        patience_s = self._settings.intent_max_s + self._settings.request_max_s
        return _Partition(number, term, committed, Pending(committed, patience_s))

    @property
    def _prefix(self) -> str:
        return f"capture/{self._log.topics.direction}/"

    def _revoked(self, numbers: list[int]) -> None:
        self._commit(self._intake, numbers)
        self._lost(numbers)

    def _lost(self, numbers: list[int]) -> None:
        for number in numbers:
            self._partitions.pop(number, None)
            self._doubtful.pop(number, None)

    def _disown(self, number: int) -> None:
        """Discard a partition whose commit the broker refused: `lost` comes, or it is ours after all.

        The latter when the group went on to its next generation meanwhile and
        we keep the partition: nobody is told then.
        """
        self._partitions.pop(number, None)
        self._doubtful[number] = self._clock() + _DOUBT_S

    def _take_back(self, intake: Intake) -> None:
        """Claim anew what the broker refused for a moment and lets us commit again."""
        now = self._clock()
        for number, due in list(self._doubtful.items()):
            if now < due:
                continue
            del self._doubtful[number]
            if number not in intake.owned:
                continue
            committed = intake.committed(number)
            try:
                intake.commit({number: committed})  # the proof; without it two would claim in turns
            except TransientError:
                self._doubtful[number] = now + _DOUBT_S
                continue
            self._partitions[number] = self._claim(number, committed.offset)
            intake.seek(number, committed.offset)
            if not self._is_paused:
                intake.resume([number])

    # --- hints ---

    def _take(self, raw: Raw, now: float) -> None:
        partition = self._partitions.get(raw.partition)
        if partition is None:
            return
        try:
            hint = self._log.codec.decode_hint(raw.value)
        except RecordError as error:
            raise HaltError(
                f"the hint at {raw.topic} partition {raw.partition} offset {raw.offset} cannot be read, so the keys "
                f"that it names cannot be captured: {error}"
            ) from error
        keys = tuple(key for key in hint.keys if self._reader.is_ours(key))
        partition.pending.take(raw.offset, hint._replace(keys=keys), now)

    def _record_rescans(self, partition: _Partition) -> None:
        for rescan in partition.pending.rescans():
            body = {
                "scope": rescan.scope,
                "reason": "a filter write died before it was done",
                "done": False,
            }
            self._log.control.append("rescan", f"{rescan.request}/{partition.number}", body)
            partition.pending.recorded(rescan)
            _log.warning(
                "a filter write on %r died before it was done: a rescan is on record", rescan.scope
            )

    # --- read back and publish ---

    def _read_back(self, now: float) -> None:
        chosen = {each.number: self._choose(each, now) for each in self._partitions.values()}
        dues = [due for group in chosen.values() for due in group]
        if not dues:
            return
        answers = {
            number: self._partitions[number].pending.began(due.key for due in group)
            for number, group in chosen.items()
        }
        try:
            read = self._reader.read(dues)
            self._brake.check(read)
        except TransientError as error:
            self._again(chosen, error)
            return
        self._failures = 0
        by_key = {each.due.key: each for each in read}
        for number, group in chosen.items():
            self._publish(self._partitions[number], [by_key[due.key] for due in group], now)
        self._log.publisher.flush()
        for number, answered in answers.items():
            waiting = {key for key in answered if key in self._absent_since}
            self._partitions[number].pending.answered(
                {key: offsets for key, offsets in answered.items() if key not in waiting}
            )

    def _is_emptied(self, collection: str) -> bool:
        certified = certificates(self._log.control).values()
        rows = (one.rows for one in certified if one.chunk.rpartition("/")[0] == collection)
        return self._reader.is_emptied(collection, sum(rows))

    def _choose(self, partition: _Partition, now: float) -> list[Due]:
        """Take the keys whose turn it is: a hot key is read a few times a second, not a thousand."""
        quiet_s, read_at = self._settings.hot_key_s, partition.read_at
        if len(read_at) > _READ_KEYS_MAX:
            partition.read_at = read_at = {
                key: at for key, at in read_at.items() if now - at < quiet_s
            }
        chosen = []
        for due in partition.pending.due():
            waits_until = (
                self._absent_since.get(due.key, now - self._freshness_s) + self._freshness_s
            )
            if now - read_at.get(due.key, -quiet_s) >= quiet_s and now >= waits_until:
                chosen.append(due)
                if len(chosen) == _READ_KEYS_MAX:
                    break
        for due in chosen:
            read_at[due.key] = now
        return chosen

    def _publish(self, partition: _Partition, read: list[ReadBack], now: float) -> None:
        for each in read:
            if each.error is not None:
                self._log.bury(each.due.key, partition.number, each.error, "capture")
            elif each.image is None and self._may_still_come(each.due, now):
                partition.pending.again(each.due)
            else:
                self._publish_one(partition, each)

    def _may_still_come(self, due: Due, now: float) -> bool:
        """Tell whether an absent upsert must be read once more before it is a DELETE."""
        if due.verb != "upsert" or not self._freshness_s:
            return False
        since = self._absent_since.setdefault(due.key, now)
        if now - since < self._freshness_s:
            return True
        del self._absent_since[due.key]
        return False

    def _publish_one(self, partition: _Partition, read: ReadBack) -> None:
        self._absent_since.pop(read.due.key, None)
        kind = EventKind.DELETE if read.image is None else EventKind.IMAGE
        event = Event(kind, read.due.key, read.image, partition.term, read.due.offset)
        try:
            self._log.publish(partition.number, event)
        except RecordError as error:
            self._log.bury(read.due.key, partition.number, error, "capture")

    def _again(self, chosen: dict[int, list[Due]], error: TransientError) -> None:
        for number, group in chosen.items():
            for due in group:
                self._partitions[number].pending.again(due)
        self._failures += 1
        pause_s = max(error.retry_after_s or 0.0, min(10.0, 0.1 * 2.0**self._failures))
        self._quiet_until = self._clock() + pause_s
        _log.warning("reading back failed, tried again in %.1f s: %s", pause_s, error)

    def _pass_beats(self) -> None:
        for partition in self._partitions.values():
            for offset, hint in partition.pending.passing():
                beat = Event(
                    EventKind.BEAT, term=partition.term, number=hint.number, token=hint.token
                )
                self._log.publish(partition.number, beat)
                # the commit flushes before it passes this place
                partition.pending.passed(offset)
                partition.beat = hint.number

    def _regulate(self, intake: Intake) -> None:
        held = sum(len(each.pending.due()) for each in self._partitions.values())
        if held > _PENDING_KEYS_MAX and not self._is_paused:
            intake.pause(self._partitions)
            self._is_paused = True
        elif held < _PENDING_KEYS_MAX // 2 and self._is_paused:
            intake.resume(self._partitions)
            self._is_paused = False

    def _report(self, now: float) -> None:
        """Say in ``control`` how far each partition is: what ``status`` and the lag are made of."""
        if not self._partitions:
            return
        places = {
            str(each.number): {
                "committed": each.committed,
                "position": each.pending.next,
                "beat": each.beat,
                "oldest_intent_s": each.pending.oldest_intent_s(now),
            }
            for each in self._partitions.values()
        }
        self._log.control.append("progress", f"capture/{self._name}", {"partitions": places})

    # --- commit ---

    def _commit(self, intake: Intake, numbers: list[int] | None = None) -> None:
        """Flush, look for newer claims, and only then commit what is resolved."""
        moving = [
            each
            for each in self._partitions.values()
            if (numbers is None or each.number in numbers)
            and each.pending.committable() > each.committed
        ]
        if not moving:
            return
        places = {each.number: each.pending.committable() for each in moving}
        self._log.publisher.flush()
        self._log.control.read_to_end()
        claims = [(record.name, record.offset) for record in self._log.control.history("claim")]
        newest = newest_claims(claims, self._prefix)
        for partition in moving:
            is_newest = newest[partition.number] <= partition.term
            place = places[partition.number] if is_newest else partition.committed
            try:
                intake.commit({partition.number: Committed(place, "")})
            except NotOwner:
                self._disown(partition.number)
                continue
            partition.committed = place
            if not is_newest and numbers is None:
                self._claim_again(intake, partition)

    def _claim_again(self, intake: Intake, partition: _Partition) -> None:
        """Our images may have been dropped for a newer term: claim, and read again since the commit.

        Only the owner does so, which its commit has just proved: two that claim
        in turns would drop each other's images for ever.
        """
        _log.warning(
            "partition %d was claimed by another worker: claiming it again", partition.number
        )
        self._partitions[partition.number] = self._claim(partition.number, partition.committed)
        intake.seek(partition.number, partition.committed)
