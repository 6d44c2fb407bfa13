from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from vecferry.errors import HaltError
from vecferry.log.premises import committed
from vecferry.log.publish import Publisher
from vecferry.log.topics import Premise, check_topics, create_topics
from vecferry.testing import engines
from vecferry.testing.logs import Log, fresh_log, log_at


def broken(premises: list[Premise]) -> set[str]:
    return {premise.name for premise in premises if not premise.ok}


def test_the_topics_are_made_as_the_guarantees_need_them(log: Log) -> None:
    premises = check_topics(*log_parts(log))
    names = {premise.name for premise in premises}
    assert broken(premises) == set()
    assert {
        f"{log.topics.events}: retention.ms",
        f"{log.topics.control}: cleanup.policy",
        f"{log.topics.group('capture')}: commits",
        f"{log.topics.group('apply')}: commits",
    } <= names


def test_making_them_again_leaves_the_commits_of_a_group_alone(log: Log) -> None:
    group, topic = log.topics.group("apply"), log.topics.events
    consumer = log.connection.consumer(group)
    consumer.commit(offsets=[TopicPartition(topic, 1, 7)], asynchronous=False)
    consumer.close()
    create_topics(*log_parts(log))
    assert committed(log.connection, group, topic, 3) == {0: 0, 1: 7, 2: 0}


def test_topics_that_are_not_there_are_premises_that_do_not_hold(broker: Any) -> None:
    made = fresh_log(broker)
    other = made._replace(topics=made.topics._replace(direction="reverse"))
    assert broken(check_topics(*log_parts(other))) == {
        other.topics.hints,
        other.topics.events,
        other.topics.dead,
    }


@pytest.mark.kafka
def test_topics_made_by_somebody_else_are_checked_and_not_changed() -> None:
    log = log_at(engines.kafka())
    wrong = [
        NewTopic(log.topics.hints, 3, 1, config={"retention.ms": "60000"}),
        NewTopic(log.topics.events, 2, 1, config={"cleanup.policy": "compact"}),
        NewTopic(log.topics.dead, 3, 1, config={"unclean.leader.election.enable": "true"}),
        NewTopic(log.topics.control, 1, 1, config={"max.message.bytes": "1000000"}),
    ]
    admin = log.connection.admin()
    for future in admin.create_topics(wrong).values():
        future.result()
    expected = {
        f"{log.topics.hints}: retention.ms",
        f"{log.topics.events}: partitions",
        f"{log.topics.events}: cleanup.policy",
        f"{log.topics.events}: retention.ms",
        f"{log.topics.dead}: unclean.leader.election.enable",
        f"{log.topics.control}: max.message.bytes",
    }
    for premises in (create_topics(*log_parts(log)), check_topics(*log_parts(log))):
        assert expected <= broken(premises)


@pytest.mark.kafka
def test_a_lost_place_in_a_log_whose_beginning_is_gone_is_not_made_up() -> None:
    log = log_at(engines.kafka())
    topics = [NewTopic(log.topics.hints, 3, 1), NewTopic(log.topics.events, 3, 1)]
    admin = log.connection.admin()
    for future in admin.create_topics(topics).values():
        future.result()
    publisher = Publisher(log.connection)
    publisher.publish_acked(log.topics.events, b"x", partition=1)
    publisher.close()
    for future in admin.delete_records([TopicPartition(log.topics.events, 1, 1)]).values():
        future.result()
    with pytest.raises(HaltError, match=r"begins at 1.*rescan"):
        create_topics(*log_parts(log))


def log_parts(log: Log) -> tuple[Any, Any, Any]:
    return log.connection, log.topics, log.settings
