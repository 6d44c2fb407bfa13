"""What a feed can be told: few things, because a process that only captures should need nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from pydantic import SecretStr, ValidationError

from vecferry.errors import ConfigError
from vecferry.settings import LogSettings

HEARTBEAT_S = 2.0
LEASE_S = 15.0
"""A process whose own heartbeat did not come back for so long sends no write."""


class FeedOptions(TypedDict, total=False):
    """The options of a feed, as :class:`vecferry.producers.feeds.Feed` takes them by name.

    Attributes:
        name: The application's, as ``capture.expected_writers`` names it.
        kafka: Any librdkafka property: TLS, SASL.
        on_log_down: ``refuse`` raises when Kafka cannot be reached; ``rescan``
            lets the write through and has its collection read again.
        schema_registry_url: As in ``[log]``, where the migration has one.
        schema_registry_user, schema_registry_password: Where it wants them.
        request_max_s: A write lands within this of being sent, or never. Give
            the client a timeout that is not longer.
        intent_max_s: An INTENT older than this is written again before the
            write is sent; also how long Kafka may take to acknowledge one.
    """

    name: str
    kafka: Mapping[str, str | int | float | bool]
    on_log_down: Literal["refuse", "rescan"]
    schema_registry_url: str
    schema_registry_user: str
    schema_registry_password: str
    request_max_s: float
    intent_max_s: float


@dataclass(frozen=True, slots=True)
class Options:
    """The options with their defaults; see :class:`FeedOptions`.

    ``request_max_s`` and ``intent_max_s`` must not exceed those of
    ``[capture]``: the worker sweeps an INTENT after their sum.
    """

    name: str = ""
    kafka: Mapping[str, str | int | float | bool] = field(default_factory=dict, repr=False)
    on_log_down: Literal["refuse", "rescan"] = "refuse"
    schema_registry_url: str = ""
    schema_registry_user: str = ""
    schema_registry_password: str = field(default="", repr=False)
    request_max_s: float = 30.0
    intent_max_s: float = 5.0

    def __post_init__(self) -> None:
        if self.on_log_down not in ("refuse", "rescan"):
            raise ConfigError(
                f'on_log_down is {self.on_log_down!r}, and may be "refuse" or "rescan"'
            )
        if self.request_max_s <= 0 or self.intent_max_s <= 0:
            raise ConfigError("request_max_s and intent_max_s are seconds, more than 0")

    @property
    def patience_s(self) -> float:
        """After this long the capture worker no longer waits for the end of a write."""
        return self.request_max_s + self.intent_max_s

    def log_settings(self, bootstrap_servers: str) -> LogSettings:
        """Return the settings of the log.

        Raises:
            ConfigError: A value cannot be used.
        """
        try:
            return LogSettings(
                bootstrap_servers=bootstrap_servers,
                schema_registry_url=self.schema_registry_url,
                schema_registry_user=self.schema_registry_user,
                schema_registry_password=SecretStr(self.schema_registry_password) or None,
                kafka=self.kafka,
                heartbeat_s=HEARTBEAT_S,
            )
        except ValidationError as error:
            lines = [f"{each['loc']}: {each['msg']}" for each in error.errors(include_input=False)]
            raise ConfigError(f"the feed's options: {'; '.join(lines)}") from None
