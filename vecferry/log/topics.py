"""Making a migration's topics, with the first commits of the groups that read them."""

import functools
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.log.connection import Connection
from vecferry.log.errors import code_of, translate
from vecferry.log.names import Topics
from vecferry.log.patience import REQUEST_S, persist
from vecferry.log.premises import Premise, check_topics, committed, shapes
from vecferry.settings import LogSettings

__all__ = ["Premise", "Topics", "check_topics", "create_topics"]


_THERE_S = 60.0


def create_topics(connection: Connection, topics: Topics, settings: LogSettings) -> list[Premise]:
    """Make what is missing of the topics and of the first commits, and check everything.

    1. Make the topics that are not there, and wait until they have leaders.
    2. Commit offset 0 for each group and partition without a commit: workers
       read with ``auto.offset.reset=error``, so that a lost place stops them
       instead of skipping records, and their first place must be explicit.

    What is there already is left as it is, also when it is not as it should
    be: the premises say so. May run any number of times, also while the
    migration runs.

    Returns:
        The premises, as :func:`~vecferry.log.premises.check_topics` gives them.

    Raises:
        ConfigError: The broker refuses this client, or a topic cannot be made.
        HaltError: A group has no commit and the topic's beginning is gone.
        TransientError: The broker does not answer.
    """
    admin = connection.require()
    wanted = shapes(topics, settings, len(admin.list_topics(timeout=REQUEST_S).brokers))
    there = admin.list_topics(timeout=REQUEST_S).topics
    missing = [
        NewTopic(name, shape.partitions, shape.replication, config=dict(shape.config))
        for name, shape in wanted.items()
        if name not in there
    ]
    _make(admin, missing)
    _await_leaders(admin, list(wanted))
    for group, topic in topics.first_commits:
        _commit_first(connection, admin, group, topic)
    return check_topics(connection, topics, settings)


def _make(admin: AdminClient, missing: list[NewTopic]) -> None:
    if not missing:
        return
    for name, future in admin.create_topics(missing, request_timeout=REQUEST_S).items():
        try:
            future.result()
        except KafkaException as error:
            code = code_of(error)
            if code.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another process made it a moment ago
            if code.code() in (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.POLICY_VIOLATION):
                raise ConfigError(
                    f"the topic {name} cannot be made: {code.str()}. Set [log] "
                    "replication_factor, or make the topics yourself and set create_topics = false"
                ) from error
            raise translate(code, f"make the topic {name}") from error


def _await_leaders(admin: AdminClient, names: list[str]) -> None:
    deadline = time.monotonic() + _THERE_S
    waiting = names
    while waiting:
        found = admin.list_topics(timeout=REQUEST_S).topics
        waiting = [
            name
            for name in names
            if name not in found
            or not found[name].partitions
            or any(part.leader < 0 for part in found[name].partitions.values())
        ]
        if waiting and time.monotonic() > deadline:
            raise TransientError(f"the topics {', '.join(waiting)} have no leader yet")
        if waiting:
            time.sleep(0.1)


def _commit_first(connection: Connection, admin: AdminClient, group: str, topic: str) -> None:
    partitions = len(admin.list_topics(topic, timeout=REQUEST_S).topics[topic].partitions)
    have = committed(connection, group, topic, partitions)
    lacking = [TopicPartition(topic, p, 0) for p in range(partitions) if p not in have]
    if not lacking:
        return
    consumer = connection.consumer(group)
    try:
        for part in lacking:
            low = persist(functools.partial(_beginning, consumer, part), f"read {topic}")
            if low > 0:
                raise HaltError(
                    f"the group {group} has no commit in {topic} [{part.partition}], and the "
                    f"topic begins at {low}: records may have gone unread. Run a rescan"
                )
        persist(functools.partial(_commit, consumer, lacking), f"commit as {group}")
    finally:
        consumer.close()


def _beginning(consumer: Consumer, part: TopicPartition) -> int:
    low, _ = consumer.get_watermark_offsets(part, timeout=REQUEST_S)
    return int(low)


def _commit(consumer: Consumer, places: list[TopicPartition]) -> None:
    for part in consumer.commit(offsets=places, asynchronous=False):
        if part.error is not None:
            raise KafkaException(part.error)
