"""Intake: one member of a consumer group, bounded, that never skips a record.

``auto.offset.reset=error``: a partition without a commit, or with one that the
log no longer holds, stops the worker. Rebalancing is cooperative, so a worker
keeps the partitions that it keeps.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from vecferry.errors import HaltError, TransientError, VecferryError
from vecferry.log.connection import Connection
from vecferry.log.errors import GO_ON, NotOwner, code_of, translate
from vecferry.log.patience import REQUEST_S, persist

__all__ = ["Committed", "Intake", "NotOwner", "Raw", "Reactions"]

_COMMITS_READ_S = 120.0  # the group's coordinator has just answered: it is not long away
_SLICE_S = 0.2  # a wait inside the client hears no signal


class Raw(NamedTuple):
    """A record as the broker gave it. ``timestamp_ms`` is the producer's clock, for people."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp_ms: int


class Committed(NamedTuple):
    """A group's place in a partition: the next offset to read, and a text beside it."""

    offset: int
    metadata: str = ""


class Reactions(TypedDict):
    """What a worker does when its partitions change; each runs inside ``poll`` or ``close``.

    Attributes:
        assigned: They are ours; ``seek`` and ``pause`` hold before the first record.
        revoked: They are ours until this returns: finish and commit.
        lost: They may be somebody else's already: discard, and commit nothing.
    """

    assigned: Callable[[list[int]], None]
    revoked: Callable[[list[int]], None]
    lost: Callable[[list[int]], None]


class Intake:
    """One member of a consumer group that reads one topic. For one thread.

    Guarantees:
        The records of a partition come in offset order, from the committed
        offset or where ``seek`` put it, each once per assignment. After
        ``revoked`` or ``lost`` none of that partition follows.
        A reaction that raises ends the intake: ``poll`` raises the same, always.
    """

    def __init__(
        self, connection: Connection, topic: str, group: str, **reactions: Unpack[Reactions]
    ) -> None:
        """Join the group with the first ``poll``.

        Args:
            connection: To the cluster.
            topic: What is read.
            group: The group's name.
            reactions: ``assigned``, ``revoked`` and ``lost``: see :class:`Reactions`.
        """
        self._connection, self._topic, self._group = connection, topic, group
        self._reactions = reactions
        self._commits: dict[int, Committed] = {}
        self._starts: dict[int, int] = {}  # of partitions that are not being read yet
        self._paused: set[int] = set()
        self._failed: BaseException | None = None
        self._polled = time.monotonic()
        self._consumer: Consumer = connection.consumer(group)
        self._consumer.subscribe(
            [topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    @property
    def owned(self) -> frozenset[int]:
        """The partitions that are ours."""
        return frozenset(self._commits)

    def poll(self, records_max: int, timeout_s: float) -> list[Raw]:
        """Return at most ``records_max`` records, as soon as there are some.

        Raises:
            HaltError: A partition has no commit, or the log no longer holds it.
            ConfigError: The broker refuses this client.
        """
        messages = self._consumer.consume(records_max, 0)
        deadline = time.monotonic() + timeout_s
        while not messages and self._failed is None:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            first = self._consumer.poll(min(left, _SLICE_S))
            if first is not None:
                messages = [first, *self._consumer.consume(records_max - 1, 0)]
            self._polled = time.monotonic()
        self._polled = time.monotonic()
        self._require_sound()
        if not messages:
            self._connection.require_accepted()
        return self._taken(messages)

    def pause(self, partitions: Iterable[int]) -> None:
        """Return no more records of these partitions until :meth:`resume`."""
        chosen = [p for p in partitions if p in self._commits]
        self._paused |= set(chosen)
        self._consumer.pause(self._parts(p for p in chosen if p not in self._starts))

    def resume(self, partitions: Iterable[int]) -> None:
        """Return records of these partitions again."""
        chosen = [p for p in partitions if p in self._paused]
        self._paused -= set(chosen)
        self._consumer.resume(self._parts(p for p in chosen if p not in self._starts))

    def seek(self, partition: int, offset: int) -> None:
        """Go on reading a partition of ours at ``offset``."""
        self._require_owned(partition)
        begun = partition not in self._starts
        self._starts[partition] = offset
        if begun:
            # taken anew rather than sought: that works in every state of the fetch
            self._consumer.incremental_unassign(self._parts([partition]))
            self._begin([partition])

    def committed(self, partition: int) -> Committed:
        """Return the place of a partition of ours: as assigned, or as committed since."""
        self._require_owned(partition)
        return self._commits[partition]

    def commit(self, places: Mapping[int, Committed]) -> None:
        """Commit places and wait for the broker's word.

        Raises:
            NotOwner: A partition is not ours, or the group has gone on without us;
                nothing of it was committed.
            TransientError: No answer, or the group is rebalancing: later.
        """
        if not places:
            return
        for partition in places:
            # the broker checks the member, not who owns the partition
            self._require_owned(partition)
        offsets = [
            TopicPartition(self._topic, partition, place.offset, place.metadata)
            for partition, place in places.items()
        ]
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise self._translated(code_of(error), "commit in") from error
        for part in done:
            if part.error is not None:
                raise self._translated(part.error, "commit in")
        self._commits.update(places)

    def watermark(self, partition: int) -> int:
        """Return the broker's end offset; on the embedded broker it may be too low.

        Raises:
            TransientError: No answer.
        """
        part = TopicPartition(self._topic, partition)
        try:
            _, end = self._consumer.get_watermark_offsets(part, timeout=REQUEST_S)
        except KafkaException as error:
            raise self._translated(code_of(error), "read the end of") from error
        return int(end)

    def seen_end(self, partition: int) -> int:
        """Return the end offset as the last fetch told it, -1 before the first.

        No request: one would wait behind the fetch that waits for records.
        """
        part = TopicPartition(self._topic, partition)
        _, end = self._consumer.get_watermark_offsets(part, cached=True)
        return max(-1, int(end))

    def close(self) -> None:
        """Leave the group; ``revoked`` runs before, for what is ours.

        Raises:
            VecferryError: What ``revoked`` raised.
        """
        failed = self._failed
        self._consumer.close()
        if self._failed is not None and self._failed is not failed:
            raise self._failed

    def _taken(self, messages: list[Any]) -> list[Raw]:
        topic, taken = self._topic, []
        for message in messages:
            if message.error() is not None:
                self._refuse(message)
                continue
            partition = message.partition()
            if partition in self._commits:
                taken.append(
                    Raw(
                        topic,
                        partition,
                        message.offset(),
                        message.key(),
                        message.value() or b"",
                        message.timestamp()[1],
                    )
                )
        # what came beside an error is lost to the caller: so is the intake
        self._require_sound()
        return taken

    def _refuse(self, message: Any) -> None:
        error = message.error()
        if error.code() in GO_ON or self._failed is not None:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._failed = HaltError(
                f"{self._topic} [{message.partition()}] no longer holds the place of "
                f"{self._group}, or never did: {error.str()}. Records may have gone unread: "
                "check the topic's retention and run a rescan"
            )
            return
        found = self._translated(error, "read")
        if not isinstance(found, TransientError):  # the client tries those again by itself
            self._failed = found

    def _on_assign(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        try:
            numbers = [part.partition for part in parts]
            if numbers and self._failed is None:
                places = self._read_commits(parts)
                self._commits.update(places)
                self._starts.update((p, place.offset) for p, place in places.items())
                self._reactions["assigned"](numbers)
                self._begin(numbers)
        except BaseException as error:
            self._failed = error

    def _on_revoke(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        # told this late, the partitions may be somebody else's since long
        late = time.monotonic() - self._polled > self._connection.session_timeout_s
        self._let_go(parts, self._reactions["lost" if late else "revoked"])

    def _on_lost(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._let_go(parts, self._reactions["lost"])

    def _let_go(self, parts: list[TopicPartition], react: Callable[[list[int]], None]) -> None:
        numbers = [part.partition for part in parts if part.partition in self._commits]
        try:
            if numbers and self._failed is None:
                react(numbers)
        except BaseException as error:
            self._failed = error
        finally:
            for partition in numbers:
                del self._commits[partition]
                self._starts.pop(partition, None)
                self._paused.discard(partition)
            self._consumer.incremental_unassign(parts)

    def _begin(self, partitions: list[int]) -> None:
        self._consumer.incremental_assign(
            [TopicPartition(self._topic, p, self._starts.pop(p)) for p in partitions]
        )
        paused = [p for p in partitions if p in self._paused]
        if paused:
            self._consumer.pause(self._parts(paused))

    def _read_commits(self, parts: list[TopicPartition]) -> dict[int, Committed]:
        asked = self._parts(part.partition for part in parts)
        found = persist(
            lambda: self._consumer.committed(asked, timeout=REQUEST_S),
            f"read the commits of {self._group}",
            _COMMITS_READ_S,
        )
        for part in found:
            if part.error is not None or part.offset < 0:
                raise HaltError(
                    f"{self._group} has no commit in {self._topic} [{part.partition}]: run "
                    "`vecferry init` before the first start; where it has worked before, its "
                    "place is lost (see offsets.retention.minutes of the brokers): run a rescan"
                )
        return {part.partition: Committed(part.offset, part.metadata or "") for part in found}

    def _parts(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    def _require_owned(self, partition: int) -> None:
        if partition not in self._commits:
            raise NotOwner(f"{self._topic} [{partition}] is not ours")

    def _require_sound(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _translated(self, error: KafkaError, doing: str) -> VecferryError:
        return translate(error, f"{doing} {self._topic} as {self._group}")
