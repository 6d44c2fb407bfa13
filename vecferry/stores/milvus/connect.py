"""One gRPC channel to a Milvus server, and the requests that go over it."""

import base64
import threading
from collections.abc import Collection as Some
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus.grpc_gen import milvus_pb2

from vecferry.errors import ConfigError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.milvus.errors import StatusError, translate_errors

_PORT = 19530
_CONNECT_MAX_S = 10.0
_UNLIMITED = -1
_OPTIONS = [
    # 4 MB is gRPC's default; a page of vectors is larger
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.max_receive_message_length", _UNLIMITED),
    # a server that comes back is found within seconds, not the default two minutes
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # each store has its own connection, so that several do not share one stream window
    ("grpc.use_local_subchannel_pool", 1),
    # what is sent again is the worker's decision
    ("grpc.enable_retries", 0),
]
_NOT_CONNECTED = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
_LITE = "milvus_lite-"


@dataclass(frozen=True, slots=True)
class Product:
    """What answers: Milvus or Milvus Lite, and its version."""

    lite: bool
    version: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return f"{'Milvus Lite' if self.lite else 'Milvus'} {self.text}"

    def since(self, *version: int) -> bool:
        """Whether this is Milvus (not Lite) of that version or newer."""
        return not self.lite and self.version >= version


def parse_product(text: str) -> Product:
    """Read what ``GetVersion`` says: ``v2.3.5-lite`` is a Milvus, ``milvus_lite-3.2.2`` is not."""
    lite = text.startswith(_LITE)
    rest = text.removeprefix(_LITE).removeprefix("v")
    numbers = []
    for part in rest.split("-")[0].split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    # a build without a number is somebody's own, from a branch that is newer than a release
    return Product(lite, tuple(numbers) or (2, 6), rest)


def address(settings: StoreSettings) -> tuple[str, bool]:
    """Return host:port of the service, and whether it is TLS.

    Raises:
        ConfigError: ``url`` is missing or cannot be read.
    """
    example = f"url should be like http://127.0.0.1:{_PORT}"
    if not settings.url:
        raise ConfigError(f"url is missing: {example}")
    parts = urlsplit(settings.url if "://" in settings.url else f"http://{settings.url}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else _PORT)
    except ValueError as error:
        raise ConfigError(f"url = {settings.url!r} has no valid port: {example}") from error
    if parts.scheme not in ("http", "https", "tcp", "grpc") or not parts.hostname:
        raise ConfigError(f"url = {settings.url!r} is not an address: {example}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}", settings.tls or parts.scheme == "https"


class Connection:
    """A channel with its credentials; safe to use from several threads.

    Guarantees: a request that fails before a connection stood was not sent, and
    is a TransientError; a connection that broke under a write is an UnknownOutcome.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.address, tls = address(settings)
        self.timeout_s = settings.timeout_s
        self._metadata = _metadata(settings)
        self._database = settings.database
        self._channel = _channel(self.address, tls, settings)
        self._calls: dict[str, Any] = {}
        self._connected = False
        self._product: Product | None = None
        self._lock = threading.Lock()

    def call(
        self,
        request: Any,
        reply: Any,
        doing: str,
        *,
        writes: bool = False,
        allow: Some[int] = (),
    ) -> Any:
        """Send one request, named as its message is, and return the parsed reply.

        Args:
            request: A message; ``QueryRequest`` goes to ``Query``.
            reply: The class of the reply's message.
            doing: For an error's message.
            writes: The request changes something.
            allow: Codes of a reply's status that the caller deals with.
        """
        return self.ask(request.DESCRIPTOR.name.removesuffix("Request"), request, reply)(
            doing, writes=writes, allow=allow
        )

    def ask(self, method: str, request: Any, reply: Any) -> "_Asked":
        """Prepare a request to a method whose name is not its message's."""
        return _Asked(self, method, request, reply)

    def product(self) -> Product:
        """Return what answers; asked once.

        Raises:
            ConfigError: Nothing that speaks Milvus' protocol is there, or the
                credentials are refused.
        """
        if self._product is None:
            try:
                self._product = self._ask_product()
            except TransientError as error:
                raise ConfigError(
                    f"{error}; check url and database, and that Milvus' gRPC listens there"
                ) from error
        return self._product

    def _ask_product(self) -> Product:
        request = milvus_pb2.GetVersionRequest()
        asked = self.ask("GetVersion", request, milvus_pb2.GetVersionResponse)
        reply = asked(f"asking {self.address} for its version", first=True)
        if self._database:  # the version alone is given in a database that is not there, too
            listed = self.ask(
                "ShowCollections",
                milvus_pb2.ShowCollectionsRequest(),
                milvus_pb2.ShowCollectionsResponse,
            )
            listed(f"looking for the database {self._database!r}", first=True)
        return parse_product(reply.version)

    def close(self) -> None:
        """Close the channel; a second call is fine."""
        self._channel.close()

    def send(self, method: str, request: Any, doing: str, *, writes: bool, first: bool) -> bytes:
        """Send one request and return the reply's wire bytes."""
        self._require_connected(doing)
        try:
            with translate_errors(doing, writes=writes, first=first):
                reply: bytes = self._stub(method)(
                    request.SerializeToString(), timeout=self.timeout_s, metadata=self._metadata
                )
        except TransientError:
            self._connected = False  # look again before the next one
            raise
        return reply

    def _stub(self, method: str) -> Any:
        stub = self._calls.get(method)
        if stub is None:
            with self._lock:
                path = f"/milvus.proto.milvus.MilvusService/{method}"
                stub = self._calls.setdefault(method, self._channel.unary_unary(path))
        return stub

    def _require_connected(self, doing: str) -> None:
        # A failed call does not say whether it was sent, and its text may not be asked.
        # So a call is made only on a connection that just carried a harmless one. (gRPC's
        # own watch of a channel's state leaves a thread behind that breaks when it is closed.)
        if self._connected:
            return
        try:
            self._stub("GetVersion")(
                milvus_pb2.GetVersionRequest().SerializeToString(),
                timeout=min(self.timeout_s, _CONNECT_MAX_S),
                metadata=self._metadata,
            )
        except grpc.RpcError as error:
            if error.code() in _NOT_CONNECTED:
                raise TransientError(
                    f"{doing}: no connection to Milvus at {self.address}; nothing was sent"
                ) from error
        self._connected = True


@dataclass(frozen=True, slots=True)
class _Asked:
    connection: Connection
    method: str
    request: Any
    reply: Any

    def __call__(
        self, doing: str, *, writes: bool = False, first: bool = False, allow: Some[int] = ()
    ) -> Any:
        wire = self.connection.send(self.method, self.request, doing, writes=writes, first=first)
        answer = self.reply.FromString(wire)
        status = getattr(answer, "status", answer)
        if (status.code or status.error_code) and status.code not in allow:
            with translate_errors(doing, writes=writes, first=first):
                raise StatusError(status)
        return answer


def _metadata(settings: StoreSettings) -> tuple[tuple[str, str], ...]:
    secret = settings.secret()
    if secret is None and settings.user:
        password = settings.password.get_secret_value() if settings.password else ""
        secret = f"{settings.user}:{password}"
    found = []
    if secret is not None:
        found.append(("authorization", base64.b64encode(secret.encode()).decode()))
    if settings.database:
        found.append(("dbname", settings.database))
    return tuple(found)


def _channel(target: str, tls: bool, settings: StoreSettings) -> Any:
    if not tls:
        if settings.ca_file is not None:
            raise ConfigError("ca_file is set but tls is not: set tls = true or an https url")
        return grpc.insecure_channel(target, options=_OPTIONS)
    root = None
    if settings.ca_file is not None:
        try:
            root = settings.ca_file.expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(
                f"ca_file {str(settings.ca_file)!r} cannot be read: {error.strerror}"
            ) from error
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(root), options=_OPTIONS)
