"""What producers write to: events, dead letters and the control log of one direction."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vecferry.errors import RecordError
from vecferry.log.codec import Codec
from vecferry.log.control import Control
from vecferry.log.publish import Publisher
from vecferry.log.topics import Topics
from vecferry.record import Dead, Event


@dataclass(frozen=True, slots=True)
class EventLog:
    """What a producer writes to.

    Attributes:
        publisher: To ``events`` and ``dead``.
        topics: The topics' names.
        codec: How records are encoded.
        partitions: Of ``events``.
        control: Claims, bounds, certificates, diverged marks.
    """

    publisher: Publisher
    topics: Topics
    codec: Codec
    partitions: int
    control: Control

    def publish(self, partition: int, event: Event) -> None:
        """Queue an event for its partition.

        Raises:
            RecordError: It is larger than the broker accepts.
            HaltError: An earlier record could not be delivered.
        """
        value = self.codec.encode_event(event)
        self.publisher.publish(
            self.topics.events, value, key=event.key or None, partition=partition
        )

    def to_every_partition(self, event_for: Callable[[int], Event]) -> list[int]:
        """Publish one marker to each partition; return their offsets once all are acknowledged."""
        offsets: dict[int, int] = {}
        for partition in range(self.partitions):
            self.publisher.publish(
                self.topics.events,
                self.codec.encode_event(event_for(partition)),
                partition=partition,
                acked=partial(offsets.__setitem__, partition),
            )
        self.publisher.flush()
        return [offsets[partition] for partition in range(self.partitions)]

    def bury(self, key: bytes, partition: int, error: RecordError, role: str) -> None:
        """Dead-letter a point that the log cannot hold, and mark its key as diverged."""
        dead = Dead(
            topic=self.topics.events,
            partition=partition,
            offset=-1,
            key=key,
            value=b"",
            reason=str(error),
            error=type(error).__name__,
            role=role,
            at_ms=time.time_ns() // 1_000_000,
        )
        self.publisher.publish_acked(
            self.topics.dead, self.codec.encode_dead(dead), key=key, partition=partition
        )
        body = {"reason": str(error), "diverged": True, "role": role}
        self.control.append("diverged", key.hex(), body)
