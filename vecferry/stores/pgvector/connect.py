"""Connections to one PostgreSQL database, behind a thread with an event loop."""

import asyncio
import re
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg

from vecferry.errors import ConfigError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.pgvector.errors import translate_errors

Answer = TypeVar("Answer")

_PORT = 5432
_CONNECT_MAX_S = 10.0
_PATIENT_S = 3_600.0
"""For what reads a whole table once: counting it, cutting it, indexing it."""

_SERVER_SHARE = 0.9
"""The server gives up before the client does, so that a late answer is still an answer."""

_IDLE_MAX = 8
_SESSION = {
    "application_name": "vecferry",
    # how values are spelled must not depend on the user's or the server's habits
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
}


@dataclass(frozen=True, slots=True)
class Product:
    """What answers: PostgreSQL's version, pgvector's, and the schema that holds its types."""

    server: str
    extension: tuple[int, ...]
    schema: str

    def __str__(self) -> str:
        return f"PostgreSQL {self.server} with pgvector {'.'.join(map(str, self.extension))}"

    @property
    def types(self) -> tuple[str, ...]:
        """The vector types that this version has, without ``bit``."""
        return ("vector", "halfvec", "sparsevec") if self.extension >= (0, 7) else ("vector",)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is."""

    host: str
    port: int
    database: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


def address(settings: StoreSettings) -> Address:
    """Return where the settings point to.

    Raises:
        ConfigError: ``url`` is missing or cannot be read.
    """
    example = f"url should be like postgresql://127.0.0.1:{_PORT}/postgres"
    if not settings.url:
        raise ConfigError(f"url is missing: {example}")
    url = settings.url if "://" in settings.url else f"postgresql://{settings.url}"
    parts = urlsplit(url)
    try:
        port = parts.port or _PORT
    except ValueError as error:
        raise ConfigError(f"url = {settings.url!r} has no valid port: {example}") from error
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise ConfigError(f"url = {settings.url!r} is not an address: {example}")
    if parts.query:
        raise ConfigError(
            f"url = {settings.url!r} has options, and they are settings of their own here: "
            f"tls, ca_file, timeout_s"
        )
    database = settings.database or unquote(parts.path.strip("/")) or "postgres"
    return Address(parts.hostname, port, database)


class Connection:
    """A few connections with the same settings; safe to use from several threads.

    Guarantees: a request that finds no connection was not sent, and is a
    TransientError; a connection that broke under a write is an UnknownOutcome and is
    never used again.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.address = address(settings)
        self.timeout_s = settings.timeout_s
        secret = settings.password.get_secret_value() if settings.password else settings.secret()
        self._login: dict[str, Any] = {
            "host": self.address.host,
            "port": self.address.port,
            "database": self.address.database,
            "user": settings.user or "postgres",
            "password": secret,
            "ssl": _encryption(settings),
        }
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._idle: list[Any] = []
        self._product: Product | None = None
        self._closed = False

    def product(self) -> Product:
        """Return what answers; asked once.

        Raises:
            ConfigError: No PostgreSQL with pgvector is there, it is a standby, or the
                credentials are refused.
        """
        if self._product is None:
            try:
                self._product = self._ask_product()
            except TransientError as error:
                raise ConfigError(
                    f"{error}; check url, database and tls, and that Postgres listens there"
                ) from error
        return self._product

    def fetch(
        self, sql: str, *arguments: object, doing: str, writes: bool = False, patient: bool = False
    ) -> list[Any]:
        """Run one statement, a transaction of its own, and return its rows.

        Args:
            sql: With ``$1`` … for the arguments.
            arguments: Their values; those of vectors in pgvector's binary form.
            doing: For an error's message.
            writes: It changes something.
            patient: It may take an hour.
        """
        limit_s = _PATIENT_S if patient else self.timeout_s

        async def ask(connection: Any) -> list[Any]:
            if not patient:  # one statement is a transaction of its own
                return list(await connection.fetch(sql, *arguments))
            async with connection.transaction():
                await connection.execute(_limit(limit_s))
                return list(await connection.fetch(sql, *arguments))

        return self.run(ask, doing, writes=writes, limit_s=limit_s)

    def run(
        self,
        work: Callable[[Any], Awaitable[Answer]],
        doing: str,
        *,
        writes: bool = False,
        first: bool = False,
        limit_s: float | None = None,
    ) -> Answer:
        """Do several statements on one connection; arguments as :meth:`fetch`.

        ``work`` gets an asyncpg connection and runs in the event loop's thread.
        """
        self.product()
        connection = self._borrow(doing)
        healthy = False
        try:
            with translate_errors(doing, writes=writes, first=first):
                try:
                    answer = self._wait(work(connection), limit_s or self.timeout_s)
                    healthy = True
                    return answer
                except asyncpg.PostgresError:
                    healthy = not connection.is_closed()
                    raise
        finally:
            self._give_back(connection, healthy)

    def close(self) -> None:
        """Close the connections and end the thread; a second call is fine."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop = self._loop, self._thread, None
            idle, self._idle = self._idle, []
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_terminate(idle), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _ask_product(self) -> Product:
        doing = f"connecting to {self.address} as {self._login['user']!r}"
        with translate_errors(doing, first=True):
            connection = self._wait(self._connect((), "any"), _CONNECT_MAX_S + 5)
            try:
                [row] = self._wait(connection.fetch(_PRODUCT), self.timeout_s)
            finally:
                self._end(connection)
        if row["standby"]:
            raise ConfigError(
                f"{self.address} is a standby, which shows writes late: use the primary's address"
            )
        if row["extension"] is None:
            raise ConfigError(
                f"{self.address} has no pgvector: CREATE EXTENSION vector, as a user who may"
            )
        numbers = tuple(int(part) for part in re.findall(r"\d+", row["extension"])[:3])
        return Product(row["server"], numbers, row["schema"])

    async def _connect(self, types: Sequence[tuple[str, str]], wanted: str = "primary") -> Any:
        # a primary may become a standby, and reads there would be late
        settings = _SESSION | {"statement_timeout": _milliseconds(self.timeout_s)}
        connection = await asyncpg.connect(
            **self._login,
            timeout=_CONNECT_MAX_S,
            server_settings=settings,
            target_session_attrs=wanted,
        )
        for schema, name in types:
            await connection.set_type_codec(
                name, schema=schema, encoder=_as_it_is, decoder=_as_it_is, format="binary"
            )
        return connection

    def _borrow(self, doing: str) -> Any:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        product = self.product()
        types = [(product.schema, name) for name in product.types]
        types += [("pg_catalog", "bit"), ("pg_catalog", "varbit")]
        with translate_errors(f"{doing}: connecting to {self.address}"):
            return self._wait(self._connect(types), _CONNECT_MAX_S + 5)

    def _give_back(self, connection: Any, healthy: bool) -> None:
        with self._lock:
            if healthy and not self._closed and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
                return
        self._end(connection)

    def _end(self, connection: Any) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(connection.terminate)

    def _wait(self, work: Awaitable[Answer], limit_s: float) -> Answer:
        future = asyncio.run_coroutine_threadsafe(_within(work, limit_s), self._running())
        return future.result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise ConfigError(f"the store of {self.address} is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="pgvector", daemon=True
                )
                self._thread.start()
            return self._loop


_PRODUCT = """
SELECT current_setting('server_version') AS server, pg_is_in_recovery() AS standby,
       extversion AS extension, nspname AS schema
FROM (SELECT) AS one
LEFT JOIN pg_extension ON extname = 'vector'
LEFT JOIN pg_namespace ON pg_namespace.oid = extnamespace
"""


async def _within(work: Awaitable[Answer], limit_s: float) -> Answer:
    return await asyncio.wait_for(work, limit_s)


async def _terminate(connections: Sequence[Any]) -> None:
    for connection in connections:
        connection.terminate()
    for _ in range(3):  # a transport closes its socket in a later turn of the loop
        await asyncio.sleep(0)


def _as_it_is(data: bytes) -> bytes:
    return data


def _milliseconds(limit_s: float) -> str:
    return str(max(1, int(limit_s * _SERVER_SHARE * 1_000)))


def _limit(limit_s: float) -> str:
    return f"SET LOCAL statement_timeout = {_milliseconds(limit_s)}"


def _encryption(settings: StoreSettings) -> ssl.SSLContext | bool:
    if not settings.tls and settings.ca_file is None:
        return False
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {str(settings.ca_file)!r} cannot be read: {error}") from error
