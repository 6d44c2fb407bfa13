"""What must be true of the broker for the guarantees to hold, verified and reported."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from vecferry.log.connection import Connection
from vecferry.log.names import Topics
from vecferry.log.patience import REQUEST_S, persist
from vecferry.settings import LogSettings

_COORDINATOR_S = 2.0  # a request made before a cluster's first group has one hears nothing
_HOUR_MS = 3_600_000


class Premise(NamedTuple):
    """One condition on the broker.

    Attributes:
        name: What is looked at: a topic or a group, and the setting.
        ok: Whether it is as wanted.
        value: As it is; ``?`` where the broker does not say.
        wanted: As it should be.
        help: What to do when it is not.
    """

    name: str
    ok: bool
    value: str
    wanted: str
    help: str


class Shape(NamedTuple):
    """How one topic is to be.

    Attributes:
        partitions: Their number; fixed for the life of the topic.
        replication: Copies of each.
        config: The topic's settings, in Kafka's words.
    """

    partitions: int
    replication: int
    config: Mapping[str, str]


def shapes(topics: Topics, settings: LogSettings, brokers: int) -> dict[str, Shape]:
    """Return how each topic is to be on a cluster of so many brokers."""
    copies = settings.replication_factor or (3 if brokers >= 3 else 1)
    common = {
        "min.insync.replicas": "2" if copies >= 3 else "1",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(Connection.record_bytes(settings)),
        # offsets count the log, the broker's clock does not move what is kept
        "message.timestamp.type": "CreateTime",
    }
    hints = {
        "cleanup.policy": "delete",
        "retention.ms": str(int(settings.hints_retention_h * _HOUR_MS)),
        "retention.bytes": "-1",
    }
    forever = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    compact = {"cleanup.policy": "compact"}
    return {
        topics.hints: Shape(settings.partitions, copies, common | hints),
        topics.events: Shape(settings.partitions, copies, common | forever),
        topics.dead: Shape(settings.partitions, copies, common | forever),
        topics.control: Shape(1, copies, common | compact),
    }


def check_topics(connection: Connection, topics: Topics, settings: LogSettings) -> list[Premise]:
    """Hold the broker against what the guarantees rest on; change nothing.

    Raises:
        ConfigError: The broker refuses this client.
        TransientError: It does not answer.
    """
    admin = connection.require()
    metadata = admin.list_topics(timeout=REQUEST_S)
    wanted = shapes(topics, settings, len(metadata.brokers))
    there = [name for name in wanted if name in metadata.topics]
    configs = _configs(admin, [ConfigResource(ResourceType.TOPIC, name) for name in there])
    found: list[Premise] = []
    for name, shape in wanted.items():
        if name in there:
            found += judge(name, shape, _as_is(metadata.topics[name], configs.get(name, {})))
        else:
            found.append(Premise(name, False, "not there", "there", "run `vecferry init`"))
    if not connection.embedded:
        found += _offsets_retention(admin, metadata, settings)
    for group, topic in topics.first_commits:
        if topic in there:
            found.append(_commits(connection, group, topic, len(metadata.topics[topic].partitions)))
    return found


def judge(topic: str, wanted: Shape, found: Shape) -> Iterator[Premise]:
    """Compare a topic as it is with how it is to be; more copies or longer retention are fine."""
    yield Premise(
        f"{topic}: partitions",
        found.partitions == wanted.partitions,
        str(found.partitions),
        str(wanted.partitions),
        "the number is fixed for the life of a migration: set [log] partitions to it, or "
        "start again under another name",
    )
    if wanted.replication > 1 or found.replication > 1:
        yield Premise(
            f"{topic}: replication",
            found.replication >= wanted.replication,
            str(found.replication),
            f">= {wanted.replication}",
            "reassign the topic's partitions to more brokers",
        )
    for setting, value in wanted.config.items():
        have = found.config.get(setting)
        if have is None or setting == "message.timestamp.type":
            continue  # this broker does not say, or it does not matter once made
        yield Premise(
            f"{topic}: {setting}",
            _fits(setting, have, value),
            have,
            f">= {value}" if setting in _AT_LEAST and value != "-1" else value,
            f"kafka-configs --alter --topic {topic} --add-config {setting}={value}",
        )


_AT_LEAST = frozenset(
    {"retention.ms", "retention.bytes", "min.insync.replicas", "max.message.bytes"}
)


def _fits(setting: str, have: str, wanted: str) -> bool:
    if setting not in _AT_LEAST:
        return have == wanted
    unlimited = have == "-1"
    return unlimited or (wanted != "-1" and int(have) >= int(wanted))


def _as_is(metadata: Any, config: Mapping[str, str]) -> Shape:
    parts = metadata.partitions
    return Shape(
        len(parts), min((len(part.replicas) for part in parts.values()), default=0), config
    )


def _configs(admin: AdminClient, resources: list[ConfigResource]) -> dict[str, dict[str, str]]:
    if not resources:
        return {}

    def ask() -> dict[str, dict[str, str]]:
        asked = admin.describe_configs(resources, request_timeout=REQUEST_S)
        return {
            resource.name: {name: str(entry.value) for name, entry in future.result().items()}
            for resource, future in asked.items()
        }

    return persist(ask, f"read the settings of {', '.join(one.name for one in resources)}")


def _offsets_retention(
    admin: AdminClient, metadata: Any, settings: LogSettings
) -> Iterator[Premise]:
    broker = str(next(iter(metadata.brokers)))
    name = "offsets.retention.minutes"
    have = _configs(admin, [ConfigResource(ResourceType.BROKER, broker)])[broker].get(name)
    if have is None:
        return
    wanted = int(settings.hints_retention_h * 60)
    yield Premise(
        f"brokers: {name}",
        int(have) >= wanted,
        have,
        f">= {wanted}",
        f"set {name} on the brokers: a group that is away for longer loses its place",
    )


def committed(connection: Connection, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Return a group's committed offsets by partition; those without one are left out.

    Asked as the group asks, without joining it: the admin client's request of
    librdkafka 2.12 takes the process down when a coordinator answers that it is
    still loading, as those of a broker do that has just started.
    """
    asked = [TopicPartition(topic, number) for number in range(partitions)]
    consumer = connection.consumer(group)
    try:
        found = persist(
            lambda: consumer.committed(asked, timeout=_COORDINATOR_S),
            f"read the commits of {group}",
        )
    finally:
        consumer.close()
    return {part.partition: part.offset for part in found if part.offset >= 0}


def _commits(connection: Connection, group: str, topic: str, partitions: int) -> Premise:
    have = len(committed(connection, group, topic, partitions))
    return Premise(
        f"{group}: commits",
        have == partitions,
        f"in {have} of {partitions} partitions",
        "in every partition",
        "run `vecferry init`; where the group has worked before, its place is lost: rescan",
    )
