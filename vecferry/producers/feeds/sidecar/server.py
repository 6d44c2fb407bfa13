"""Serving the sidecar."""

import ipaddress
from dataclasses import replace
from pathlib import Path

import uvicorn

from vecferry.errors import ConfigError
from vecferry.producers.feeds.sidecar.application import Limits, Sidecar, WriteFeed

_CONNECTIONS_MAX = 1_024
_CLOSE_S = 10


def read_token(file: Path | None) -> str:
    """Return the bearer token that a file holds, or an empty text where there is no file.

    Raises:
        ConfigError: The file cannot be read, or is empty.
    """
    if file is None:
        return ""
    try:
        token = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token file {str(file)!r} cannot be read: {error}") from error
    if not token:
        raise ConfigError(f"the token file {str(file)!r} is empty")
    return token


def make_server(feed: WriteFeed, limits: Limits, host: str, port: int) -> uvicorn.Server:
    """Return a server that is not running yet; SIGTERM and SIGINT end it.

    Raises:
        ConfigError: It would serve other machines without a token.
    """
    if is_loopback(host):
        limits = replace(limits, hosts=("127.0.0.1", "localhost", "[::1]", "::1", host))
    elif not limits.token:
        raise ConfigError(
            f"the sidecar would serve whoever reaches {host}: give it a file with a bearer token"
        )
    config = uvicorn.Config(
        Sidecar(feed, limits).application(),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_graceful_shutdown=_CLOSE_S,
    )
    return uvicorn.Server(config)


def is_loopback(host: str) -> bool:
    """Tell whether an address serves this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
