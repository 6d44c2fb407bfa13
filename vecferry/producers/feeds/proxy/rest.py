"""Qdrant's REST API, passed on."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import partial
from urllib.parse import parse_qsl, quote, urlencode

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from vecferry.producers.feeds.proxy import bodies
from vecferry.producers.feeds.proxy.aliases import Destination, find_destination, find_scope
from vecferry.producers.feeds.proxy.gate import PAGE_IDS, Gate, Sent
from vecferry.producers.feeds.proxy.options import ProxyOptions
from vecferry.producers.feeds.proxy.refusals import RefusalError, RelayedError, Why
from vecferry.producers.feeds.proxy.routes import Effect, Route, rest_route
from vecferry.producers.feeds.proxy.upstream import (
    Pairs,
    credentials,
    end_to_end,
    is_final_status,
    rest_client,
)
from vecferry.stores.qdrant.points import NativeId

_REPLY_BYTES_MAX = 8_000_000
"""Of what the proxy reads itself: answers to writes, aliases, pages of ids."""

_LOOKUPS = 2  # connections that one write may hold beside its own
_JSON = (b"content-type", b"application/json")
_PLAIN = (b"accept-encoding", b"identity")


class RestProxy:
    """An ASGI application that passes requests on, and announces those that write."""

    def __init__(self, gate: Gate, options: ProxyOptions) -> None:
        """Take where writes go through.

        Raises:
            ConfigError: ``ca_file`` cannot be used.
        """
        self._gate, self._options = gate, options
        self._reads = rest_client(options, options.connections_max)
        # writes have connections of their own: reads can never take the last one
        self._writes = rest_client(options, options.writes_max * (1 + _LOOKUPS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the proxy speaks HTTP, not {scope['type']}")
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except RefusalError as refusal:
            response = _refused(refusal)
        except RelayedError as relayed:
            response = relayed.reply
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def close(self) -> None:
        """Close the connections."""
        await self._reads.aclose()
        await self._writes.aclose()

    async def _answer(self, request: Request) -> Response:
        route = rest_route(request.method, request.scope["raw_path"])
        if route.effect is Effect.PASS:
            return await self._pass(request, self._url(request))
        if route.effect is Effect.REFUSE:
            raise RefusalError(
                Why.NOT_HERE,
                f"{request.method} {request.url.path} may write, and the proxy does not know what",
            )
        return await self._gate.run(self._write(request, route))

    async def _write(self, request: Request, route: Route) -> Response:
        async with self._gate.slot():
            there = await self._destination(request, route)
            if not there.moves:
                return await self._pass(request, self._url(request, there))
            if route.effect is Effect.POINTS:
                return await self._points(request, route, there)
            return await self._whole(request, route, there)

    async def _destination(self, request: Request, route: Route) -> Destination:
        moved = await self._gate.moved()
        look = _LookUp(self, credentials(request.headers.raw))
        find = {Effect.POINTS: find_destination, Effect.WHOLE: find_scope}.get(route.effect)
        if find is None:
            return Destination(route.collection, route.collection in moved)
        return await find(route.collection, moved, look)

    async def _points(self, request: Request, route: Route, there: Destination) -> Response:
        body = await self._body(request)
        change = bodies.read_change(route.operation, body)
        shown = credentials(request.headers.raw)
        url = self._url(request, there, wait=True)
        scroll = partial(self._scroll, there.collection, shown)

        async def send() -> Sent[Response]:
            return await self._send(request, url, body)

        return await self._gate.points(there.collection, change, scroll, send)

    async def _whole(self, request: Request, route: Route, there: Destination) -> Response:
        content: bytes | AsyncIterator[bytes] = request.stream()
        if route.effect is Effect.CREATE:
            content = await self._body(request)
            if bodies.copies_another(content):
                raise RefusalError(
                    Why.NOT_HERE, "init_from copies points in the background, unseen by the proxy"
                )
        url = self._url(request, there, wait="snapshots" in route.operation)

        async def send() -> Sent[Response]:
            return await self._send(request, url, content)

        return await self._gate.whole(there.collection, route.operation, send)

    async def _body(self, request: Request) -> bytes:
        limit = self._options.body_bytes_max
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RefusalError(Why.ENCODED, "a write must come without content-encoding")
        if int(request.headers.get("content-length", "0")) > limit:
            raise _too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self._options.body_max_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        raise _too_large(limit)
        except TimeoutError as error:
            raise RefusalError(Why.SLOW, "the body of a write did not come in time") from error
        return bytes(body)

    def _url(
        self, request: Request, there: Destination | None = None, *, wait: bool = False
    ) -> httpx.URL:
        path: bytes = request.scope["raw_path"]
        query: bytes = request.scope["query_string"]
        if there is not None and there.is_alias:
            _, collections, _, *rest = path.split(b"/")
            name = quote(there.collection, safe="").encode()
            path = b"/".join([b"", collections, name, *rest])
        if wait:
            given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            kept = [(name, value) for name, value in given if name != "wait"]
            query = urlencode([*kept, ("wait", "true")]).encode()
        asked = f"?{query.decode('latin-1')}" if query else ""
        try:
            return httpx.URL(self._options.rest_url + path.decode("latin-1") + asked)
        except httpx.InvalidURL as error:
            raise RefusalError(Why.INVALID, "the path cannot be read") from error

    # --- what goes to Qdrant ---

    async def _pass(self, request: Request, url: httpx.URL) -> Response:
        headers = end_to_end(request.headers.raw)
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        content = request.stream() if has_body else None
        sent = self._reads.build_request(request.method, url, headers=headers, content=content)
        try:
            reply = await self._reads.send(sent, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RefusalError(Why.AWAY, "Qdrant cannot be reached") from error
        except httpx.HTTPError as error:
            raise RefusalError(Why.BROKEN, "the connection to Qdrant broke") from error
        response = StreamingResponse(_streamed(reply), status_code=reply.status_code)
        response.raw_headers = end_to_end(reply.headers.raw)
        return response

    async def _send(
        self, request: Request, url: httpx.URL, content: bytes | AsyncIterator[bytes]
    ) -> Sent[Response]:
        headers = [
            (name, value)
            for name, value in end_to_end(request.headers.raw)
            if name != b"accept-encoding"
        ]
        response = await self._call(request.method, url, [*headers, _PLAIN], content)
        is_known = is_final_status(response.status_code)
        if is_known and response.status_code < 300 and b"wait=true" in url.query:
            is_known = "snapshots" in url.path or bodies.is_applied(bytes(response.body))
        return Sent(response, is_known)

    async def _call(
        self,
        method: str,
        url: httpx.URL,
        headers: Pairs,
        content: bytes | AsyncIterator[bytes] | None,
    ) -> Response:
        try:
            async with self._writes.stream(method, url, headers=headers, content=content) as reply:
                body = bytearray()
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > _REPLY_BYTES_MAX:
                        raise RefusalError(Why.BROKEN, "Qdrant's answer is too large", unsent=False)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RefusalError(Why.AWAY, "nothing was written: Qdrant cannot be reached") from error
        except httpx.HTTPError as error:
            text = "the connection to Qdrant broke: the write may have been applied or not"
            raise RefusalError(Why.BROKEN, text, unsent=False) from error
        response = Response(bytes(body), status_code=reply.status_code)
        kept = [pair for pair in end_to_end(reply.headers.raw) if pair[0] != b"content-length"]
        response.raw_headers = [*kept, (b"content-length", str(len(body)).encode())]
        return response

    async def _scroll(
        self, collection: str, shown: Pairs, filter_: bytes, start: NativeId | None
    ) -> list[int | str]:
        begin = start if start is None or isinstance(start, int) else str(start)
        body = bodies.scroll_body(filter_, begin, PAGE_IDS)
        path = f"/collections/{quote(collection, safe='')}/points/scroll"
        return bodies.read_scroll(await self.look_up("POST", path, shown, body))

    async def look_up(
        self, method: str, path: str, shown: Pairs, body: bytes | None = None
    ) -> bytes:
        """Ask Qdrant something with a client's credentials.

        Raises:
            RelayedError: It refuses.
            RefusalError: It cannot be reached.
        """
        url = httpx.URL(self._options.rest_url + path)
        try:
            response = await self._call(method, url, [*shown, _JSON, _PLAIN], body)
        except RefusalError as error:
            raise RefusalError(Why.AWAY, "nothing was written: Qdrant cannot be asked") from error
        if response.status_code != 200:
            raise RelayedError(response)
        return bytes(response.body)


class _LookUp:
    def __init__(self, rest: RestProxy, shown: Pairs) -> None:
        self._rest, self._shown = rest, shown

    async def aliases(self) -> Mapping[str, str]:
        return bodies.read_aliases(await self._rest.look_up("GET", "/aliases", self._shown))

    async def collections(self) -> frozenset[str]:
        reply = await self._rest.look_up("GET", "/collections", self._shown)
        return bodies.read_collections(reply)


async def _streamed(reply: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in reply.aiter_raw():
            yield chunk
    finally:
        await reply.aclose()


def _too_large(limit: int) -> RefusalError:
    return RefusalError(
        Why.TOO_LARGE, f"a write has at most {limit} bytes here: send fewer points at once"
    )


def _refused(refusal: RefusalError) -> Response:
    body = {"status": {"error": str(refusal)}, "time": 0.0, "result": None}
    again = refusal.retry_after_s
    return Response(
        json.dumps(body),
        status_code=refusal.why.value.status,
        media_type="application/json",
        headers={} if again is None else {"Retry-After": str(again)},
    )
