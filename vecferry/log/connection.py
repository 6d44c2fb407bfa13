"""How to reach the Kafka cluster, and the client properties that correctness rests on."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from vecferry.errors import ConfigError, TransientError
from vecferry.log.errors import code_of, refused, translate
from vecferry.settings import LogSettings

_T = TypeVar("_T")

RECORD_BYTES_MAX = 16_000_000
"""The largest record that Vecferry's own topics take: a point with a long payload or a multivector."""

_EMBEDDED_SESSION_S = 6.0  # its JoinGroup waits half a session

_REFUSED_S = 60.0  # the client reports a repeated error every 30 s

_OURS = {
    "acks": "all is what makes an acknowledged record durable",
    "request.required.acks": "all is what makes an acknowledged record durable",
    "enable.idempotence": "without it a retry would repeat or reorder records",
    "enable.auto.commit": "progress is committed after it is durable in the target",
    "enable.auto.offset.store": "progress is committed after it is durable in the target",
    "auto.offset.reset": "a missing offset must stop the worker, not skip records",
    "partition.assignment.strategy": "all workers of a group must have the same one",
    "group.id": "the group's name comes from the migration's",
    "group.protocol": "all workers of a group must have the same one",
    "bootstrap.servers": "it is bootstrap_servers of [log]",
    "metadata.broker.list": "it is bootstrap_servers of [log]",
    "session.timeout.ms": "it is session_timeout_s of [log]",
    "message.timeout.ms": "a record must not be given up while the broker is away",
    "delivery.timeout.ms": "a record must not be given up while the broker is away",
}


class Connection:
    """The addresses and properties from which every client is made.

    Attributes:
        embedded: Whether the broker is the one in memory, with its limits.
        session_timeout_s: How long a silent worker keeps its partitions.
        record_bytes_max: The largest record that our clients send.
    """

    def __init__(self, settings: LogSettings, bootstrap_servers: str | None = None) -> None:
        """Take the settings; ``bootstrap_servers`` stands in for the embedded broker's address.

        Raises:
            ConfigError: ``[log.kafka]`` sets a property on which correctness
                rests, or the embedded broker has no address yet.
        """
        for name in settings.kafka:
            if name in _OURS:
                raise ConfigError(f"[log.kafka] {name} cannot be set: {_OURS[name]}")
        self.embedded = settings.embedded
        if self.embedded and bootstrap_servers is None:
            raise ConfigError(
                'the broker "embedded" is not running: give bootstrap_servers in [log], '
                "or run the roles with `vecferry up`, which starts it"
            )
        self.bootstrap_servers = bootstrap_servers or settings.bootstrap_servers
        self.session_timeout_s = (
            min(_EMBEDDED_SESSION_S, settings.session_timeout_s)
            if self.embedded
            else settings.session_timeout_s
        )
        self._given = {name: _spelled(value) for name, value in settings.kafka.items()}
        self.record_bytes_max = self.record_bytes(settings)
        self._refusals: list[tuple[float, KafkaError]] = []

    @staticmethod
    def record_bytes(settings: LogSettings) -> int:
        """Return the largest record that clients with these settings send."""
        return int(settings.kafka.get("message.max.bytes", RECORD_BYTES_MAX))

    def producer_conf(self, **more: object) -> dict[str, Any]:
        """Return a producer's properties; ``more`` has underscores for dots and goes over ours."""
        return {
            # small enough to be sent soon, large enough that a batch is worth its request
            "linger.ms": 50 if self.embedded else 20,
            "batch.size": 1_000_000,
            # vectors hardly compress, and lz4 costs more than a fast network
            "compression.type": "none",
            **self._common(),
            # an outage ends some time; a record given up would be a hole
            "message.timeout.ms": 0,
            "enable.idempotence": True,
            "acks": "all",
            **_dotted(more),
        }

    def consumer_conf(self, group: str, **more: object) -> dict[str, Any]:
        """Return the properties of a member of ``group``; ``more`` as for a producer."""
        return {
            # other requests to the broker wait behind an idle fetch
            "fetch.wait.max.ms": 200 if self.embedded else 100,
            "queued.max.messages.kbytes": 32_000,
            # a batch may wait for a slow database and its retries; sessions tell the dead
            "max.poll.interval.ms": 900_000,
            **self._common(),
            "group.id": group,
            "session.timeout.ms": int(self.session_timeout_s * 1000),
            "heartbeat.interval.ms": int(self.session_timeout_s * 1000 / 5),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            **_dotted(more),
        }

    def producer(self, **more: object) -> Producer:
        """Make a producer.

        Raises:
            ConfigError: A property is unknown or has a wrong value.
        """
        return _made(lambda: Producer(self.producer_conf(**more)))

    def consumer(self, group: str, **more: object) -> Consumer:
        """Make a consumer.

        Raises:
            ConfigError: A property is unknown or has a wrong value.
        """
        return _made(lambda: Consumer(self.consumer_conf(group, **more)))

    def admin(self) -> AdminClient:
        """Make an admin client.

        Raises:
            ConfigError: A property is unknown or has a wrong value.
        """
        return _made(lambda: AdminClient(self._common()))

    def require(self, timeout_s: float = 15.0) -> AdminClient:
        """Return an admin client of a cluster that answers.

        Raises:
            ConfigError: It refuses this client: TLS, user, password.
            TransientError: It does not answer in time.
        """
        admin = self.admin()
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                admin.list_topics(timeout=min(2.0, timeout_s))
            except KafkaException as error:
                admin.poll(0)
                self.require_accepted(0.0)
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"Kafka at {self.bootstrap_servers} does not answer "
                        f"({code_of(error).name()}): start it, or set bootstrap_servers of [log]"
                    ) from error
            else:
                return admin

    def require_accepted(self, patience_s: float = _REFUSED_S) -> None:
        """Go on unless brokers have refused our clients, as they are configured, for so long.

        A broker that stops in the middle of a handshake looks like a refusal,
        so a single one says nothing once a client has worked.

        Raises:
            ConfigError: They have: TLS, user, password.
        """
        seen = self._refusals
        if seen and seen[-1][0] - seen[0][0] >= patience_s:
            raise translate(seen[-1][1], f"Kafka at {self.bootstrap_servers} refuses us")

    def _common(self) -> dict[str, Any]:
        return {
            "client.id": "vecferry",
            "message.max.bytes": self.record_bytes_max,
            "topic.metadata.refresh.interval.ms": 60_000,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
            "allow.auto.create.topics": False,
            "bootstrap.servers": self.bootstrap_servers,
            # an outage is told by our own errors, once; its every try would fill the terminal
            "log_level": 2,
            **self._given,
            "error_cb": self._on_error,
        }

    def _on_error(self, error: KafkaError) -> None:
        # the client reconnects by itself; only a refusal needs somebody to do something
        if not refused(error):
            return
        now = time.monotonic()
        if self._refusals and now - self._refusals[-1][0] > _REFUSED_S:
            self._refusals.clear()
        self._refusals[1:] = [(now, error)]


def _made(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except KafkaException as error:
        raise ConfigError(
            f"the properties of [log.kafka] cannot be used: {code_of(error).str()}"
        ) from error


def _dotted(more: dict[str, object]) -> dict[str, object]:
    return {name.replace("_", "."): value for name, value in more.items()}


def _spelled(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
