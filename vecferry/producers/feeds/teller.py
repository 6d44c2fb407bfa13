"""Hints of a feed that finds changes after they have happened: DONE, without an INTENT."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import KafkaException, TopicPartition

from vecferry.errors import TransientError
from vecferry.log.connection import Connection
from vecferry.log.errors import code_of, translate
from vecferry.log.names import Topics
from vecferry.record import HintKind

_log = logging.getLogger(__name__)
_ANSWER_S = 10.0
_PAUSE_MAX_S = 10.0


class HintSink(Protocol):
    """The part of :class:`~vecferry.log.hints.HintWriter` that is needed."""

    def append(
        self, kind: HintKind, keys: Sequence[bytes], *, request: str, verb: str = "unknown"
    ) -> dict[int, int]:
        """Write a hint; return where it lies once it is durable."""
        ...


class Teller:
    """Tells the log which keys have changed."""

    def __init__(
        self,
        sink: HintSink,
        stop: threading.Event,
        is_resolved: Callable[[Mapping[int, int]], bool] = lambda _: True,
    ) -> None:
        """Take what writes.

        Args:
            sink: Writes the hints.
            stop: Ends every wait.
            is_resolved: Tells whether the capture worker is past these offsets.
        """
        self._sink, self._stop, self._is_resolved = sink, stop, is_resolved
        self._prefix = uuid.uuid4().hex[:16]
        self._requests = 0

    def tell(self, keys: Sequence[bytes], verb: str = "unknown") -> dict[int, int]:
        """Hint these keys; return where the hints lie once every one is durable.

        ``verb`` is ``delete`` where the source itself says so: an absent point is no riddle then.

        Tries again while Kafka does not answer: what was written twice does no harm.

        Raises:
            TransientError: It was stopped before they were durable.
            HaltError: Kafka refuses them.
        """
        if not keys:
            return {}
        self._requests += 1
        request, pause_s = f"{self._prefix}-{self._requests}", 0.5
        while True:
            try:
                return self._sink.append(HintKind.DONE, keys, request=request, verb=verb)
            except TransientError as error:
                _log.warning("%d hints are not on record yet: %s", len(keys), error)
                if self._stop.wait(pause_s):
                    raise
                pause_s = min(_PAUSE_MAX_S, 2 * pause_s)

    def await_resolved(self, marks: Mapping[int, int]) -> bool:
        """Wait until the capture worker has read back every key hinted up to ``marks``.

        Returns:
            Whether it has; False when stopped before.
        """
        while marks and not self._is_resolved(marks):
            if self._stop.wait(0.5):
                return False
        return not self._stop.is_set()


class CaptureProgress:
    """How far the capture workers are, by what their group has committed."""

    def __init__(self, connection: Connection, topics: Topics) -> None:
        """Look at the hints of ``topics``; joins no group."""
        self._consumer = connection.consumer(topics.group("capture"))
        self._topic = topics.hints

    def is_past(self, marks: Mapping[int, int]) -> bool:
        """Tell whether the hints at these offsets, and all before, are resolved.

        False where Kafka does not answer.

        Raises:
            HaltError, ConfigError: It refuses us.
        """
        parts = [TopicPartition(self._topic, number) for number in marks]
        try:
            found = self._consumer.committed(parts, timeout=_ANSWER_S)
        except KafkaException as error:
            failed = translate(code_of(error), f"read what was committed of {self._topic}")
            if isinstance(failed, TransientError):
                return False
            raise failed from error
        return all(part.offset > marks[part.partition] for part in found)

    def close(self) -> None:
        """Give back the connection."""
        self._consumer.close()
