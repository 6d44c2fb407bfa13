"""The Qdrant behind the proxy: its REST client and its gRPC channel, without credentials of their own."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import grpc
import httpx

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy.options import ProxyOptions
from vecferry.producers.feeds.proxy.refusals import RefusalError, Why
from vecferry.stores.qdrant.connect import grpc_address

Pairs = list[tuple[bytes, bytes]]

_CONNECT_S = 5.0
_SILENCE_S = 600.0
"""After so long without a byte a request that is no write of points is given up."""

_KEEP_S = 2.0  # Qdrant closes idle connections after five
_HOP_BY_HOP = frozenset(
    b"""connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer
    transfer-encoding upgrade expect host""".split()
)
_CREDENTIALS = frozenset({"api-key", "authorization"})
_RESERVED = ("grpc-", ":")
_TRANSPORT = frozenset({"te", "content-type", "user-agent", "host", "accept-encoding"})


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Return the headers that are not about one connection alone."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in pairs
        if name == b"connection"
        for token in value.split(b",")
    }
    return [(name, value) for name, value in pairs if name not in _HOP_BY_HOP | named]


def credentials(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Return those headers with which a client shows who it is."""
    return [
        (name, value) for name, value in headers if name.lower().decode("latin-1") in _CREDENTIALS
    ]


def forwarded_metadata(metadata: Any) -> tuple[tuple[str, Any], ...]:
    """Return the metadata that is the application's, not the transport's."""
    return tuple(
        (key, value)
        for key, value in metadata or ()
        if not key.startswith(_RESERVED) and key not in _TRANSPORT
    )


def metadata_credentials(metadata: Any) -> tuple[tuple[str, Any], ...]:
    """Return that metadata with which a client shows who it is."""
    return tuple((key, value) for key, value in metadata or () if key in _CREDENTIALS)


def rest_client(options: ProxyOptions, connections: int) -> httpx.AsyncClient:
    """Return a client that adds nothing to a request: no header, no environment's proxy, no netrc.

    Raises:
        ConfigError: ``ca_file`` cannot be used.
    """
    timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S, pool=_CONNECT_S)
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=100, keepalive_expiry=_KEEP_S
    )
    client = httpx.AsyncClient(
        verify=_authority(options), timeout=timeout, limits=limits, trust_env=False
    )
    for name in list(client.headers):
        del client.headers[name]
    return client


def _authority(options: ProxyOptions) -> ssl.SSLContext | bool:
    ca_file = options.source.ca_file
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file.expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {str(ca_file)!r} cannot be used") from error


class Channel:
    """The gRPC side."""

    def __init__(self, options: ProxyOptions) -> None:
        """Make the channel; it connects at its first use.

        Raises:
            ConfigError: ``ca_file`` cannot be read.
        """
        address, tls = grpc_address(options.source)
        channel_options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", options.reply_bytes_max),
            ("grpc.enable_retries", 0),  # whether to send a write again is the client's to say
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 2_000),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if tls:
            trusted = grpc.ssl_channel_credentials(_root(options))
            self._channel = grpc.aio.secure_channel(address, trusted, options=channel_options)
        else:
            self._channel = grpc.aio.insecure_channel(address, options=channel_options)
        self._stubs: dict[str, Any] = {}

    def unary(self, method: str) -> Any:
        """Return what calls a method with bytes and returns bytes. Methods are few: it is kept."""
        stub = self._stubs.get(method)
        if stub is None:
            stub = self._stubs[method] = self._channel.unary_unary(method)
        return stub

    async def require_connection(self) -> None:
        """Wait until there is a connection, before anything is sent over it.

        A failed call does not say whether it was sent; one that was not made was not.

        Raises:
            RefusalError: There is none.
        """
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._ready()
        except TimeoutError as error:
            raise RefusalError(Why.AWAY, "nothing was written: Qdrant cannot be reached") from error

    async def _ready(self) -> None:
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return
            await self._channel.wait_for_state_change(state)

    async def close(self) -> None:
        """Close it."""
        await self._channel.close()


def _root(options: ProxyOptions) -> bytes | None:
    ca_file = options.source.ca_file
    if ca_file is None:
        return None
    try:
        return ca_file.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"ca_file {str(ca_file)!r} cannot be read: {error.strerror}") from error


def is_final_status(status: int) -> bool:
    """Tell whether a request that was answered so can no longer change anything.

    A 408 is Qdrant's word for a write that it noted and that took too long; a
    5xx may come from something between us and it.
    """
    return status < 500 and status != 408


FINAL_CODES = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "RESOURCE_EXHAUSTED",
    }
)
"""The codes that say that nothing more will happen."""
