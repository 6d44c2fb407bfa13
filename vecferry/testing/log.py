"""A log in memory: topics as lists, for tests of producers and consumers without a broker."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from vecferry.errors import RecordError
from vecferry.log.errors import NotOwner
from vecferry.log.intake import Committed, Raw
from vecferry.record import ControlRecord


class MemoryLog:
    """Topics by name and partition; an offset is an index.

    Attributes:
        record_bytes_max: Larger records are refused, as a broker does.
    """

    def __init__(self, record_bytes_max: int = 10_000_000) -> None:
        self.record_bytes_max = record_bytes_max
        self._records: dict[tuple[str, int], list[Raw]] = defaultdict(list)
        self._lock = threading.Lock()

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes) -> int:
        """Append a record and return its offset."""
        with self._lock:
            records = self._records[topic, partition]
            records.append(Raw(topic, partition, len(records), key, value, 0))
            return len(records) - 1

    def records(self, topic: str, partition: int) -> list[Raw]:
        """Return a partition's records."""
        with self._lock:
            return list(self._records[topic, partition])


class MemoryPublisher:
    """Publishes into a :class:`MemoryLog`; acknowledges on ``flush``, as late as a real one may.

    It has the methods of :class:`vecferry.log.publish.Publisher`.
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._acks: list[tuple[Callable[[int], None], int]] = []

    def publish(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int,
        acked: Callable[[int], None] | None = None,
    ) -> None:
        """Append at once, acknowledge later.

        Raises:
            RecordError: The record is too large.
        """
        if len(value) > self._log.record_bytes_max:
            raise RecordError(
                f"a record of {len(value)} bytes is larger than {self._log.record_bytes_max}"
            )
        offset = self._log.append(topic, partition, key, value)
        if acked is not None:
            self._acks.append((acked, offset))

    def publish_acked(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int
    ) -> int:
        """Append and return the offset."""
        self.flush()
        return self._log.append(topic, partition, key, value)

    def flush(self, timeout_s: float = 60.0) -> None:
        """Acknowledge everything."""
        acks, self._acks = self._acks, []
        for acked, offset in acks:
            acked(offset)

    def close(self) -> None:
        """Acknowledge what is left."""
        self.flush()


class MemoryControl:
    """The ``control`` log in memory, with the methods of :class:`vecferry.log.control.Control`."""

    def __init__(self) -> None:
        self._records: list[ControlRecord] = []
        self._changed = threading.Condition()

    def append(
        self,
        kind: str,
        name: str,
        body: Mapping[str, object],
        *,
        term: int = 0,
        timeout_s: float = 60.0,
    ) -> int:
        """Append a record and return its offset."""
        with self._changed:
            offset = len(self._records)
            self._records.append(ControlRecord(kind, term, name, dict(body), offset))
            self._changed.notify_all()
            return offset

    def read_to_end(self, timeout_s: float = 30.0) -> None:
        """Do nothing: it is always read to its end."""

    def latest(self, kind: str) -> dict[str, ControlRecord]:
        """Return the newest record of each name."""
        newest: dict[str, ControlRecord] = {}
        for record in self.history(kind):
            known = newest.get(record.name)
            if known is None or record.term >= known.term:
                newest[record.name] = record
        return newest

    def history(self, kind: str) -> list[ControlRecord]:
        """Return every record of a kind, in offset order."""
        with self._changed:
            return [record for record in self._records if record.kind == kind]

    def wait_change(self, timeout_s: float) -> None:
        """Wait until something is appended, at most so long."""
        with self._changed:
            self._changed.wait(timeout_s)

    def close(self) -> None:
        """Do nothing."""


class MemoryIntake:
    """One member that owns partitions of a :class:`MemoryLog`, with the methods of an ``Intake``.

    Args:
        log: What it reads.
        topic: What it reads there.
        commits: Shared by the members of a group: partition to commit.
        reactions: As an ``Intake`` takes them.
    """

    def __init__(
        self,
        log: MemoryLog,
        topic: str,
        commits: dict[int, Committed],
        reactions: Mapping[str, Callable[[list[int]], None]],
    ) -> None:
        self._log = log
        self._topic = topic
        self._commits = commits
        self._reactions = reactions
        self._next: dict[int, int] = {}
        self._paused: set[int] = set()
        self.is_lost = False

    def assign(self, partitions: list[int]) -> None:
        """Give it partitions, from their commits on."""
        for partition in partitions:
            self._next[partition] = self.committed(partition).offset
        self._reactions["assigned"](partitions)

    @property
    def owned(self) -> frozenset[int]:
        """What it believes to own."""
        return frozenset(self._next)

    def poll(self, records_max: int, timeout_s: float) -> list[Raw]:
        """Return what follows in its partitions, at once."""
        found: list[Raw] = []
        for partition, at in self._next.items():
            if partition not in self._paused:
                found += self._log.records(self._topic, partition)[
                    at : at + records_max - len(found)
                ]
        for raw in found:
            self._next[raw.partition] = raw.offset + 1
        return found

    def pause(self, partitions: Iterable[int]) -> None:
        """Return nothing of these."""
        self._paused |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """Return them again."""
        self._paused -= set(partitions)

    def seek(self, partition: int, offset: int) -> None:
        """Go on at ``offset``."""
        self._next[partition] = offset

    def committed(self, partition: int) -> Committed:
        """Return the group's commit."""
        return self._commits.get(partition, Committed(0, ""))

    def commit(self, places: Mapping[int, Committed]) -> None:
        """Commit for the group.

        Raises:
            NotOwner: It lost its partitions.
        """
        if self.is_lost:
            raise NotOwner("the partitions belong to another member")
        self._commits |= places

    def watermark(self, partition: int) -> int:
        """Return the end of a partition."""
        return len(self._log.records(self._topic, partition))

    def close(self) -> None:
        """Leave in order."""
        if not self.is_lost:
            self._reactions["revoked"](list(self._next))
