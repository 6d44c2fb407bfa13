"""Both servers on one event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc
import uvicorn

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy.gate import Announcer, Gate
from vecferry.producers.feeds.proxy.options import ProxyOptions
from vecferry.producers.feeds.proxy.rest import RestProxy
from vecferry.producers.feeds.proxy.rpc import RpcProxy
from vecferry.producers.feeds.proxy.upstream import Channel

_GRACE_S = 10
_HEADER_BYTES_MAX = 64 * 1024
_LOOK_S = 0.02


class Proxy:
    """``async with Proxy(feed, options)``: serves inside, drains at its end.

    Attributes:
        port, grpc_port: Where it listens.
    """

    def __init__(
        self, feed: Announcer, options: ProxyOptions, *, request_max_s: float = 30.0
    ) -> None:
        """Take what announces writes; it is not closed here.

        Args:
            feed: Of the migration.
            options: Where to listen, and before what.
            request_max_s: After how long a write has landed or never will; the feed's own.
        """
        self._feed, self._options, self._request_max_s = feed, options, request_max_s
        self.port = self.grpc_port = 0

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: A port is taken, or a file cannot be used.
        """
        options = self._options
        self._gate = Gate(self._feed, options, self._request_max_s)
        self._rest = RestProxy(self._gate, options)
        self._channel = Channel(options)
        socket_ = _listen(options)
        self.port = socket_.getsockname()[1]
        self._rpc = _rpc_server(options)
        self._rpc.add_generic_rpc_handlers((RpcProxy(self._gate, self._channel),))
        self.grpc_port = _add_port(self._rpc, options)
        await self._rpc.start()
        self._http = _HttpServer(_http_config(self._rest, options))
        self._serving = asyncio.ensure_future(self._http.serve(sockets=[socket_]))
        while not self._http.started and not self._serving.done():
            await asyncio.sleep(_LOOK_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take no more requests, finish those under way, close."""
        self._http.should_exit = True
        await asyncio.gather(self._serving, self._rpc.stop(_GRACE_S))
        await self._gate.drain()
        await self._rest.close()
        await self._channel.close()


class _HttpServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the caller's


def _http_config(rest: RestProxy, options: ProxyOptions) -> uvicorn.Config:
    tls: dict[str, Any] = {}
    if options.cert_file is not None and options.key_file is not None:
        tls = {"ssl_certfile": str(options.cert_file), "ssl_keyfile": str(options.key_file)}
    return uvicorn.Config(
        rest,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=options.connections_max,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_HEADER_BYTES_MAX,
        **tls,
    )


def _listen(options: ProxyOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {options.host}:{options.port}: {error.strerror}"
        ) from error


def _rpc_server(options: ProxyOptions) -> Any:
    return grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", options.body_bytes_max),
            ("grpc.max_send_message_length", -1),
        ],
        maximum_concurrent_rpcs=options.connections_max,
    )


def _add_port(server: Any, options: ProxyOptions) -> int:
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"{host}:{options.grpc_port}"
    try:
        if options.cert_file is None or options.key_file is None:
            port = server.add_insecure_port(address)
        else:
            pair = (options.key_file.read_bytes(), options.cert_file.read_bytes())
            port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except OSError as error:
        raise ConfigError(f"the certificate cannot be read: {error.strerror}") from error
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {address} for gRPC") from error
    return int(port)
