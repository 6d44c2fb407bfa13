"""Writing hints: which keys may have changed.

A hint record holds the keys of one request that fall into its partition, so a
bulk write of a thousand points costs one small record a partition.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from vecferry.errors import UnknownOutcome
from vecferry.log.codec import Codec
from vecferry.log.names import Topics
from vecferry.log.partition import partition_of
from vecferry.log.publish import Publisher
from vecferry.record import Hint, HintKind

_RECORD_BYTES = 500_000
"""The keys in one record; brokers accept 1 MB unless told otherwise."""

_SLICE_S = 0.001


class HintWriter:
    """Writes hints to the partitions of their keys; threads may share one."""

    def __init__(
        self,
        publisher: Publisher,
        codec: Codec,
        topics: Topics,
        partitions: int,
        *,
        timeout_s: float = 30.0,
    ) -> None:
        """Take what writes.

        Args:
            publisher: Sends the records; not closed here.
            codec: Encodes them.
            topics: Names the topic.
            partitions: The migration's own count.
            timeout_s: How long ``append`` waits.
        """
        self._publisher = publisher
        self._codec = codec
        self._topic = topics.hints
        self._partitions = partitions
        self._timeout_s = timeout_s

    def append(
        self,
        kind: HintKind,
        keys: Iterable[bytes],
        *,
        request: str,
        verb: str = "unknown",
        position: str = "",
    ) -> dict[int, int]:
        """Write a request's hint and wait until it is durable in every partition that has keys.

        Args:
            kind: INTENT or DONE.
            keys: Canonical key bytes; order and repetition do not matter.
            request: Names the request.
            verb: ``upsert``, ``delete`` or ``unknown``.
            position: What the source says to read after.

        Returns:
            The offset of its last record in each of those partitions.

        Raises:
            UnknownOutcome: Not everything was acknowledged in time. It may
                still be; a hint too many does no harm, so try again.
            HaltError: Kafka refuses the records.
            RecordError: A key is larger than the broker accepts.
        """
        return self._append(Hint(kind, request, (), verb, position), self._by_partition(keys))

    def append_filter(
        self,
        kind: HintKind,
        keys: Iterable[bytes],
        *,
        request: str,
        verb: str = "unknown",
        scope: str = "",
    ) -> None:
        """Write the hint of a write that names a filter, and wait as :meth:`append` does.

        FILTER_INTENT and FILTER_DONE go to every partition, because nobody
        knows yet which keys the filter will find; FILTER_KEYS go where the
        keys are.

        Args:
            kind: FILTER_INTENT, FILTER_KEYS or FILTER_DONE.
            keys: Canonical key bytes of what the filter found.
            request: Names the request.
            verb: ``upsert``, ``delete`` or ``unknown``.
            scope: The collection that the write may touch.

        Raises:
            UnknownOutcome, HaltError, RecordError: As :meth:`append`.
        """
        groups = self._by_partition(keys)
        if kind is not HintKind.FILTER_KEYS:
            groups = {number: groups.get(number, {}) for number in range(self._partitions)}
        self._append(Hint(kind, request, (), verb, scope=scope), groups)

    def queue(self, hint: Hint) -> None:
        """Queue a hint behind what was queued before, and do not wait for it.

        For what ends a write: if it is lost with this process, the INTENT
        before it is swept.

        Args:
            hint: Its keys may be of any partition. FILTER_DONE goes to every one.

        Raises:
            HaltError: An earlier record could not be delivered.
        """
        groups = self._by_partition(hint.keys)
        if hint.kind is HintKind.FILTER_DONE:
            groups = {number: groups.get(number, {}) for number in range(self._partitions)}
        for number, value in self._records(hint, groups):
            self._publisher.publish(self._topic, value, partition=number)

    def beat(self, number: int, token: str = "") -> None:
        """Queue one BEAT for every partition, behind what was queued before.

        Does not wait: the BEAT itself is what is waited for, at the other end.

        Raises:
            HaltError: An earlier record could not be delivered.
        """
        hint = Hint(HintKind.BEAT, at_ms=int(time.time() * 1000), number=number, token=token)
        value = self._codec.encode_hint(hint)
        for partition in range(self._partitions):
            self._publisher.publish(self._topic, value, partition=partition)

    def _by_partition(self, keys: Iterable[bytes]) -> dict[int, dict[bytes, None]]:
        groups: dict[int, dict[bytes, None]] = {}
        for key in keys:
            groups.setdefault(partition_of(key, self._partitions), {})[key] = None
        return groups

    def _append(self, hint: Hint, groups: Mapping[int, Iterable[bytes]]) -> dict[int, int]:
        records = self._records(hint, groups)
        return self._publish_and_wait(records, f"the {hint.kind} of request {hint.request!r}")

    def _records(
        self, hint: Hint, groups: Mapping[int, Iterable[bytes]]
    ) -> list[tuple[int, bytes]]:
        hint = hint._replace(at_ms=int(time.time() * 1000))
        return [
            (number, self._codec.encode_hint(hint._replace(keys=some)))
            for number, keys in groups.items()
            for some in _split(keys)
        ]

    def _publish_and_wait(self, records: list[tuple[int, bytes]], what: str) -> dict[int, int]:
        # Waits for its own records only: a flush waits for everybody's, which
        # never ends while other threads go on writing.
        waiting = _Waiting(len(records))
        for number, value in records:
            self._publisher.publish(self._topic, value, partition=number, acked=waiting.of(number))
        deadline = time.monotonic() + self._timeout_s
        while not waiting.done.wait(_SLICE_S):
            self._publisher.poll()  # any thread's poll may bring any thread's answer
            if time.monotonic() > deadline:
                raise UnknownOutcome(
                    f"{what}: {waiting.left} of {len(records)} records were not acknowledged "
                    f"in {self._timeout_s:g} s; is Kafka there?"
                )
        return waiting.offsets


class _Waiting:
    def __init__(self, left: int) -> None:
        self.left = left
        self.offsets: dict[int, int] = {}
        self.done = threading.Event()
        self._lock = threading.Lock()
        if not left:
            self.done.set()

    def of(self, number: int) -> Callable[[int], None]:
        return lambda offset: self._acknowledged(number, offset)

    def _acknowledged(self, number: int, offset: int) -> None:
        with self._lock:
            self.offsets[number] = max(offset, self.offsets.get(number, -1))
            self.left -= 1
            if not self.left:
                self.done.set()


def _split(keys: Iterable[bytes]) -> list[tuple[bytes, ...]]:
    """Cut keys into records of a size that every broker accepts; at least one record."""
    records: list[list[bytes]] = [[]]
    size = 0
    for key in keys:
        if size and size + len(key) > _RECORD_BYTES:
            records.append([])
            size = 0
        records[-1].append(key)
        size += len(key)
    return [tuple(record) for record in records]
