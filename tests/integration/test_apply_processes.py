"""Appliers in processes of their own, killed and stopped, on a real Kafka and Qdrant's engine."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from vecferry.fold import decode_metadata
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.intake import Committed
from vecferry.log.partition import partition_of
from vecferry.log.publish import Publisher
from vecferry.log.reading import read_topic
from vecferry.model import Collection, Dense, Image, Key, VectorSpec, key_bytes
from vecferry.ports import Ref, Store
from vecferry.record import Event, EventKind
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines
from vecferry.testing.logs import Log, fresh_log
from vecferry.testing.waiting import wait_until

pytestmark = pytest.mark.kafka

PARTITIONS = 2
SESSION_S = 6.0


class Child:
    """An applier's process."""

    def __init__(self, argument: dict[str, Any], out: Path) -> None:
        self.out = out
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vecferry.testing.apply_child", json.dumps(argument)],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.out.read_text()

    def has_written(self, requests: int = 1) -> bool:
        assert self.process.poll() is None, self.text
        return self.text.count("wrote ") >= requests

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def leave(self) -> None:
        self.send(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.text

    def end(self) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
        self.process.wait()


class Move:
    """A migration whose log the test writes."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log, self.folder = log, folder
        self.codec = SingleObjectCodec()
        self.publisher = Publisher(log.connection)
        self.expected: dict[int, float | None] = {}
        self.children: list[Child] = []
        url, grpc_url = engines.qdrant()
        target = {"type": "qdrant", "url": url, "grpc_url": grpc_url, "timeout_s": 3.0}
        self.document = {
            "name": log.topics.migration,
            "source": {"type": "memory", "url": "memory://s"},
            "target": target,
            "collections": [{"source": "docs"}],
            "log": {**log.settings.model_dump(exclude_none=True)},
            "apply": {"request_max_s": 3.0, "batch_points": 20, "commit_s": 0.2},
        }
        self.store: Store = open_store(StoreSettings.model_validate(target))
        self.ref = Ref(log.topics.migration, "docs")
        self.store.create(Collection(log.topics.migration, (VectorSpec("", dim=2, metric="l2"),)))
        epochs = [Event(EventKind.EPOCH, term=1)] * PARTITIONS
        for partition, event in enumerate(epochs):
            self.put(event, partition)

    def put(self, event: Event, partition: int | None = None) -> None:
        at = partition_of(event.key, PARTITIONS) if partition is None else partition
        value = self.codec.encode_event(event)
        self.publisher.publish(self.log.topics.events, value, key=event.key or None, partition=at)

    def image(self, number: int, value: float) -> None:
        vector = Dense("float32", 2, struct.pack("<2f", value, number))
        key = key_bytes(Key("docs", "", number))
        self.put(Event(EventKind.IMAGE, key, Image({"": vector}), term=1, hint_offset=1))
        self.expected[number] = value

    def delete(self, number: int) -> None:
        key = key_bytes(Key("docs", "", number))
        self.put(Event(EventKind.DELETE, key, term=1, hint_offset=1))
        self.expected[number] = None

    def change(self, numbers: range, value: float) -> None:
        for number in numbers:
            if number % 10 == 9:
                self.delete(number)
            else:
                self.image(number, value)
        self.publisher.flush()

    def applier(self, *, latency_s: float = 0.0, holds: bool = False) -> Child:
        argument = {
            "document": self.document,
            "bootstrap_servers": self.log.connection.bootstrap_servers,
            "latency_s": latency_s,
            "holds": holds,
        }
        child = Child(argument, self.folder / f"applier-{len(self.children)}")
        self.children.append(child)
        return child

    def held(self) -> dict[int, float | None]:
        """Return what the target holds of the expected points."""
        numbers = sorted(self.expected)
        found = self.store.read(self.ref, [Key("docs", "", number) for number in numbers])
        values: dict[int, float | None] = {}
        for number, point in zip(numbers, found, strict=True):
            if point is None:
                values[number] = None
                continue
            vector = point.image.vectors[""]
            assert isinstance(vector, Dense)
            value, again = struct.unpack("<2f", vector.data)
            assert again == number
            values[number] = value
        return values

    def is_applied(self) -> bool:
        return self.held() == self.expected

    def commits(self) -> list[Committed]:
        consumer = self.log.connection.consumer(self.log.topics.group("apply"))
        try:
            asked = [TopicPartition(self.log.topics.events, p) for p in range(PARTITIONS)]
            return [
                Committed(part.offset, part.metadata or "")
                for part in consumer.committed(asked, timeout=30)
            ]
        finally:
            consumer.close()

    def dead(self) -> int:
        return sum(1 for _ in read_topic(self.log.connection, self.log.topics.dead))

    def close(self) -> None:
        for child in self.children:
            child.end()
        self.publisher.close()
        self.store.drop(self.log.topics.migration)
        self.store.close()


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    log = fresh_log("kafka", partitions=PARTITIONS, session_timeout_s=SESSION_S)
    move = Move(log, tmp_path)
    yield move
    move.close()


def is_clean(commit: Committed) -> bool:
    known = decode_metadata(commit.metadata)
    return known is not None and known[1]


def test_killed_between_the_write_and_the_commit_it_is_repeated(move: Move) -> None:
    move.change(range(100), 1.0)
    first = move.applier(holds=True)
    wait_until(first.has_written)
    first.end()
    commits = move.commits()
    assert not any(is_clean(commit) for commit in commits if commit.metadata)
    # only what held no point is committed
    assert sum(commit.offset for commit in commits) <= PARTITIONS
    move.change(range(50), 2.0)
    second = move.applier()
    wait_until(move.is_applied)
    second.leave()
    assert all(is_clean(commit) for commit in move.commits())
    assert sum(commit.offset for commit in move.commits()) == 100 + 50 + PARTITIONS
    assert move.dead() == 0


def change_until(move: Move, numbers: range, values: Iterator[int], child: Child) -> None:
    """Change these points again and again, each time until all is applied, until ``child`` has a share."""
    before = child.text.count("wrote ")

    def has_share() -> bool:
        move.change(numbers, float(next(values)))
        wait_until(move.is_applied)
        return child.has_written(before + 1)

    wait_until(has_share, timeout_s=120)


def test_a_second_applier_joins_and_the_first_leaves(move: Move) -> None:
    move.change(range(400), 1.0)
    first = move.applier(latency_s=0.1)
    wait_until(first.has_written)
    second = move.applier()
    change_until(move, range(100), count(2), second)
    move.change(range(100, 300), 2.0)
    first.leave()
    move.change(range(200, 400), 3.0)
    wait_until(move.is_applied)
    second.leave()
    assert all(is_clean(commit) for commit in move.commits())
    assert move.dead() == 0


def test_stopped_past_its_session_it_wakes_and_writes_nothing_over_its_successor(
    move: Move,
) -> None:
    move.change(range(300), 1.0)
    zombie = move.applier(latency_s=0.5)
    wait_until(zombie.has_written)
    zombie.send(signal.SIGSTOP)
    move.change(range(300), 2.0)
    successor = move.applier()
    wait_until(move.is_applied)
    zombie.send(signal.SIGCONT)
    # until it is a member again; what it had in hand when it was stopped is not written
    change_until(move, range(200, 300), count(3), zombie)
    assert move.is_applied()
    zombie.leave()
    successor.leave()
    assert move.is_applied()
    assert move.dead() == 0


def test_letters_and_marks_are_durable_before_the_commit_passes(move: Move) -> None:
    move.change(range(10), 1.0)
    key = key_bytes(Key("docs", "", 3))
    at = partition_of(key, PARTITIONS)
    whole = move.codec.encode_event(Event(EventKind.DELETE, key, term=1, hint_offset=1))
    move.publisher.publish_acked(move.log.topics.events, whole[:-3], key=key, partition=at)
    wrong = Image({"": Dense("float32", 3, bytes(12))})
    poison = key_bytes(Key("docs", "", 1_000))
    move.put(Event(EventKind.IMAGE, poison, wrong, term=1, hint_offset=1))
    move.publisher.flush()
    applier = move.applier()
    wait_until(lambda: sum(commit.offset for commit in move.commits()) == PARTITIONS + 12)
    letters = [
        move.codec.decode_dead(raw.value)
        for raw in read_topic(move.log.connection, move.log.topics.dead)
    ]
    assert {(letter.key, letter.role) for letter in letters} == {(key, "apply"), (poison, "apply")}
    assert whole[:-3] in [letter.value for letter in letters]
    control = Control(move.log.connection, move.log.topics, move.codec)
    try:
        control.read_to_end()
        marks = control.latest("diverged")
        assert {bytes.fromhex(name) for name in marks} == {key, poison}
        assert all(record.body["diverged"] for record in marks.values())
        move.image(3, 5.0)
        move.publisher.flush()
        wait_until(lambda: not control.latest("diverged")[key.hex()].body["diverged"])
    finally:
        control.close()
    applier.leave()
    assert move.is_applied()
