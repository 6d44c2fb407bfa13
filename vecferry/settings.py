"""One migration's settings: a TOML file, then ``VECFERRY_*`` variables over it.

A variable names a setting by its path: ``VECFERRY_SOURCE__API_KEY`` is
``api_key`` of ``[source]``. Secrets are wrapped, so that printing a settings
object never shows one.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from vecferry.errors import ConfigError
from vecferry.model import Metric
from vecferry.plan_settings import IndexSettings, PlanSettings
from vecferry.setting_problems import explain
from vecferry.transform_settings import TransformSettings

_PREFIX = "VECFERRY_"
_HAS_PASSWORD = re.compile(r"\s*(\w[\w+.-]*://[^/]*|[^/]*:[^/]*)@")
_NOT_SETTINGS = ("VECFERRY_TEST_", "VECFERRY_CHAOS_")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_password(url: str, instead: str) -> str:
    # an address is printed in messages
    if any(_HAS_PASSWORD.match(part) for part in url.split(",")):
        raise ValueError(f"an address must not hold a password: use {instead}")
    return url


class StoreSettings(_Frozen):
    """How to reach one database. ``url`` is the vendor's own address."""

    type: str
    """The database: ``milvus``, ``parquet``, ``pgvector``, ``pinecone``, ``qdrant``, ``weaviate``; each is
    an extra of the package. ``memory`` is for tests."""
    url: str = ""
    """The vendor's own address, with its port."""
    grpc_url: str = ""
    """The gRPC address of Qdrant, where it is not the next port on the same host, or of Weaviate, where it is not port 50051 there."""
    api_key: SecretStr | None = None
    """The key, where the database wants one; better in ``VECFERRY_SOURCE__API_KEY`` than in the file."""
    api_key_file: Path | None = None
    """A file that holds the key and nothing else, such as a mounted secret; it goes before the others."""
    user: str = ""
    """For databases that know users."""
    password: SecretStr | None = None
    """That user's."""
    token: SecretStr | None = None
    """The key by the name that Milvus gives it."""
    database: str = ""
    """The database within the server, where it has several; its default one when empty."""
    tls: bool = False
    """Encrypt also where the address does not say so."""
    ca_file: Path | None = None
    """The authority that signed the server's certificate; the system's own when left out."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Every request's limit: after it the request has landed or never will."""

    @field_validator("url", "grpc_url")
    @classmethod
    def _no_secret_in_url(cls, value: str) -> str:
        return _without_password(value, "user and password, or token")

    def secret(self) -> str | None:
        """Return the API key or token from wherever it is kept.

        Raises:
            ConfigError: The file that should hold it cannot be read.
        """
        if self.api_key_file is not None:
            try:
                return self.api_key_file.expanduser().read_text().strip()
            except OSError as error:
                raise ConfigError(
                    f"api_key_file {str(self.api_key_file)!r} cannot be read: {error.strerror}"
                ) from error
        chosen = self.api_key or self.token
        return None if chosen is None else chosen.get_secret_value()


class CollectionSettings(_Frozen):
    """One collection to move; ``source`` may be a pattern (``docs_*``), then ``target`` is ``*``-like too."""

    source: str
    """The name in the source, or a pattern."""
    target: str = ""
    """The name in the target; the source's own when empty. A ``*`` stands for the source's whole name."""
    vectors: Mapping[str, str] = Field(default_factory=dict)
    """Vector names, source to target, where the mapping's own choice does not fit."""
    metrics: Mapping[str, Metric] = Field(default_factory=dict)
    """The metric of a vector whose collection has no index to read it from."""
    allow_not_empty: bool = False
    """Go on although the target's collection holds points."""
    acknowledge: tuple[str, ...] = ()
    """Fields whose loss is accepted, by the names that ``plan`` prints."""
    index: IndexSettings = IndexSettings()
    """Where the target's index should be another than the source's."""
    transforms: tuple[TransformSettings, ...] = ()
    """What is done to each point on its way to the target, in this order (docs/transforms.md)."""


class LogSettings(_Frozen):
    """The Kafka cluster, and how its topics are made."""

    bootstrap_servers: str = "embedded"
    """``embedded`` starts a broker in memory: for trying things, not for a migration."""
    partitions: int = Field(default=6, ge=1, le=1024)
    """The number of partitions of hints and events; fixed for the life of a migration."""
    replication_factor: int | None = Field(default=None, ge=1)
    """Copies of each partition; three where there are three brokers, else one."""
    create_topics: bool = True
    """Without it the topics must be there, and are checked."""
    hints_retention_h: float = Field(default=168.0, gt=0)
    """Longer than the longest outage of a capture worker."""
    schema_registry_url: str = ""
    """Use the Confluent framing and this registry; without it a record carries its schema's fingerprint."""
    schema_registry_user: str = ""
    """For a registry with basic authentication; its password is the next one."""
    schema_registry_password: SecretStr | None = None
    """Better in ``VECFERRY_LOG__SCHEMA_REGISTRY_PASSWORD`` than in a file."""
    kafka: Mapping[str, str | int | float | bool] = Field(default_factory=dict, repr=False)
    """Any librdkafka property: TLS, SASL, buffers. A variable writes ``_`` for the dots:
    ``VECFERRY_LOG__KAFKA__SASL_PASSWORD``. Never printed, because it may hold secrets."""
    heartbeat_s: float = Field(default=2.0, gt=0)
    """How often a process says in ``control`` that it lives."""
    session_timeout_s: float = Field(default=45.0, gt=0)
    """How long a silent worker keeps its partitions; six seconds on the embedded broker."""

    @field_validator("kafka", mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        # TOML reads `sasl.username = …` as nested tables; no property's name has an underscore
        if not isinstance(value, dict):
            return value
        return {name.replace("_", "."): inner for name, inner in _flat("", value)}

    @field_serializer("kafka")
    def _hide(self, value: Mapping[str, Any]) -> dict[str, str]:
        return dict.fromkeys(value, "**********")

    @field_validator("schema_registry_url")
    @classmethod
    def _no_secret_in_url(cls, value: str) -> str:
        return _without_password(value, "schema_registry_user and schema_registry_password")

    @property
    def embedded(self) -> bool:
        """Whether Vecferry starts the broker itself."""
        return self.bootstrap_servers == "embedded"


class SnapshotSettings(_Frozen):
    """Reading everything that the source holds."""

    mode: Literal["full", "seeded"] = "full"
    """``seeded``: the target was restored from a native snapshot; only what differs there is moved."""
    workers: int = Field(default=1, ge=0, le=64)
    """Processes that ``up`` starts."""
    chunk_points: int = Field(default=10_000, ge=1)
    """Small enough to be cheap to repeat, large enough that markers do not count."""
    window_offsets: int = Field(default=1_000_000, ge=1_000)
    """A window lapses so many offsets after its OPEN; it bounds what a fold remembers."""
    points_per_s_max: float = Field(default=0.0, ge=0)
    """The user's own limit for each worker; 0 is none."""
    lag_records_max: int = Field(default=500_000, ge=1)
    """Wait while the appliers are this far behind, in records of one partition."""
    latency_factor_max: float = Field(default=5.0, gt=1)
    """Slow down while the source answers this many times slower than at its best."""


class ApplySettings(_Frozen):
    """Writing to the target."""

    workers: int = Field(default=1, ge=0, le=256)
    """Processes that ``up`` starts."""
    batch_points: int = Field(default=512, ge=1)
    """Databases gain little from larger requests and time out on them."""
    batch_bytes: int = Field(default=8_000_000, ge=1_000)
    """Below every database's limit of a request."""
    writes_in_flight: int = Field(default=4, ge=1)
    """Batches that one worker has out at a time, never two for one partition's same key."""
    span_offsets: int = Field(default=8_192, ge=1)
    """Nothing at or beyond the last commit plus this is sent: what a takeover must repeat."""
    request_max_s: float = Field(default=30.0, gt=0)
    """A request lands within this of being sent, or never."""
    backoff_max_s: float = Field(default=30.0, gt=0)
    """The longest pause between two tries of the same batch."""
    commit_s: float = Field(default=1.0, gt=0)
    """How often progress is committed."""


class CaptureSettings(_Frozen):
    """Reading back what was hinted."""

    workers: int = Field(default=1, ge=0, le=64)
    """Processes that ``up`` starts."""
    request_max_s: float = Field(default=30.0, gt=0)
    """A write of the application lands within this of being sent, or never."""
    intent_max_s: float = Field(default=5.0, gt=0)
    """An INTENT older than this is written again before the write is sent."""
    commit_s: float = Field(default=1.0, gt=0)
    """Each commit reads ``control`` to its end first; once a second costs nothing."""
    hot_key_s: float = Field(default=0.2, ge=0)
    """A key that is written all the time is read back this often, not at every write."""
    vanished_max: int = Field(default=1_000, ge=0)
    """More points than this absent without a delete within the window stop the worker; 0 never does."""
    vanished_window_s: float = Field(default=60.0, gt=0)
    """The window in which absent points are counted."""
    expected_writers: Mapping[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Who writes to the source: the ``name`` of each application's feeds, and its processes at least."""


class FeedSettings(_Frozen):
    """Finding changes in the source itself, where nothing can be put in front of it."""

    type: Literal["none", "scan", "timestamp", "logical"] = "none"
    """``scan`` reads everything again and again and compares; ``timestamp`` asks for what is newer;
    ``logical`` follows the database's own log of changes, where it keeps one (pgvector)."""
    every_s: float = Field(default=60.0, gt=0)
    """From the start of one pass to the start of the next, where it does not take longer; for
    ``logical`` a second at most."""
    field: str = "updated_at"
    """For ``timestamp``: the payload field that every write sets; dots lead into objects."""
    unit: Literal["s", "ms", "us", "ns"] = "s"
    """What a number in that field counts since 1970; a text there is RFC 3339."""
    overlap_s: float = Field(default=60.0, ge=0)
    """A pass begins this much before the newest time it knows: for the writers' clocks, and for
    writes that were on their way."""
    deletes_every_s: float = Field(default=3_600.0, gt=0)
    """For ``timestamp``: how often all keys are listed, to find what was deleted."""
    points_per_s_max: float = Field(default=0.0, ge=0)
    """The user's own limit of reading; 0 is none."""
    state: Path | None = None
    """The folder of what was seen; beside the other files of ``VECFERRY_HOME`` when left out. Losing
    it costs time and loses nothing."""


class ParitySettings(_Frozen):
    """Comparing both sides."""

    buckets: int = Field(default=4_096, ge=1)
    """Digest sums that are held at a time; a power of two."""
    tolerance: float = Field(default=1e-6, ge=0)
    """The largest difference in direction where the target normalises vectors."""

    @field_validator("buckets")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value


class CutoverSettings(_Frozen):
    """The switch."""

    freeze_max_s: float = Field(default=10.0, gt=0)
    """Writes are held for at most this long, then the switch is called off."""


class Settings(_Frozen):
    """One migration."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
    """Names the topics and the groups."""
    source: StoreSettings
    """The database to read."""
    target: StoreSettings
    """The database to write."""
    collections: tuple[CollectionSettings, ...] = Field(min_length=1)
    """What to move, one or more."""
    plan_file: Path | None = None
    """What ``plan --out`` wrote: nothing runs when what is planned now deviates from it."""
    plan: PlanSettings = PlanSettings()
    log: LogSettings = LogSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    capture: CaptureSettings = CaptureSettings()
    apply: ApplySettings = ApplySettings()
    feed: FeedSettings = FeedSettings()
    parity: ParitySettings = ParitySettings()
    cutover: CutoverSettings = CutoverSettings()

    @model_validator(mode="after")
    def _timeouts_fit(self) -> Self:
        if self.target.timeout_s > self.apply.request_max_s:
            raise ValueError(
                f"target.timeout_s = {self.target.timeout_s:g} is longer than apply.request_max_s = "
                f"{self.apply.request_max_s:g}: a request must be over before it is repeated"
            )
        if self.feed.type == "timestamp" and self.feed.overlap_s < self.capture.request_max_s:
            raise ValueError(
                f"feed.overlap_s = {self.feed.overlap_s:g} is shorter than capture.request_max_s = "
                f"{self.capture.request_max_s:g}: a write that takes its time and lands late is overlooked"
            )
        return self


def load_settings(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read a migration's file and the variables over it.

    Raises:
        ConfigError: The file is not there, is not TOML, or a setting is
            unknown (the nearest is named) or has a wrong value.
    """
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is not there: give the migration's file with -c, or start from docs/configuration.md"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return parse_settings(document, environ, str(path))


def parse_settings(
    document: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    where: str = "the settings",
) -> Settings:
    """Validate a document as :func:`load_settings` does."""
    merged = _with_variables(dict(document), environ)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        lines = [explain(problem, Settings) for problem in error.errors(include_input=False)]
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def _with_variables(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name.startswith(_NOT_SETTINGS):
            continue
        *path, last = name.removeprefix(_PREFIX).lower().split("__")
        if not path and last not in Settings.model_fields:
            continue  # VECFERRY_HOME and the like are not settings
        table = document
        for part in path:
            inner = table.get(part, {})
            table[part] = dict(inner) if isinstance(inner, Mapping) else {}
            table = table[part]
        table[last] = _value(environ[name])
    return document


def _value(text: str) -> Any:
    # lists and tables are written as JSON; everything else is read by the setting's type
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _flat(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in table.items():
        path = f"{prefix}.{name}" if prefix else name
        pairs += _flat(path, value) if isinstance(value, Mapping) else [(path, value)]
    return pairs
