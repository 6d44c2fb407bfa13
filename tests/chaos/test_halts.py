"""What would lose data or delete it stops the worker, which says what to do; the target stays whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from vecferry.testing import engines
from vecferry.testing.chaos.nursery import Nursery
from vecferry.testing.chaos.pipeline import Pipeline, Stage
from vecferry.testing.chaos.requests import SCHEMA
from vecferry.testing.chaos.scenes import Live

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("turn"),
]

HALTED = 1
MANY = range(1_000, 1_200)


@pytest.fixture
def live(stage: Stage, nursery: Nursery, tmp_path: Path) -> Iterator[Live]:
    log = {"bootstrap_servers": engines.kafka(), "partitions": 2, "session_timeout_s": 6.0}
    with (
        Pipeline(stage, nursery, tmp_path, {"log": log}) as pipeline,
        contextlib.ExitStack() as stack,
    ):
        yield Live(pipeline, stack)


def halted(live: Live, role: str) -> str:
    """Return what a role said that gave up."""
    sprout = live.pipeline.roles[role]
    assert sprout.ended(120.0) == HALTED, sprout.text[-2000:]
    return sprout.text


def ended(live: Live, role: str) -> None:
    """End a role as a supervisor does, and wait for it."""
    sprout = live.pipeline.roles.pop(role)
    sprout.signal(15)
    assert sprout.ended(120.0) == 0, sprout.text[-2000:]


@pytest.mark.parametrize("comes_up", ["empty", "without the collection"])
def test_a_source_that_lost_its_points_deletes_none_in_the_target(
    comes_up: str, live: Live
) -> None:
    for one in MANY:
        live.write(one, 1)
    live.pipeline.rest()
    live.pipeline.ask("DELETE", "", None)
    if comes_up == "empty":
        live.pipeline.ask("PUT", "", SCHEMA)
    with live.feed.writing(live.pipeline.name, list(MANY), verb="upsert"):
        pass  # each key is hinted, as by a rescan
    said = halted(live, "capture-0")
    assert live.pipeline.name in said
    assert [one for one in MANY if live.pipeline.held(one) is None] == []
    live.pipeline.roles.pop("capture-0")
    live.pipeline.start("capture-0")
    halted(live, "capture-0")
    assert [one for one in MANY if live.pipeline.held(one) is None] == []


def test_hints_that_retention_has_eaten_stop_capture_and_are_not_skipped(live: Live) -> None:
    live.write(1_000, 1)
    live.pipeline.rest()
    ended(live, "capture-0")
    live.write(1_000, 2)
    admin, topics = live.pipeline.migration.connection.admin(), live.pipeline.migration.topics
    end = [TopicPartition(topics.hints, at, -1) for at in range(2)]
    for future in admin.delete_records(end).values():
        future.result(30)
    live.pipeline.start("capture-0")
    assert topics.hints in halted(live, "capture-0")
    assert live.pipeline.held(1_000)["n"] == 1


@pytest.mark.parametrize("role", ["capture", "apply"])
def test_commits_that_the_broker_has_expired_stop_the_worker(role: str, live: Live) -> None:
    live.write(1_000, 1)
    live.pipeline.rest()
    ended(live, f"{role}-0")
    topics = live.pipeline.migration.topics
    topic = topics.hints if role == "capture" else topics.events
    group, admin = topics.group(role), live.pipeline.migration.connection.admin()
    (future,) = admin.delete_consumer_groups([group]).values()
    future.result(30)
    live.pipeline.start(f"{role}-0")
    said = halted(live, f"{role}-0")
    assert topic in said
    assert group in said
    asked = [ConsumerGroupTopicPartitions(group)]
    (found,) = admin.list_consumer_group_offsets(asked).values()
    assert not found.result(30).topic_partitions
