"""Publishing: records that are acknowledged, in order, or an error.

The producer is idempotent with ``acks=all``: what is acknowledged is durable,
once, and in the order in which it was given. A record is never given up while
the broker is away; callers wait as long as they like.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import ConfigResource, ResourceType

from vecferry.errors import HaltError, RecordError, TransientError, UnknownOutcome, VecferryError
from vecferry.log.connection import Connection
from vecferry.log.errors import code_of, translate

_BLOCK_S = 600.0  # a worker that cannot publish for so long starts again
_LIMIT_S = 10.0  # to be told a topic's limit
_SLICE_S = 0.1  # how often a wait looks up
_OVERHEAD_BYTES = 256  # of a batch and a record around the key and the value
_GIVEN_UP = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class Publisher:
    """Publishes records to any topic; its bounds make a fast caller wait.

    Several threads may publish at the same time. Callbacks run inside the
    methods, in whichever thread is in one.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        in_flight_bytes_max: int = 64_000_000,
        linger_ms: int | None = None,
    ) -> None:
        """Make a producer.

        Args:
            connection: To the cluster.
            in_flight_bytes_max: Of records that are not acknowledged yet; with
                as many, or 100,000 of them, ``publish`` waits.
            linger_ms: How long a batch waits to fill; the connection's choice when None.
        """
        more: dict[str, object] = {} if linger_ms is None else {"linger_ms": linger_ms}
        self._connection = connection
        self._producer: Producer = connection.producer(
            queue_buffering_max_kbytes=max(1, in_flight_bytes_max // 1024),
            queue_buffering_max_messages=100_000,
            **more,
        )
        self._admin = connection.admin()
        self._bytes_max: dict[str, int] = {}
        self._failed: VecferryError | None = None

    def publish(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int,
        acked: Callable[[int], None] | None = None,
    ) -> None:
        """Queue a record; wait while too much is in flight.

        Args:
            topic: Its topic.
            value: The record.
            key: Its key.
            partition: Always explicit: the partitioner is ours.
            acked: Called with the record's offset once it is durable.

        Raises:
            RecordError: The record is larger than the broker accepts.
            HaltError: An earlier record could not be delivered.
            TransientError: Nothing could be queued for minutes; this record was not.
        """
        report = self._delivered if acked is None else functools.partial(self._acked, acked)
        self._queue(topic, value, key, partition, report)

    def prepare(self, topic: str) -> None:
        """Learn now how large a record of the topic may be: the first ``publish`` would have to ask."""
        self._learn_limit(topic)

    def publish_acked(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int,
        timeout_s: float = _BLOCK_S,
    ) -> int:
        """Publish a record, wait until it is durable, and return its offset.

        Raises:
            RecordError: The record is larger than the broker accepts.
            HaltError: It, or an earlier record, could not be delivered.
            UnknownOutcome: No answer in that time; the record may still be written.
        """
        answer: list[int | KafkaError] = []
        self._queue(topic, value, key, partition, functools.partial(_answer, answer))
        deadline = time.monotonic() + timeout_s
        while not answer:
            self._producer.poll(_SLICE_S / 5)
            self._connection.require_accepted()
            if time.monotonic() > deadline:
                raise UnknownOutcome(f"no answer of Kafka to a record for {topic} [{partition}]")
        found = answer[0]
        if isinstance(found, KafkaError):
            raise translate(found, f"publish to {topic} [{partition}] {_sized(key, value)}")
        return found

    def flush(self, timeout_s: float = _BLOCK_S) -> None:
        """Wait until every record given before is acknowledged.

        Raises:
            HaltError: One could not be delivered.
            UnknownOutcome: The time is over; what is queued stays queued.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = self._producer.flush(max(0.0, min(_SLICE_S, deadline - time.monotonic())))
            self._require_sound()
            if not left:
                return
            self._connection.require_accepted()
            if time.monotonic() >= deadline:
                raise UnknownOutcome(
                    f"{left} records are not acknowledged after {timeout_s:g} s: Kafka at "
                    f"{self._connection.bootstrap_servers} does not answer"
                )

    def poll(self) -> None:
        """Run the callbacks of what was acknowledged meanwhile."""
        self._producer.poll(0)
        self._require_sound()

    @property
    def in_flight(self) -> int:
        """Records that are not acknowledged yet."""
        return len(self._producer)

    def close(self, timeout_s: float = 30.0) -> None:
        """Flush and end. The producer is gone afterwards, whatever is raised.

        Raises:
            HaltError: A record could not be delivered.
            UnknownOutcome: Some are not acknowledged; they are given up.
        """
        try:
            self.flush(timeout_s)
        finally:
            self._producer.purge()
            self._producer.close(1.0)

    def _queue(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        partition: int,
        report: Callable[[KafkaError | None, Any], None],
    ) -> None:
        if self._failed is not None:
            self._require_sound()
        limit = self._bytes_max.get(topic) or self._learn_limit(topic)
        if len(value) > limit:
            raise RecordError(
                f"a record of {len(value)} bytes for {topic} is larger than the {limit} bytes "
                f"that fit: raise {topic}'s max.message.bytes and [log.kafka] message.max.bytes"
            )
        try:
            self._producer.produce(topic, value, key, partition, report)
        except BufferError:
            self._queue_slowly(topic, value, key, partition, report)
        except KafkaException as error:
            raise translate(code_of(error), f"publish to {topic} {_sized(key, value)}") from error
        self._producer.poll(0)

    def _queue_slowly(self, topic: str, *record: Any) -> None:
        """Wait for room; callbacks that run meanwhile are what makes it."""
        deadline = time.monotonic() + _BLOCK_S
        while True:
            self._producer.poll(_SLICE_S)
            self._require_sound()
            self._connection.require_accepted()
            try:
                self._producer.produce(topic, *record)
            except BufferError as error:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"Kafka took nothing for {_BLOCK_S:g} s: a record for {topic} was not queued"
                    ) from error
            else:
                return

    def _learn_limit(self, topic: str) -> int:
        """Ask for the topic's own limit; where it is not told, the broker refuses on its own."""
        limit = self._connection.record_bytes_max
        resource = ConfigResource(ResourceType.TOPIC, topic)
        asked = self._admin.describe_configs([resource], request_timeout=_LIMIT_S)
        for future in asked.values():
            try:
                entry = future.result().get("max.message.bytes")
            except KafkaException as error:
                failed = translate(code_of(error), f"read the settings of {topic}")
                if isinstance(failed, TransientError):
                    return limit - _OVERHEAD_BYTES  # asked again with the next record
                entry = None
            if entry is not None:
                limit = min(limit, int(entry.value))
        self._bytes_max[topic] = limit - _OVERHEAD_BYTES
        return self._bytes_max[topic]

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._fail(error, message)

    def _acked(self, acked: Callable[[int], None], error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._fail(error, message)
        else:
            acked(message.offset())

    def _fail(self, error: KafkaError, message: Any) -> None:
        if self._failed is None and error.code() not in _GIVEN_UP:
            where = f"{message.topic()} [{message.partition()}]"
            found = translate(error, f"publish to {where} {_sized(message.key(), message)}")
            self._failed = HaltError(f"a record was not delivered: {found}")

    def _require_sound(self) -> None:
        if self._failed is not None:
            raise self._failed


def _answer(answer: list[int | KafkaError], error: KafkaError | None, message: Any) -> None:
    answer.append(message.offset() if error is None else error)


def _sized(key: bytes | None, value: Any) -> str:
    return f"(a record of {len(key or b'') + len(value or b'')} bytes)"
