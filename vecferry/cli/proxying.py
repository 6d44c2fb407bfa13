"""``proxy``: unchanged clients write to Qdrant through it, and what they write is captured."""

import asyncio
import contextlib
import signal
from pathlib import Path

from vecferry.cli.migration import Migration
from vecferry.cli.output import err
from vecferry.cli.sidecar import make_feed, say_what_is_captured
from vecferry.errors import ConfigError
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.proxy import Proxy, ProxyOptions


def run_proxy(
    migration: Migration, options: ProxyOptions, on_log_down: str = "refuse", name: str = "proxy"
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way.

    Args:
        migration: Prepared; its source is what the proxy stands in front of.
        options: Where to listen, and the bounds.
        on_log_down: ``refuse`` or ``rescan``: what becomes of writes while
            Kafka is away.
        name: The application's, as ``capture.expected_writers`` names it.

    Raises:
        ConfigError: The source is no Qdrant, a port is taken, or the migration
            was never prepared.
    """
    if on_log_down not in ("refuse", "rescan"):
        raise ConfigError(f'on-log-down is {on_log_down!r}, and may be "refuse" or "rescan"')
    feed = make_feed(
        migration.settings,
        migration.connection.bootstrap_servers,
        name=name,
        on_log_down="rescan" if on_log_down == "rescan" else "refuse",
    )
    with contextlib.closing(feed):
        say_what_is_captured(feed)  # without the log it serves reads: they are never interrupted
        asyncio.run(_serve(feed, options, migration.settings.capture.request_max_s))


def proxy_options(
    migration: Migration,
    *,
    host: str,
    ports: tuple[int, int],
    tls: tuple[Path | None, Path | None],
) -> ProxyOptions:
    """Return the options of a proxy before the migration's source.

    Args:
        migration: Names the source.
        host: To listen on.
        ports: For REST and for gRPC.
        tls: The certificate and its key, or twice None.

    Raises:
        ConfigError: The source is no Qdrant.
    """
    return ProxyOptions(
        migration.settings.source,
        host=host,
        port=ports[0],
        grpc_port=ports[1],
        cert_file=tls[0],
        key_file=tls[1],
    )


async def _serve(feed: Feed, options: ProxyOptions, request_max_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Proxy(feed, options, request_max_s=request_max_s) as proxy:
        scheme = "http" if options.cert_file is None else "https"
        err.print(f"REST on {scheme}://{options.host}:{proxy.port}, gRPC on port {proxy.grpc_port}")
        await stop.wait()
        err.print("stopping: writes under way are finished")
