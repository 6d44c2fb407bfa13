from typing import Any

import pytest

from vecferry.log.premises import Shape, judge, shapes
from vecferry.log.topics import Topics
from vecferry.settings import LogSettings

TOPICS = Topics("docs")


def broken(wanted: Shape, found: Shape) -> list[str]:
    return [premise.name for premise in judge("t", wanted, found) if not premise.ok]


def changed(shape: Shape, **config: str) -> Shape:
    return shape._replace(
        config={**shape.config, **{name.replace("_", "."): value for name, value in config.items()}}
    )


def test_names_tell_the_migration_and_the_direction() -> None:
    reverse = Topics("docs", "reverse")
    assert TOPICS.hints == "vecferry.docs.forward.hints"
    assert reverse.events == "vecferry.docs.reverse.events"
    assert reverse.dead == "vecferry.docs.reverse.dead"
    assert TOPICS.control == reverse.control == "vecferry.docs.control"
    assert TOPICS.group("apply") == "vecferry.docs.forward.apply"
    assert TOPICS.first_commits == (
        ("vecferry.docs.forward.capture", TOPICS.hints),
        ("vecferry.docs.forward.apply", TOPICS.events),
    )


@pytest.mark.parametrize(
    ("brokers", "asked", "copies", "insync"),
    [(1, None, 1, "1"), (2, None, 1, "1"), (3, None, 3, "2"), (9, None, 3, "2"), (5, 1, 1, "1")],
)
def test_three_brokers_hold_three_copies_and_two_must_have_a_record(
    brokers: int, asked: int | None, copies: int, insync: str
) -> None:
    settings = LogSettings.model_validate({"replication_factor": asked})
    for shape in shapes(TOPICS, settings, brokers).values():
        assert shape.replication == copies
        assert shape.config["min.insync.replicas"] == insync


def test_what_is_kept_fits_each_topics_meaning() -> None:
    settings = LogSettings.model_validate({"hints_retention_h": 2, "partitions": 12})
    wanted = shapes(TOPICS, settings, 1)
    hints, events = wanted[TOPICS.hints], wanted[TOPICS.events]
    assert hints.config["retention.ms"] == "7200000"
    assert (events.config["retention.ms"], events.config["retention.bytes"]) == ("-1", "-1")
    assert wanted[TOPICS.dead] == events
    assert wanted[TOPICS.control].config["cleanup.policy"] == "compact"
    assert [shape.partitions for shape in wanted.values()] == [12, 12, 12, 1]


def test_a_topic_takes_what_our_producers_send() -> None:
    settings = LogSettings.model_validate({"kafka": {"message.max.bytes": 123_456}})
    for shape in shapes(TOPICS, settings, 1).values():
        assert shape.config["max.message.bytes"] == "123456"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"retention_ms": "86400000"}, "retention.ms"),
        ({"retention_bytes": "1000"}, "retention.bytes"),
        ({"cleanup_policy": "compact"}, "cleanup.policy"),
        ({"cleanup_policy": "compact,delete"}, "cleanup.policy"),
        ({"min_insync_replicas": "1"}, "min.insync.replicas"),
        ({"unclean_leader_election_enable": "true"}, "unclean.leader.election.enable"),
        ({"max_message_bytes": "1048588"}, "max.message.bytes"),
    ],
)
def test_each_premise_of_the_events_can_be_broken(config: Any, name: str) -> None:
    wanted = shapes(TOPICS, LogSettings.model_validate({}), 3)[TOPICS.events]
    assert broken(wanted, wanted) == []
    assert broken(wanted, changed(wanted, **config)) == [f"t: {name}"]


def test_partitions_and_copies_are_premises() -> None:
    wanted = shapes(TOPICS, LogSettings.model_validate({}), 3)[TOPICS.events]
    assert broken(wanted, wanted._replace(partitions=5)) == ["t: partitions"]
    assert broken(wanted, wanted._replace(partitions=7)) == ["t: partitions"]
    assert broken(wanted, wanted._replace(replication=2)) == ["t: replication"]


def test_more_than_is_wanted_is_fine_and_what_a_broker_does_not_say_is_not_judged() -> None:
    wanted = shapes(TOPICS, LogSettings.model_validate({}), 3)[TOPICS.hints]
    longer = changed(wanted, retention_ms="-1", max_message_bytes="99000000")
    assert broken(wanted, longer._replace(replication=5)) == []
    assert broken(wanted, wanted._replace(config={})) == []


def test_a_broken_premise_tells_the_command_that_mends_it() -> None:
    wanted = shapes(TOPICS, LogSettings.model_validate({}), 1)[TOPICS.events]
    (premise,) = (
        one for one in judge("t", wanted, changed(wanted, retention_ms="1000")) if not one.ok
    )
    assert (premise.value, premise.wanted) == ("1000", "-1")
    assert premise.help == "kafka-configs --alter --topic t --add-config retention.ms=-1"
