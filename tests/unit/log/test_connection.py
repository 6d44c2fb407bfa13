from typing import Any

import pytest
from confluent_kafka import KafkaError

from vecferry.errors import ConfigError, TransientError
from vecferry.log import connection as module
from vecferry.log.child import free_port
from vecferry.log.connection import Connection
from vecferry.settings import LogSettings


def connection(**settings: Any) -> Connection:
    return Connection(LogSettings.model_validate({"bootstrap_servers": "h:1", **settings}))


@pytest.mark.parametrize(
    "name",
    [
        "acks",
        "enable.idempotence",
        "enable.auto.commit",
        "auto.offset.reset",
        "group.id",
        "bootstrap.servers",
        "message.timeout.ms",
        "partition.assignment.strategy",
    ],
)
def test_a_property_on_which_correctness_rests_cannot_be_set(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[log\.kafka\] {name} cannot be set: "):
        connection(kafka={name: "0"})


def test_any_other_property_reaches_every_client() -> None:
    made = connection(kafka={"security.protocol": "SASL_SSL", "linger.ms": 7, "debug": "all"})
    producer, consumer = made.producer_conf(), made.consumer_conf("g")
    assert producer["security.protocol"] == consumer["security.protocol"] == "SASL_SSL"
    assert producer["linger.ms"] == "7"
    assert (producer["acks"], producer["enable.idempotence"]) == ("all", True)
    assert producer["message.timeout.ms"] == 0
    assert consumer["auto.offset.reset"] == "error"
    assert consumer["enable.auto.commit"] is False
    assert consumer["partition.assignment.strategy"] == "cooperative-sticky"


def test_an_unknown_property_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.property"):
        connection(kafka={"no.such.property": 1}).producer()


def test_the_embedded_broker_needs_its_address_and_has_a_short_session() -> None:
    settings = LogSettings.model_validate({})
    with pytest.raises(ConfigError, match="vecferry up"):
        Connection(settings)
    made = Connection(settings, "127.0.0.1:1")
    assert (made.embedded, made.session_timeout_s) == (True, 6.0)
    assert made.bootstrap_servers == "127.0.0.1:1"
    assert connection().session_timeout_s == 45.0


def test_a_broker_that_is_not_there_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TransientError, match=f"{address} does not answer"):
        connection(bootstrap_servers=address).require(timeout_s=0.5)


def test_one_refusal_is_not_believed_and_a_lasting_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    made = connection()
    refusal = KafkaError(KafkaError._AUTHENTICATION)
    made._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    made.require_accepted(0.0)
    made._on_error(refusal)
    made.require_accepted()
    with pytest.raises(ConfigError, match="refuses us"):
        made.require_accepted(0.0)
    now[0] += 300.0  # it was accepted in between, or nothing more would have been heard
    for _ in range(2):
        made._on_error(refusal)
        made.require_accepted()
        now[0] += 30.0
    made._on_error(refusal)
    with pytest.raises(ConfigError, match="refuses us"):
        made.require_accepted()
