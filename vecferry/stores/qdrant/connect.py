"""One gRPC channel to a Qdrant server, and the requests that go over it."""

import threading
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc

from vecferry.errors import ConfigError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.qdrant.errors import translate_errors

_REST_PORT = 6333
_CONNECT_MAX_S = 10.0
_UNLIMITED = -1
HEALTH = "/qdrant.Qdrant/HealthCheck"
_NO_ANSWER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
"""What a server that is not there, not Qdrant's or not well gives."""

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
]


class NotConnectedError(TransientError):
    """No connection stood, so nothing was sent."""


class Request(Protocol):
    """A protobuf message, of the private pool or the client's own."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the wire bytes."""


def grpc_address(settings: StoreSettings) -> tuple[str, bool]:
    """Return host:port of the gRPC service, and whether it is TLS.

    ``grpc_url`` where it is set, else the port after the one of ``url``: Qdrant's
    own default, 6334 beside 6333.

    Raises:
        ConfigError: An address cannot be read.
    """
    given = settings.grpc_url or settings.url
    name = "grpc_url" if settings.grpc_url else "url"
    example = f"{name} should be like http://127.0.0.1:{_REST_PORT + bool(settings.grpc_url)}"
    if not given:
        raise ConfigError(f"url is missing: {example}")
    parts = urlsplit(given if "://" in given else f"http://{given}")
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{name} = {given!r} has no valid port: {example}") from error
    if parts.scheme not in ("http", "https", "grpc", "grpcs") or not parts.hostname:
        raise ConfigError(f"{name} = {given!r} is not an address: {example}")
    port = port or _REST_PORT + bool(settings.grpc_url)
    if not settings.grpc_url:
        port += 1
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}", settings.tls or parts.scheme in ("https", "grpcs")


class Connection:
    """A channel with its credentials; safe to use from several threads.

    Guarantees: after any failure the server must answer a health check before the
    next request goes out. One that fails there was not sent, and is a TransientError;
    a connection that broke under a write is an UnknownOutcome.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.address, tls = grpc_address(settings)
        self.timeout_s = settings.timeout_s
        secret = settings.secret()
        if secret is not None and not (secret.isascii() and secret.isprintable()):
            # gRPC's own error would print it
            raise ConfigError("api_key holds characters that no header can carry")
        self._metadata = (("api-key", secret),) if secret else ()
        self._channel = _channel(self.address, tls, settings)
        self._stubs: dict[str, Any] = {}
        self._connected = False
        self._lock = threading.Lock()

    def call(
        self, path: str, request: Request, doing: str, *, writes: bool = False, first: bool = False
    ) -> bytes:
        """Send one request and return the reply's wire bytes.

        Args:
            path: ``/qdrant.Points/Upsert`` and the like.
            request: The message.
            doing: For the error's message.
            writes: The request changes something.
            first: What fails is the configuration's fault.
        """
        self._require_connected(doing)
        try:
            with translate_errors(doing, writes=writes, connecting=first):
                reply: bytes = self._stub(path)(
                    request.SerializeToString(), timeout=self.timeout_s, metadata=self._metadata
                )
        except TransientError:
            self._connected = False  # look again before the next one
            raise
        return reply

    def close(self) -> None:
        """Close the channel; a second call is fine."""
        self._channel.close()

    def _stub(self, path: str) -> Any:
        stub = self._stubs.get(path)
        if stub is None:
            with self._lock:
                stub = self._stubs.setdefault(path, self._channel.unary_unary(path))
        return stub

    def _require_connected(self, doing: str) -> None:
        # A failed call does not say whether it was sent, and its text may not be asked.
        # So a harmless one goes first: while it fails, nothing else is sent.
        if self._connected:
            return
        try:
            self._stub(HEALTH)(
                b"", timeout=min(self.timeout_s, _CONNECT_MAX_S), metadata=self._metadata
            )
        except grpc.RpcError as error:
            if error.code() in _NO_ANSWER:
                raise NotConnectedError(
                    f"{doing}: no connection to Qdrant's gRPC at {self.address} "
                    f"({error.code().name}); nothing was sent"
                ) from error
        self._connected = True  # a refusal is an answer, too


def _channel(address: str, tls: bool, settings: StoreSettings) -> Any:
    if not tls:
        if settings.ca_file is not None:
            raise ConfigError("ca_file is set but tls is not: set tls = true or an https url")
        return grpc.insecure_channel(address, options=_OPTIONS)
    root = None
    if settings.ca_file is not None:
        try:
            root = settings.ca_file.expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(
                f"ca_file {str(settings.ca_file)!r} cannot be read: {error.strerror}"
            ) from error
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root), options=_OPTIONS)
