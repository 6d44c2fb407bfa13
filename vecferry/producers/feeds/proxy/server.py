"""Both servers on one event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc
import uvicorn

from vecferry.errors import ConfigError, HaltError
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
        async with contextlib.AsyncExitStack() as stack:
            await self._begin(stack)
            self._stack = stack.pop_all()
        return self

    async def _begin(self, stack: contextlib.AsyncExitStack) -> None:
        options = self._options
        gate = Gate(self._feed, options, self._request_max_s)
        rest = RestProxy(gate, options)
        stack.push_async_callback(rest.close)
        channel = Channel(options)
        stack.push_async_callback(channel.close)
        stack.push_async_callback(gate.drain)
        listening = stack.enter_context(_listen(options))
        self.port = listening.getsockname()[1]
        rpc = _rpc_server(options)
        rpc.add_generic_rpc_handlers((RpcProxy(gate, channel),))
        stack.push_async_callback(rpc.stop, _GRACE_S)
        self.grpc_port = _add_port(rpc, options)
        http = _HttpServer(_http_config(rest, options))
        await rpc.start()
        serving = asyncio.ensure_future(http.serve(sockets=[listening]))
        stack.push_async_callback(_stop, http, serving)
        while not http.started:
            if serving.done():
                await serving
                raise HaltError("the REST server ended at its start")
            await asyncio.sleep(_LOOK_S)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take no more requests, finish those under way, close."""
        await self._stack.aclose()


async def _stop(http: uvicorn.Server, serving: "asyncio.Future[None]") -> None:
    http.should_exit = True
    await serving


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
