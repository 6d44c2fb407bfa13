"""Qdrant's gRPC API, passed on: requests and replies stay the bytes that they are."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import grpc

from vecferry.producers.feeds.proxy import messages
from vecferry.producers.feeds.proxy.aliases import Destination, find_destination, find_scope
from vecferry.producers.feeds.proxy.gate import PAGE_IDS, Gate, Sent
from vecferry.producers.feeds.proxy.refusals import RefusalError, RelayedError, Why
from vecferry.producers.feeds.proxy.routes import Effect, Route, rpc_route
from vecferry.producers.feeds.proxy.upstream import (
    FINAL_CODES,
    Channel,
    forwarded_metadata,
    metadata_credentials,
)
from vecferry.stores.qdrant.points import NativeId

_LOOK_UP_S = 30.0


class Reply(NamedTuple):
    """What Qdrant answered.

    Attributes:
        code: The status.
        details: Its words where it is not OK.
        data: The message where it is.
        initial, trailing: Metadata.
    """

    code: Any
    details: str = ""
    data: bytes = b""
    initial: Any = ()
    trailing: Any = ()


class RpcProxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Handles every method of every service by its name."""

    def __init__(self, gate: Gate, channel: Channel) -> None:
        """Take where writes go through, and the Qdrant behind it."""
        self._gate, self._channel = gate, channel

    def service(self, handler_call_details: Any) -> Any:
        """Return what answers a method."""
        method: str = handler_call_details.method
        route = rpc_route(method)
        if route.effect is Effect.PASS:
            return grpc.unary_unary_rpc_method_handler(_answering(partial(self._pass, method)))
        # a write's message is taken from the connection only when its turn has come
        return grpc.stream_unary_rpc_method_handler(_answering(partial(self._write, method, route)))

    async def _pass(self, method: str, request: bytes, context: Any) -> Reply:
        return await self._call(method, request, context, context.time_remaining())

    async def _write(self, method: str, route: Route, requests: Any, context: Any) -> Reply:
        if route.effect is Effect.REFUSE:
            raise RefusalError(
                Why.NOT_HERE, f"{method} may write, and the proxy does not know what"
            )
        return await self._gate.run(self._carry_out(method, route, requests, context))

    async def _carry_out(self, method: str, route: Route, requests: Any, context: Any) -> Reply:
        async with self._gate.slot():
            request = await anext(aiter(requests), None)
            if request is None:
                raise RefusalError(Why.INVALID, "the request has no message")
            if route.effect is Effect.POINTS:
                return await self._points(method, route, request, context)
            return await self._whole(method, route, request, context)

    async def _points(self, method: str, route: Route, request: bytes, context: Any) -> Reply:
        name, change = messages.read_change(route.operation, request)
        there = await self._destination(name, context)
        if there.is_alias:
            request = messages.renamed(request, there.collection)
        if not there.moves:
            return await self._call(method, request, context, context.time_remaining())
        waiting = request + messages.WAIT
        await self._channel.require_connection()
        shown = metadata_credentials(context.invocation_metadata())
        return await self._gate.points(
            there.collection,
            change,
            partial(self._scroll, there.collection, shown),
            partial(self._send, method, waiting, context, True),
        )

    async def _whole(self, method: str, route: Route, request: bytes, context: Any) -> Reply:
        name, moved = messages.collection_of(request), await self._gate.moved()
        if route.effect is Effect.CREATE:
            there = Destination(name, name in moved)
        else:
            look = _LookUp(self, metadata_credentials(context.invocation_metadata()))
            there = await find_scope(name, moved, look)
        if not there.moves:
            return await self._call(method, request, context, context.time_remaining())
        if route.effect is Effect.CREATE and messages.copies_another(request):
            raise RefusalError(
                Why.NOT_HERE, "init_from copies points in the background, unseen by the proxy"
            )
        await self._channel.require_connection()
        send = partial(self._send, method, request, context, False)
        return await self._gate.whole(there.collection, route.operation, send)

    async def _destination(self, name: str, context: Any) -> Destination:
        look = _LookUp(self, metadata_credentials(context.invocation_metadata()))
        return await find_destination(name, await self._gate.moved(), look)

    # --- what goes to Qdrant ---

    async def _call(
        self, method: str, request: bytes, context: Any, timeout_s: float | None
    ) -> Reply:
        metadata = forwarded_metadata(context.invocation_metadata())
        return await self._ask(method, request, metadata, timeout_s)

    async def _ask(
        self, method: str, request: bytes, metadata: Any, timeout_s: float | None
    ) -> Reply:
        call = self._channel.unary(method)(request, metadata=metadata, timeout=timeout_s)
        try:
            data = await call
        except grpc.aio.AioRpcError as error:
            return Reply(
                error.code(),
                error.details() or "",
                initial=error.initial_metadata(),
                trailing=error.trailing_metadata(),
            )
        initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
        return Reply(grpc.StatusCode.OK, "", data, initial, trailing)

    async def _send(self, method: str, request: bytes, context: Any, waits: bool) -> Sent[Reply]:
        # the client's own deadline ends its waiting, not the write: what was sent is seen to its end
        reply = await self._call(method, request, context, None)
        if reply.code is grpc.StatusCode.OK:
            return Sent(reply, not waits or messages.is_applied(reply.data))
        return Sent(reply, reply.code.name in FINAL_CODES)

    async def _scroll(
        self, collection: str, shown: Any, filter_: bytes, start: NativeId | None
    ) -> list[int | str]:
        request = messages.scroll_request(collection, filter_, start, PAGE_IDS)
        return messages.read_scroll(await self.look_up("/qdrant.Points/Scroll", request, shown))

    async def look_up(self, method: str, request: bytes, shown: Any) -> bytes:
        """Ask Qdrant something with a client's credentials.

        Raises:
            RelayedError: It refuses, or cannot be reached.
        """
        reply = await self._ask(method, request, shown, _LOOK_UP_S)
        if reply.code is not grpc.StatusCode.OK:
            raise RelayedError(reply)
        return reply.data


class _LookUp:
    def __init__(self, rpc: RpcProxy, shown: Any) -> None:
        self._rpc, self._shown = rpc, shown

    async def aliases(self) -> Mapping[str, str]:
        reply = await self._rpc.look_up("/qdrant.Collections/ListAliases", b"", self._shown)
        return messages.read_aliases(reply)

    async def collections(self) -> frozenset[str]:
        reply = await self._rpc.look_up("/qdrant.Collections/List", b"", self._shown)
        return messages.read_collections(reply)


def _answering(work: Callable[[Any, Any], Awaitable[Reply]]) -> Callable[[Any, Any], Any]:
    """Turn work that returns a reply into a method's implementation."""

    async def answer(request: Any, context: Any) -> bytes:
        try:
            reply = await work(request, context)
        except RefusalError as refusal:
            reply = _refused(refusal)
        except RelayedError as relayed:
            reply = relayed.reply
        initial = forwarded_metadata(reply.initial)
        if initial:
            await context.send_initial_metadata(initial)
        context.set_trailing_metadata(forwarded_metadata(reply.trailing))
        if reply.code is not grpc.StatusCode.OK:
            await context.abort(reply.code, reply.details, forwarded_metadata(reply.trailing))
        return reply.data

    return answer


def _refused(refusal: RefusalError) -> Reply:
    again = refusal.retry_after_s
    return Reply(
        grpc.StatusCode[refusal.why.value.code],
        str(refusal),
        trailing=() if again is None else (("retry-after", str(again)),),
    )
