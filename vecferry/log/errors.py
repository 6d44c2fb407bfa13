"""Kafka's errors as ours: told apart by code, never by text."""

from typing import Any

from confluent_kafka import KafkaError

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    VecferryError,
)


class NotOwner(TransientError):  # noqa: N818 - the name says what is known
    """A commit was refused: the partition is no longer this worker's."""


_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_PROTOCOL,
    }
)
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_NOT_OURS = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
    }
)
NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""The broker does not know the topic, or does not know it yet."""
_LATER = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._NODE_UPDATE,
        KafkaError._QUEUE_FULL,
        KafkaError._RETRY,
        KafkaError._IN_PROGRESS,
        KafkaError._PREV_IN_PROGRESS,
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._STATE,
        KafkaError._NO_OFFSET,
        KafkaError.REBALANCE_IN_PROGRESS,
        # the same: this member is on its way into the next generation and keeps what it has; one
        # that was thrown out is unknown
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)

GO_ON = frozenset({KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED})
"""What a consumer is told that needs nothing: the client goes on by itself."""


def refused(error: KafkaError) -> bool:
    """Whether the broker refuses this client as it is configured."""
    return error.code() in _REFUSED


def translate(error: KafkaError, doing: str) -> VecferryError:
    """Return our error for Kafka's, to be raised.

    Args:
        error: What the client said.
        doing: What failed, on what: ``commit in docs.events``.
    """
    code, text = error.code(), f"{doing}: {error.str()} ({error.name()})"
    found: VecferryError
    if code in _REFUSED:
        found = ConfigError(
            f"{text}. Check bootstrap_servers of [log], the properties of [log.kafka] "
            "(security.protocol, sasl.*, ssl.*), and the rights of the user"
        )
    elif code in _TOO_LARGE:
        found = RecordError(
            f"{text}. Raise the topic's max.message.bytes and [log.kafka] message.max.bytes"
        )
    elif code in _NOT_OURS:
        found = NotOwner(text)
    elif code in NO_TOPIC:
        found = HaltError(f"{text}. Make the topics with `vecferry init`")
    elif not error.fatal() and (code in _LATER or error.retriable()):
        found = TransientError(text)
    else:
        found = HaltError(text)
    return found


def code_of(error: Any) -> KafkaError:
    """Return the KafkaError inside a KafkaException."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL, str(error))
