"""The sidecar as an ASGI application over a feed."""

import asyncio
import contextlib
import hmac
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vecferry.errors import ConfigError, RecordError, TransientError, VecferryError
from vecferry.model import Id
from vecferry.producers.feeds.options import Options
from vecferry.producers.feeds.sidecar import openapi
from vecferry.producers.feeds.sidecar.bodies import (
    BODY_BYTES_MAX,
    Accepted,
    Begin,
    BodyError,
    End,
    Found,
    Health,
    Opened,
    Renew,
    parse,
    typed,
)
from vecferry.producers.feeds.sidecar.tickets import FullError, Ticket, Tickets
from vecferry.producers.feeds.writes import OpenWrite

_T = TypeVar("_T")
_EXPIRE_S = 1.0
_GONE = (
    "there is no such ticket: it was ended, or its time is over and its ids are read without it. If the "
    "write took longer than it may, begin and end it once more, with the same ids"
)
_SELF_CONTAINED = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}


class WriteFeed(Protocol):
    """The part of :class:`~vecferry.producers.feeds.Feed` that the sidecar needs."""

    @property
    def options(self) -> Options:
        """What it was told."""
        ...

    @property
    def collections(self) -> frozenset[str]:
        """What moves; asks the log."""
        ...

    def begin(
        self, collection: str, ids: list[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> OpenWrite:
        """Announce a write."""
        ...

    def begin_filter(self, collection: str, *, verb: str = "unknown") -> OpenWrite:
        """Announce a write that names a filter."""
        ...

    async def begun(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        """Begin in a thread."""
        ...

    async def in_thread(self, call: Callable[[], _T]) -> _T:
        """Call in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the sidecar bears, and whom it serves.

    Attributes:
        token: The bearer token that requests must carry; none is asked for when empty.
        texts_are_uuids: Whether the source has no ids of text.
        hosts: The names by which it may be called; any when empty.
        tickets_max: Writes that may be open at a time.
        waiting_max: Requests that may wait for Kafka at a time.
    """

    token: str = ""
    texts_are_uuids: bool = False
    hosts: tuple[str, ...] = ()
    tickets_max: int = 10_000
    waiting_max: int = 256


class Sidecar:
    """The endpoints. Everything but the waits for Kafka runs in the event loop."""

    def __init__(self, feed: WriteFeed, limits: Limits = Limits()) -> None:
        """Serve ``feed``, which the caller closes."""
        self._feed, self._limits = feed, limits
        self._tickets = Tickets(feed.options.patience_s, tickets_max=limits.tickets_max)
        self._waiting = 0
        self._document = JSONResponse(openapi.document())
        self._page = HTMLResponse(openapi.page(), headers=_SELF_CONTAINED)

    @property
    def tickets(self) -> Tickets:
        """What is open."""
        return self._tickets

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/writes/begin", self._guarded(self._begin), methods=["POST"]),
                Route("/v1/writes/found", self._guarded(self._found), methods=["POST"]),
                Route("/v1/writes/renew", self._guarded(self._renew), methods=["POST"]),
                Route("/v1/writes/end", self._guarded(self._end), methods=["POST"]),
                Route("/healthz", self._answered(self._health)),
                Route("/openapi.json", self._show(self._document)),
                Route("/docs", self._show(self._page)),
            ],
            # a page in a browser must not reach it by a name that leads here
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=list(self._limits.hosts) or ["*"])
            ],
            lifespan=self._lifespan,
        )

    async def _begin(self, raw: bytes) -> BaseModel:
        body = parse(Begin, raw)
        ids = typed(body.ids, texts_are_uuids=self._limits.texts_are_uuids)
        if bool(ids) is body.filter:
            raise BodyError("give either ids or filter = true")
        self._tickets.reserve(len(ids))
        began = time.monotonic()
        try:
            write = await self._waited(lambda: self._feed.begun(lambda: self._announced(body, ids)))
        except BaseException:
            self._tickets.release(len(ids))
            raise
        return self._opened(self._tickets.open(body.collection, write, len(ids)), began)

    def _announced(self, body: Begin, ids: list[Id]) -> OpenWrite:
        if body.filter:
            write = self._feed.begin_filter(body.collection, verb=body.verb)
        else:
            write = self._feed.begin(body.collection, ids, namespace=body.namespace, verb=body.verb)
        write.fresh()
        return write

    async def _found(self, raw: bytes) -> BaseModel | None:
        body = parse(Found, raw)
        ids = self._in_namespace(body)
        ticket = self._tickets.find(body.ticket)
        if ticket is None:
            return None
        await self._kept(body.ticket, ticket, lambda: ticket.write.found(ids))
        return Accepted()

    async def _renew(self, raw: bytes) -> BaseModel | None:
        body = parse(Renew, raw)
        ticket = self._tickets.find(body.ticket)
        if ticket is None:
            return None
        began = time.monotonic()
        await self._kept(body.ticket, ticket, ticket.write.fresh)
        self._tickets.renew(body.ticket)
        return self._opened(body.ticket, began)

    async def _end(self, raw: bytes) -> BaseModel | None:
        body = parse(End, raw)
        ids = self._in_namespace(body)
        ticket = self._tickets.take(body.ticket)
        if ticket is None:
            return None
        write = ticket.write
        if body.outcome == "unknown":
            await self._feed.in_thread(write.unknown)
        else:
            await self._feed.in_thread(lambda: write.done(ids=ids, position=body.position))
        return Accepted()

    async def _health(self, _: Request) -> BaseModel:
        collections = await self._waited(
            lambda: self._feed.in_thread(lambda: self._feed.collections)
        )
        return Health(collections=sorted(collections), tickets=len(self._tickets))

    def _in_namespace(self, body: Found | End) -> list[tuple[str, Id]]:
        ids = typed(body.ids, texts_are_uuids=self._limits.texts_are_uuids)
        return [(body.namespace, one) for one in ids]

    def _opened(self, name: str, began: float) -> Opened:
        options = self._feed.options
        left_s = max(0.0, options.intent_max_s - (time.monotonic() - began))
        return Opened(
            ticket=name, send_within_s=round(left_s, 3), request_max_s=options.request_max_s
        )

    async def _kept(self, name: str, ticket: Ticket, call: Callable[[], None]) -> None:
        """Call what may end the write by failing; then its ticket is worth nothing."""
        try:
            await self._waited(lambda: self._feed.in_thread(call))
        except FullError:
            raise  # it was not called
        except VecferryError:
            self._tickets.take(name)
            raise

    async def _waited(self, call: Callable[[], Awaitable[_T]]) -> _T:
        if self._waiting >= self._limits.waiting_max:
            raise FullError(f"{self._waiting} requests wait for Kafka", retry_after_s=1.0)
        self._waiting += 1
        try:
            return await call()
        finally:
            self._waiting -= 1

    def _guarded(
        self, serve: Callable[[bytes], Awaitable[BaseModel | None]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> BaseModel | Response:
            token = self._limits.token
            given = request.headers.get("authorization", "")
            if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return _refused(401, "the bearer token is missing or wrong")
            # a browser sends this kind to another site only after asking it
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return _refused(415, "the body must be application/json")
            raw = await _read(request)
            if raw is None:
                return _refused(413, f"the body is larger than {BODY_BYTES_MAX} bytes")
            return await serve(raw) or _refused(410, _GONE)

        return self._answered(checked)

    def _answered(
        self, serve: Callable[[Request], Awaitable[BaseModel | Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                found = await serve(request)
            except (BodyError, RecordError) as error:
                return _refused(400, str(error))
            except TransientError as error:
                return _refused(503, str(error), math.ceil(error.retry_after_s or 1.0))
            except ConfigError as error:
                return _refused(500, str(error))
            except ClientDisconnect:
                return Response(status_code=400)
            return found if isinstance(found, Response) else JSONResponse(found.model_dump())

        return answer

    def _show(self, response: Response) -> Callable[[Request], Awaitable[Response]]:
        async def show(_: Request) -> Response:
            return response

        return show

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        expiring = asyncio.create_task(self._expire())
        try:
            yield
        finally:
            expiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await expiring
            self._tickets.abandon()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_S)
            self._tickets.expire()


async def _read(request: Request) -> bytes | None:
    """Return a body, or None as soon as it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)


def _refused(code: int, error: str, retry_after_s: int | None = None) -> Response:
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    if code == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": error}, code, headers)
