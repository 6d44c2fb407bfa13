"""Which operations the broker allows this client, asked without changing anything."""

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from vecferry.log.connection import Connection
from vecferry.log.errors import code_of, translate
from vecferry.log.patience import REQUEST_S

_NOT_THERE = KafkaError.UNKNOWN_TOPIC_OR_PART
_REFUSED = KafkaError.TOPIC_AUTHORIZATION_FAILED


def allowed_operations(connection: Connection, topics: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return what this client may do with each topic that is there, in the words of ``kafka-acls``.

    A topic that is not there, and a broker that does not say, are left out.

    Raises:
        ConfigError: The broker refuses this client altogether.
        TransientError: It does not answer.
    """
    asked = connection.require().describe_topics(
        TopicCollection(list(topics)),
        include_authorized_operations=True,
        request_timeout=REQUEST_S,
    )
    found: dict[str, frozenset[str]] = {}
    for name, future in asked.items():
        try:
            operations = future.result().authorized_operations
        except KafkaException as error:
            code = code_of(error)
            if code.code() == _REFUSED:
                found[name] = frozenset()
            elif code.code() != _NOT_THERE:
                raise translate(code, f"ask for the rights on {name}") from error
            continue
        if operations is not None:
            found[name] = frozenset(_word(each.name) for each in operations)
    return found


def _word(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
