"""``sidecar``: the feed over HTTP, for applications in any language."""

import contextlib
import signal
from pathlib import Path
from typing import Unpack

from rich.markup import escape

from vecferry.cli.migration import Migration
from vecferry.cli.output import err
from vecferry.errors import ConfigError, TransientError
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.options import FeedOptions
from vecferry.settings import Settings

PORT = 8723


def make_feed(settings: Settings, bootstrap_servers: str, **more: Unpack[FeedOptions]) -> Feed:
    """Return a feed that reaches the log as the migration does, with the migration's own limits."""
    log, capture = settings.log, settings.capture
    password = log.schema_registry_password
    options: FeedOptions = {
        "kafka": log.kafka,
        "schema_registry_url": log.schema_registry_url,
        "schema_registry_user": log.schema_registry_user,
        "schema_registry_password": "" if password is None else password.get_secret_value(),
        "request_max_s": capture.request_max_s,
        "intent_max_s": capture.intent_max_s,
    }
    options.update(more)
    return Feed(settings.name, bootstrap_servers, **options)


def say_what_is_captured(feed: Feed) -> None:
    """Say it to whoever starts a server; one whose log is away begins all the same.

    Raises:
        ConfigError: The migration was never prepared, or Kafka refuses us.
    """
    try:
        moved = feed.collections
    except TransientError as error:
        # nothing but writes waits for it
        err.print(f"[yellow]writes wait for the log:[/] {escape(str(error))}")
    else:
        err.print(f"writes to {escape(', '.join(sorted(moved)))} are captured", soft_wrap=True)


def serve_sidecar(
    migration: Migration,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token_file: Path | None = None,
    name: str = "sidecar",
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        migration: Whose collections are written to.
        host: The address to listen on; another one than this machine's needs a token.
        port: The port.
        token_file: Holds the bearer token that requests must carry.
        name: The application's, as ``capture.expected_writers`` names it.

    Raises:
        ConfigError: The extra is not installed, the address cannot be listened
            on, or the token is missing.
    """
    try:
        from vecferry.producers.feeds.sidecar.application import Limits
        from vecferry.producers.feeds.sidecar.server import make_server, read_token
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the sidecar is not installed: pip install 'vecferry[sidecar]'"
        ) from error
    settings = migration.settings
    limits = Limits(token=read_token(token_file), texts_are_uuids=settings.source.type == "qdrant")
    bootstrap_servers = migration.connection.bootstrap_servers
    with contextlib.closing(make_feed(settings, bootstrap_servers, name=name)) as feed:
        server = make_server(feed, limits, host, port)
        say_what_is_captured(feed)
        err.print(f"the sidecar on http://{host}:{port}, its fields on /docs", soft_wrap=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            # once it has ended for a signal, the server raises that again: the feed is closed first
            signal.signal(number, lambda *_: None)
        try:
            server.run()
        except SystemExit as error:
            # how uvicorn says that it could not begin; it has told why
            raise ConfigError(f"{host}:{port} cannot be listened on") from error
