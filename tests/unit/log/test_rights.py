"""What a broker says that a client may do."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AclOperation

from vecferry.errors import TransientError
from vecferry.log.connection import Connection
from vecferry.log.rights import allowed_operations


def answer(operations: list[AclOperation] | None) -> Callable[[], Any]:
    return lambda: SimpleNamespace(authorized_operations=operations)


def failure(code: int) -> Callable[[], Any]:
    def fail() -> Any:
        raise KafkaException(KafkaError(code))

    return fail


def a_connection(answers: dict[str, Callable[[], Any]]) -> Connection:
    futures = {name: SimpleNamespace(result=result) for name, result in answers.items()}
    admin = SimpleNamespace(describe_topics=lambda *_, **__: futures)
    return cast("Connection", SimpleNamespace(require=lambda: admin))


def test_operations_are_spelled_as_kafka_acls_spells_them() -> None:
    connection = a_connection(
        {
            "a": answer([AclOperation.READ, AclOperation.DESCRIBE_CONFIGS]),
            "silent": answer(None),
            "gone": failure(KafkaError.UNKNOWN_TOPIC_OR_PART),
            "closed": failure(KafkaError.TOPIC_AUTHORIZATION_FAILED),
        }
    )
    assert allowed_operations(connection, ["a", "silent", "gone", "closed"]) == {
        "a": {"Read", "DescribeConfigs"},
        "closed": frozenset(),
    }


def test_an_outage_is_no_answer() -> None:
    with pytest.raises(TransientError):
        allowed_operations(a_connection({"a": failure(KafkaError._TIMED_OUT)}), ["a"])
