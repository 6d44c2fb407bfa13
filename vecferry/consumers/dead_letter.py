"""What can never be applied: a dead letter, and a mark in ``control`` until the key succeeds.

A letter holds the raw record, so that it can be tried again. The mark (kind
``diverged``, named by the key's bytes in hex) keeps the gate closed; a newer
success of the key clears it, whoever set it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vecferry.consumers.log_ends import ApplyLog
from vecferry.consumers.progress import Entry
from vecferry.consumers.targets import Refusal
from vecferry.errors import RecordError
from vecferry.log.intake import Raw
from vecferry.record import Dead

Entries = Sequence[tuple[bytes, Entry]]

_LOOK_S = 1.0
_REMEMBER_S = 5.0


class DeadLetters:
    """Buries records, marks their keys, and clears the marks of keys that succeed."""

    def __init__(self, log: ApplyLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._marks: dict[bytes, Mapping[str, Any]] = {}
        self._looked_at = float("-inf")
        # Recent successes of changes: a mark that reaches us a little after the
        # success that clears it must find it. Two generations, the older dropped.
        self._recent: tuple[dict[bytes, Entry], dict[bytes, Entry]] = ({}, {})
        self._turned_at = float("-inf")

    def bury(self, partition: int, refusal: Refusal, entry: Entry) -> None:
        """Bury the state of a key; return when letter and mark are acknowledged.

        Raises:
            TransientError: Kafka did not acknowledge; bury it again.
        """
        value = self._log.codec.encode_event(entry.event)
        raw = Raw(self._log.topics.events, partition, entry.offset, refusal.key, value, 0)
        self._bury(raw, refusal.key, refusal.reason, refusal.error)

    def bury_undecoded(self, raw: Raw, error: RecordError) -> None:
        """Bury a record that cannot be decoded; its Kafka key says whose state is lost.

        A record without a key, a damaged marker, is marked by where it lies:
        what it would have meant nobody knows, and the gate stays closed.

        Raises:
            TransientError: Kafka did not acknowledge; bury it again.
        """
        key = raw.key or f"{raw.topic}/{raw.partition}/{raw.offset}".encode()
        self._bury(raw, key, str(error), type(error).__name__)

    def concerns(self, entries: Entries) -> bool:
        """Note that these states were applied; whether a mark of one has to be cleared."""
        recent = self._recent[0]
        for key, entry in entries:
            if entry.event.hint_offset >= 0:
                recent[key] = entry
        marks = self._marks
        return bool(marks) and any(
            key in marks and _is_newer(entry, marks[key]) for key, entry in entries
        )

    def clear(self, entries: Entries) -> None:
        """Clear the marks of keys whose newer state was applied.

        Raises:
            TransientError: Kafka did not acknowledge; clear them again.
        """
        for key, entry in entries:
            mark = self._marks.get(key)
            if mark is not None and _is_newer(entry, mark):
                body = {"diverged": False, "role": "apply", "reason": "", "offset": entry.offset}
                self._log.control.append("diverged", key.hex(), body)
                del self._marks[key]

    def look(self) -> None:
        """Learn of marks that others set, about once a second.

        Raises:
            TransientError: Kafka did not acknowledge the end of one.
        """
        now = self._clock()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        self._marks = {
            bytes.fromhex(name): record.body
            for name, record in self._log.control.latest("diverged").items()
            if record.body.get("diverged")
        }
        for generation in self._recent:
            self.clear([(key, generation[key]) for key in list(self._marks) if key in generation])
        if now - self._turned_at > _REMEMBER_S:
            self._recent = ({}, self._recent[0])
            self._turned_at = now

    def _bury(self, raw: Raw, key: bytes, reason: str, error: str) -> None:
        dead = Dead(
            topic=raw.topic,
            partition=raw.partition,
            offset=raw.offset,
            key=raw.key or b"",
            value=raw.value,
            reason=reason,
            error=error,
            role="apply",
            at_ms=time.time_ns() // 1_000_000,
        )
        try:
            self._publish(dead)
        except RecordError:  # the letter is a little larger than what it holds
            note = f"{reason} (its {len(raw.value)} bytes do not fit into a letter)"
            self._publish(dead._replace(value=b"", reason=note))
        mark = {
            "diverged": True,
            "role": "apply",
            "reason": reason,
            "partition": raw.partition,
            "offset": raw.offset,
        }
        self._log.control.append("diverged", key.hex(), mark)
        self._marks[key] = mark

    def _publish(self, dead: Dead) -> None:
        self._log.publisher.publish_acked(
            self._log.topics.dead,
            self._log.codec.encode_dead(dead),
            key=dead.key or None,
            partition=dead.partition,
        )


def _is_newer(entry: Entry, mark: Mapping[str, Any]) -> bool:
    """Whether a state came after what the mark is about."""
    if mark.get("role") == "apply":
        return entry.offset > int(mark.get("offset", -1))
    # what capture could not publish is known by its hint; a snapshot's row by nothing
    return "hint_offset" not in mark or entry.event.hint_offset > int(mark["hint_offset"])
