"""The ``control`` log: what the processes of a migration tell each other.

One partition, compacted. Every process tails it from the start into a small
fold: the last record of each kind, term and name, which is also what
compaction keeps. So what a process sees never depends on whether the broker
has compacted yet: what is replaced keeps its name, and what is history (claims,
bounds, certificates of different attempts) must get a new name each time.
"""

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from vecferry.errors import HaltError, TransientError, VecferryError
from vecferry.log.connection import Connection
from vecferry.log.errors import GO_ON, translate
from vecferry.log.names import Topics
from vecferry.log.publish import Publisher
from vecferry.record import ControlRecord

_MARK = "mark"  # a record that says nothing: where it lies is the end of the log
_SLICE_S = 0.2
_RECORDS_MAX = 1_000
_READ_S = 30.0
_APPEND_S = 60.0


class ControlCodec(Protocol):
    """The part of the codec that ``control`` needs."""

    def encode_control(self, record: ControlRecord) -> bytes:
        """Encode one record."""
        ...

    def decode_control(self, data: bytes, offset: int) -> ControlRecord:
        """Decode the record that lies at ``offset``."""
        ...


class Control:
    """A producer to ``control`` and a thread that tails it. Any thread may call.

    Guarantees:
        What ``latest`` and ``history`` return is the log up to some offset,
        whole; after ``read_to_end`` that offset is at least the end the log had
        when it was called, on every broker.
        A record that cannot be read, or a broker that refuses us, ends the
        tail; every method then raises why.
    """

    def __init__(self, connection: Connection, topics: Topics, codec: ControlCodec) -> None:
        """Start the tail at the log's start.

        Raises:
            ConfigError: A property of ``[log.kafka]`` cannot be used.
        """
        self._connection, self._topic, self._codec = connection, topics.control, codec
        self._mark = uuid.uuid4().hex
        self._publisher = Publisher(connection, in_flight_bytes_max=32_000_000, linger_ms=0)
        self._records: dict[str, dict[tuple[int, str], ControlRecord]] = {}
        self._position = 0  # every record before it is in the fold
        self._changes = 0
        self._news = threading.Condition()
        self._failed: BaseException | None = None
        self._closing = threading.Event()
        self._consumer: Consumer = connection.consumer(
            f"{self._topic}.tail", auto_offset_reset="earliest", fetch_wait_max_ms=200
        )
        self._thread = threading.Thread(target=self._tail, name="control-tail", daemon=True)
        self._thread.start()

    def append(
        self,
        kind: str,
        name: str,
        body: Mapping[str, object],
        *,
        term: int = 0,
        timeout_s: float = _APPEND_S,
    ) -> int:
        """Write a record and return its offset, once it is durable.

        The tail may not have reached it yet: :meth:`read_through` waits for that.

        Raises:
            HaltError: It could not be written, or the tail has ended.
            UnknownOutcome: No answer of the broker; it may still be written.
        """
        self._require_sound()
        record = ControlRecord(kind, term, name, body, at_ms=time.time_ns() // 1_000_000)
        return self._publisher.publish_acked(
            self._topic,
            self._codec.encode_control(record),
            key=f"{kind}/{term}/{name}".encode(),
            partition=0,
            timeout_s=timeout_s,
        )

    def read_to_end(self, timeout_s: float = _READ_S) -> None:
        """Wait until the tail has passed the end that the log has now.

        Raises:
            TransientError: The time is over.
            HaltError: The tail has ended.
        """
        deadline = time.monotonic() + timeout_s
        # Where a record of our own lies is beyond all that was acknowledged before it.
        # The broker's word for the end would not do: the embedded one's may be too low,
        # and after a change of leaders a client may be refused it for minutes.
        end = self.append(_MARK, self._mark, {}, timeout_s=timeout_s) + 1
        self._await(end, deadline)

    def read_through(self, offset: int, timeout_s: float = _READ_S) -> None:
        """Wait until the tail has passed ``offset``.

        Raises:
            TransientError: The time is over.
            HaltError: The tail has ended.
        """
        self._await(offset + 1, time.monotonic() + timeout_s)

    def latest(self, kind: str) -> dict[str, ControlRecord]:
        """Return the newest record of each name: of the highest term, then the highest offset."""
        newest: dict[str, ControlRecord] = {}
        for record in self.history(kind):
            held = newest.get(record.name)
            if held is None or record.term >= held.term:
                newest[record.name] = record
        return newest

    def history(self, kind: str) -> list[ControlRecord]:
        """Return the records of a kind in offset order, the last one of each term and name."""
        with self._news:
            self._require_sound()
            records = list(self._records.get(kind, {}).values())
        return sorted(records, key=lambda record: record.offset)

    @property
    def changes(self) -> int:
        """A number that grows with every record that is read; see :meth:`wait_change`."""
        return self._changes

    def wait_change(self, timeout_s: float, since: int | None = None) -> None:
        """Return when a record was read, or after ``timeout_s``.

        Args:
            timeout_s: The longest wait.
            since: ``changes`` as it was before the caller looked, so that
                nothing in between is missed; now when None.
        """
        with self._news:
            seen = self._changes if since is None else since
            self._news.wait_for(
                lambda: self._changes != seen or self._failed is not None, timeout_s
            )
            self._require_sound()

    def close(self, timeout_s: float = _READ_S) -> None:
        """Stop the tail and the producer.

        Args:
            timeout_s: How long to wait for acknowledgements.

        Raises:
            UnknownOutcome: A record is still not acknowledged.
        """
        self._closing.set()
        self._thread.join()
        self._publisher.close(timeout_s)

    def _await(self, position: int, deadline: float) -> None:
        with self._news:
            self._news.wait_for(
                lambda: self._position >= position or self._failed is not None,
                max(0.0, deadline - time.monotonic()),
            )
            self._require_sound()
            if self._position < position:
                raise TransientError(
                    f"{self._topic} was read to {self._position} and not to {position}: "
                    "Kafka does not answer in time"
                )

    def _tail(self) -> None:
        try:
            self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self._closing.is_set():
                first = self._consumer.poll(_SLICE_S)
                if first is None:
                    self._connection.require_accepted()
                    continue
                self._take([first, *self._consumer.consume(_RECORDS_MAX, 0)])
        except BaseException as error:
            with self._news:
                self._failed = error
                self._news.notify_all()
        finally:
            self._consumer.close()

    def _take(self, messages: list[Any]) -> None:
        records, position = [], 0
        for message in messages:
            error = message.error()
            if error is None:
                position = message.offset() + 1
                if message.value() is not None:
                    records.append(self._codec.decode_control(message.value(), message.offset()))
            elif error.code() not in GO_ON:
                failed = translate(error, f"read {self._topic}")
                if not isinstance(failed, TransientError):  # those the client tries again
                    raise failed
        if not position:
            return
        with self._news:
            for record in records:
                if record.kind != _MARK:
                    self._records.setdefault(record.kind, {})[record.term, record.name] = record
            self._position = position
            self._changes += 1
            self._news.notify_all()

    def _require_sound(self) -> None:
        failed = self._failed
        if failed is None:
            return
        kind = type(failed) if isinstance(failed, VecferryError) else HaltError
        raise kind(f"the tail of {self._topic} has ended: {failed}") from failed
