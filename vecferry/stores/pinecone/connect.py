"""The two planes of Pinecone over HTTP: indexes at one address, points at each index's own."""

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import orjson

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone.errors import retry_after_s, translate_errors

DEFAULT_URL = "https://api.pinecone.io"
API_VERSION = "2025-10"
"""What ``pinecone`` 10.2 asks for, in its header of every request."""

_ABSENT, _THROTTLED = 404, 429
_WRITES_PATIENCE_S = 2.0
_CONNECT_MAX_S = 10.0
_FIRST_PAUSE_S, _PAUSE_MAX_S = 0.25, 8.0


class Call(NamedTuple):
    """One request.

    Attributes:
        method: GET, POST or DELETE.
        url: Whole, of either plane.
        doing: For the error's message.
        params: Of the query string.
        body: JSON, already spelled; None for no body.
        writes: It changes something.
        first: What fails is the configuration's fault.
        absent_ok: A 404 is an answer, too.
    """

    method: str
    url: str
    doing: str
    params: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    writes: bool = False
    first: bool = False
    absent_ok: bool = False


class Reply(NamedTuple):
    """What came back: parsed JSON, and the headers in lower case. ``body`` is None after a 404."""

    body: Any
    headers: Mapping[str, str]


class Pace:
    """When the service may be asked again, for all threads of a connection.

    One answer of 429 holds everybody back until the time that it names, so that
    a limit costs a few refusals and not one for each thread and request.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._open_at = 0.0
        self._refusals = 0

    def wait(self, until: float, doing: str) -> None:
        """Return when a request may be sent.

        Args:
            until: On this pace's clock: how long the caller has patience.
            doing: For the error's message.

        Raises:
            TransientError: That is later than ``until``; nothing was sent.
        """
        while True:
            with self._lock:
                open_at = self._open_at
            pause_s = open_at - self._clock()
            if pause_s <= 0:
                return
            if open_at > until:
                raise TransientError(
                    f"{doing}: Pinecone takes no more requests for {pause_s:.1f} s; nothing was sent",
                    retry_after_s=pause_s,
                )
            self._sleep(pause_s)

    def refused(self, asked_s: float | None) -> None:
        """Close after a 429 for as long as it asked, or longer and longer where it did not say."""
        with self._lock:
            pause_s = min(_PAUSE_MAX_S, _FIRST_PAUSE_S * 2.0**self._refusals)
            self._refusals += 1
            self._open_at = max(
                self._open_at, self._clock() + (pause_s if asked_s is None else asked_s)
            )

    def accepted(self) -> None:
        """Forget earlier refusals."""
        self._refusals = 0

    def deadline(self, patience_s: float) -> float:
        """Return the moment so many seconds from now, for :meth:`wait`."""
        return self._clock() + patience_s


class Connection:
    """The HTTP connections with their credentials; safe to use from several threads.

    A 429 is waited out here as long as there is patience: ``timeout_s`` for a
    read, two seconds for a write, which must not linger. After that it is a
    TransientError with the time that is left.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.base = _address(settings)
        self.timeout_s = settings.timeout_s
        secret = settings.secret()
        if secret is not None and not (secret.isascii() and secret.isprintable()):
            raise ConfigError("api_key holds characters that no header can carry")
        headers = {"x-pinecone-api-version": API_VERSION, "content-type": "application/json"}
        if secret:
            headers["api-key"] = secret
        self._pace = Pace()
        self._client = httpx.Client(
            headers=headers,
            verify=_trusted(settings),
            timeout=httpx.Timeout(
                settings.timeout_s, connect=min(settings.timeout_s, _CONNECT_MAX_S)
            ),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        )

    def call(self, call: Call) -> Reply:
        """Send one request and return its answer."""
        patience_s = min(_WRITES_PATIENCE_S, self.timeout_s) if call.writes else self.timeout_s
        until = self._pace.deadline(patience_s)
        while True:
            self._pace.wait(until, call.doing)
            response = self._send(call)
            if response.status_code == _THROTTLED:
                self._pace.refused(retry_after_s(response))
                continue
            self._pace.accepted()
            if response.status_code == _ABSENT and call.absent_ok:
                return Reply(None, response.headers)
            with translate_errors(call.doing, writes=call.writes, connecting=call.first):
                response.raise_for_status()
            return Reply(_parse(response, call), response.headers)

    def close(self) -> None:
        """Close the connections; a second call is fine."""
        self._client.close()

    def host_url(self, host: str) -> str:
        """Return the address of an index, whose ``host`` may come without a scheme."""
        return (host if "://" in host else f"{urlsplit(self.base).scheme}://{host}").rstrip("/")

    def _send(self, call: Call) -> httpx.Response:
        with translate_errors(call.doing, writes=call.writes):
            return self._client.request(
                call.method, call.url, params=list(call.params) or None, content=call.body
            )


def _parse(response: httpx.Response, call: Call) -> Any:
    if not response.content:
        return {}
    try:
        return orjson.loads(response.content)
    except ValueError as error:
        message = f"{call.doing}: an answer of {len(response.content)} bytes is not JSON"
        raise (ConfigError if call.first else HaltError)(message) from error


def _address(settings: StoreSettings) -> str:
    given = settings.url or DEFAULT_URL
    url = given if "://" in given else f"https://{given}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"url = {given!r} is not an address: leave it out, or {DEFAULT_URL}")
    if settings.tls and parts.scheme == "http":
        raise ConfigError(f"tls = true and url = {given!r} contradict each other: use https")
    return url.rstrip("/")


def _trusted(settings: StoreSettings) -> ssl.SSLContext:
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file.expanduser()))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {str(settings.ca_file)!r} cannot be read") from error
