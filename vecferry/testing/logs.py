"""A migration's log of a test's own, on a broker that the whole run shares."""

import uuid
from typing import Literal, NamedTuple

from vecferry.log.connection import Connection
from vecferry.log.topics import Topics, create_topics
from vecferry.settings import LogSettings
from vecferry.testing import engines


class Log(NamedTuple):
    """A migration's topics, made, and how to reach them."""

    connection: Connection
    topics: Topics
    settings: LogSettings


def fresh_log(broker: Literal["kafka", "embedded"], **settings: object) -> Log:
    """Make the topics of a migration with a new name; skip where the broker cannot run.

    Args:
        broker: Which one.
        settings: Of ``[log]``, over 3 partitions.
    """
    address = engines.kafka() if broker == "kafka" else engines.embedded()
    log = log_at(address, embedded=broker == "embedded", **settings)
    create_topics(log.connection, log.topics, log.settings)
    return log


def log_at(address: str, *, embedded: bool = False, **settings: object) -> Log:
    """Name a new migration on the broker at this address; its topics are not there yet."""
    chosen = LogSettings.model_validate(
        {
            "bootstrap_servers": "embedded" if embedded else address,
            "partitions": 3,
            "session_timeout_s": 10.0,
            "heartbeat_s": 0.2,
            **settings,
        }
    )
    connection = Connection(chosen, address if embedded else None)
    return Log(connection, Topics(f"t{uuid.uuid4().hex[:12]}"), chosen)
