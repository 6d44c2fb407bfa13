"""A server's two doors: REST for classes, gRPC for objects."""

import ssl
import threading
from typing import Any
from urllib.parse import quote, urlsplit

import grpc
import httpx

from vecferry.errors import ConfigError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.weaviate.errors import NotConnectedError, translate_errors

_REST_PORT, _GRPC_PORT = 8080, 50051
_CONNECT_MAX_S = 10.0
_HEALTH = "/grpc.health.v1.Health/Check"
_NO_ANSWER = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # a server that comes back is found within seconds, not the default two minutes
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class Connection:
    """Both connections with their credentials; safe to use from several threads.

    Guarantees: after any failure over gRPC the server must answer a health check
    before the next request goes out. One that fails there was not sent.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.base, tls = rest_address(settings)
        self.grpc_address, grpc_tls = grpc_address(settings)
        self.timeout_s = settings.timeout_s
        if settings.ca_file is not None and not (tls or grpc_tls):
            raise ConfigError("ca_file is set but tls is not: set tls = true or an https url")
        secret = settings.secret()
        if secret is not None and not (secret.isascii() and secret.isprintable()):
            raise ConfigError("api_key holds characters that no header can carry")
        bearer = {"authorization": f"Bearer {secret}"} if secret else {}
        self._metadata = tuple(bearer.items())
        self._client = httpx.Client(
            base_url=self.base,
            headers=bearer,
            verify=_trusted(settings),
            timeout=httpx.Timeout(self.timeout_s, connect=min(self.timeout_s, _CONNECT_MAX_S)),
        )
        self._channel = _channel(self.grpc_address, grpc_tls, settings)
        self._stubs: dict[str, Any] = {}
        self._connected = False
        self._lock = threading.Lock()

    def rest(
        self, method: str, path: str, doing: str, body: Any = None, *, first: bool = False
    ) -> Any:
        """Send one request below ``/v1`` and return the JSON that came back; None for a 404.

        ``first``: what fails is the configuration's fault.
        """
        writes = method != "GET"
        with translate_errors(doing, writes=writes, connecting=first):
            response = self._client.request(method, f"/v1/{quote(path)}", json=body)
            if response.status_code == httpx.codes.NOT_FOUND and not first:
                return None
            response.raise_for_status()
        try:
            return response.json() if response.content else {}
        except ValueError as error:
            raise ConfigError(f"{doing}: what answers at {self.base} is not Weaviate") from error

    def call(
        self, method: str, request: Any, doing: str, *, writes: bool = False, first: bool = False
    ) -> bytes:
        """Send one request of ``weaviate.v1.Weaviate`` and return the reply's wire bytes."""
        self._require_connected(doing)
        try:
            with translate_errors(doing, writes=writes, connecting=first):
                reply: bytes = self._stub(f"/weaviate.v1.Weaviate/{method}")(
                    request.SerializeToString(), timeout=self.timeout_s, metadata=self._metadata
                )
        except TransientError:
            self._connected = False  # look again before the next one
            raise
        return reply

    def validate(self, body: Any, doing: str) -> int:
        """Return the HTTP status that an object gets which is validated and not written."""
        with translate_errors(doing):
            response = self._client.post("/v1/objects/validate", json=body)
            if response.status_code not in (
                httpx.codes.BAD_REQUEST,
                httpx.codes.UNPROCESSABLE_ENTITY,
            ):
                response.raise_for_status()
        return response.status_code

    def require_grpc(self, doing: str) -> None:
        """Ask the gRPC service for its health.

        Raises:
            NotConnectedError: Nothing answers.
        """
        self._connected = False
        self._require_connected(doing)

    def close(self) -> None:
        """Close both; a second call is fine."""
        self._client.close()
        self._channel.close()

    def _stub(self, path: str) -> Any:
        stub = self._stubs.get(path)
        if stub is None:
            with self._lock:
                stub = self._stubs.setdefault(path, self._channel.unary_unary(path))
        return stub

    def _require_connected(self, doing: str) -> None:
        # a failed call does not say whether it was sent: a harmless one goes first
        if self._connected:
            return
        try:
            self._stub(_HEALTH)(
                b"", timeout=min(self.timeout_s, _CONNECT_MAX_S), metadata=self._metadata
            )
        except grpc.RpcError as error:
            if error.code() in _NO_ANSWER:
                raise NotConnectedError(
                    f"{doing}: no connection to Weaviate's gRPC at {self.grpc_address} "
                    f"({error.code().name}); nothing was sent"
                ) from error
        self._connected = True  # a refusal is an answer, too


def rest_address(settings: StoreSettings) -> tuple[str, bool]:
    """Return the URL of REST and whether it is TLS.

    Raises:
        ConfigError: It cannot be read.
    """
    example = f"url should be like http://127.0.0.1:{_REST_PORT}"
    if not settings.url:
        raise ConfigError(f"url is missing: {example}")
    host, port, scheme = _parts(settings.url, "url", example)
    if scheme not in ("", "http", "https") or (settings.tls and scheme == "http"):
        raise ConfigError(f"url = {settings.url!r} does not fit: {example}, or https where tls is")
    tls = settings.tls or scheme == "https"
    port = port or (443 if tls else _REST_PORT)
    return f"{'https' if tls else 'http'}://{host}:{port}", tls


def grpc_address(settings: StoreSettings) -> tuple[str, bool]:
    """Return host:port of gRPC, ``grpc_url`` or port 50051 of REST's host, and whether it is TLS.

    Raises:
        ConfigError: It cannot be read.
    """
    example = f"grpc_url should be like 127.0.0.1:{_GRPC_PORT}"
    host, port, scheme = _parts(settings.grpc_url or settings.url, "grpc_url", example)
    if scheme not in ("", "http", "https", "grpc", "grpcs"):
        raise ConfigError(f"grpc_url = {settings.grpc_url!r} is not an address: {example}")
    port = port if settings.grpc_url else None
    return f"{host}:{port or _GRPC_PORT}", settings.tls or scheme in ("https", "grpcs")


def _parts(given: str, name: str, example: str) -> tuple[str, int | None, str]:
    scheme = urlsplit(given).scheme if "://" in given else ""
    parts = urlsplit(given if scheme else f"//{given}")
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{name} = {given!r} has no valid port: {example}") from error
    if not parts.hostname:
        raise ConfigError(f"{name} = {given!r} is not an address: {example}")
    return (f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname), port, scheme


def _trusted(settings: StoreSettings) -> ssl.SSLContext:
    try:
        file = settings.ca_file
        return ssl.create_default_context(cafile=str(file.expanduser()) if file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {str(settings.ca_file)!r} cannot be read") from error


def _channel(address: str, tls: bool, settings: StoreSettings) -> Any:
    if not tls:
        return grpc.insecure_channel(address, options=_OPTIONS)
    root = settings.ca_file.expanduser().read_bytes() if settings.ca_file else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root), options=_OPTIONS)
