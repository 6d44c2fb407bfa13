from collections.abc import Iterator
from pathlib import Path

import pytest

from vecferry.errors import ConfigError, TransientError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.intake import Intake
from vecferry.log.publish import Publisher
from vecferry.log.topics import create_topics
from vecferry.settings import parse_settings
from vecferry.testing import kafka
from vecferry.testing.certificates import Authority
from vecferry.testing.kafka import KafkaServer
from vecferry.testing.logs import Log, log_at
from vecferry.testing.waiting import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    reason = kafka.missing()
    if reason is not None:
        pytest.skip(reason)
    with KafkaServer(sasl_ssl=True) as server:
        yield server


def secured(server: KafkaServer, **other: str) -> Log:
    """A log reached with the properties as a migration's file gives them."""
    tables: dict[str, object] = {}
    for name, value in {**server.kafka, **other}.items():
        *path, last = name.split(".")
        table = tables
        for part in path:
            table = table.setdefault(part, {})  # type: ignore[assignment]
        table[last] = value
    document = {
        "name": "docs",
        "source": {"type": "memory"},
        "target": {"type": "memory"},
        "collections": [{"source": "docs"}],
        "log": {"bootstrap_servers": server.bootstrap_servers, "kafka": tables},
    }
    settings = parse_settings(document, {}, "vecferry.toml").log
    return log_at(server.bootstrap_servers, kafka=settings.kafka)


def test_topics_publishing_intake_and_control_work_over_sasl_ssl(server: KafkaServer) -> None:
    log = secured(server)
    assert all(premise.ok for premise in create_topics(log.connection, log.topics, log.settings))
    publisher = Publisher(log.connection)
    publisher.publish_acked(log.topics.events, b"secret", partition=1)
    publisher.close()
    intake = Intake(
        log.connection,
        log.topics.events,
        log.topics.group("apply"),
        assigned=lambda partitions: None,
        revoked=lambda partitions: None,
        lost=lambda partitions: None,
    )
    values: list[bytes] = []
    wait_until(lambda: bool(values.extend(raw.value for raw in intake.poll(9, 0.5)) or values))
    assert values == [b"secret"]
    intake.close()
    control = Control(log.connection, log.topics, SingleObjectCodec())
    control.append("pause", "all", {})
    control.read_to_end()
    assert "all" in control.latest("pause")
    control.close()


def test_a_wrong_password_is_an_error_that_names_no_password(server: KafkaServer) -> None:
    log = secured(server, **{"sasl.password": "wrong-one"})
    with pytest.raises(ConfigError, match=r"refuses us.*\[log\.kafka\]") as caught:
        create_topics(log.connection, log.topics, log.settings)
    assert "wrong-one" not in str(caught.value)
    assert "wrong-one" not in repr(log.settings)


def test_a_broker_that_a_strange_authority_vouches_for_is_refused(
    server: KafkaServer, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path)
    log = secured(server, **{"ssl.ca.location": str(stranger.ca_file)})
    with pytest.raises(ConfigError, match="refuses us"):
        create_topics(log.connection, log.topics, log.settings)


def test_plain_text_does_not_reach_a_secured_listener(server: KafkaServer) -> None:
    log = log_at(server.bootstrap_servers)
    with pytest.raises((ConfigError, TransientError)):
        log.connection.require(timeout_s=3.0)
