"""What every write goes through, whichever protocol it came by."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from itertools import chain
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from vecferry.errors import RecordError, VecferryError
from vecferry.model import Id
from vecferry.producers.feeds.proxy.changes import Change, native_ids
from vecferry.producers.feeds.proxy.options import ProxyOptions
from vecferry.producers.feeds.proxy.refusals import RefusalError, RelayedError, Why
from vecferry.producers.feeds.writes import OpenWrite
from vecferry.stores.qdrant.points import NativeId
from vecferry.stores.qdrant.sequence import following, place

_T = TypeVar("_T")
_STALE_S = 1.0  # a check that is older when the loop comes to send is made again
_DRAIN_S = 35.0
PAGE_IDS = 10_000
"""How many ids of a filter are looked up at a time."""

Scroll = Callable[[bytes, NativeId | None], Awaitable[list[int | str]]]
"""Returns a page of the ids that a filter finds, from an id on; empty at the end."""


class Announcer(Protocol):
    """The part of :class:`~vecferry.producers.feeds.feed.Feed` that the proxy needs."""

    @property
    def collections(self) -> frozenset[str]:
        """The names that move."""
        ...

    def begin(
        self, collection: str, ids: Iterable[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> OpenWrite:
        """Announce a write of ids."""
        ...

    def begin_filter(
        self,
        collection: str,
        *,
        verb: str = "unknown",
        resolve: Callable[[], Iterable[tuple[str, Id]]] = tuple,
    ) -> OpenWrite:
        """Announce a write that names a filter."""
        ...

    def begin_whole(self, collection: str, reason: str) -> OpenWrite:
        """Announce a write that may change anything."""
        ...

    async def begun(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        """Begin in a thread."""
        ...

    async def in_thread(self, call: Callable[[], _T]) -> _T:
        """Call in a thread."""
        ...

    def in_background(self, call: Callable[[], None]) -> None:
        """Call in a thread, not waited for."""
        ...


class Sent(NamedTuple, Generic[_T]):
    """What came of a request.

    Attributes:
        reply: For the client.
        is_known: Whether it can no longer change anything.
    """

    reply: _T
    is_known: bool


class Gate:
    """Announces writes, lets them out, and ends them.

    Guarantees:
        Nothing goes out before its announcement is acknowledged, nor with one
        that has aged. A write that went out is ended, or left open for the sweep
        where its outcome is not known, also when its client is gone. No wait for
        Kafka holds the event loop up. At most ``writes_max`` writes are under way.
    """

    def __init__(self, feed: Announcer, options: ProxyOptions, request_max_s: float) -> None:
        """Take what announces; ``request_max_s`` is after how long a write has landed or never will."""
        self._feed, self._options, self._request_max_s = feed, options, request_max_s
        self._slots = asyncio.Semaphore(options.writes_max)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._moved: frozenset[str] | None = None

    async def moved(self) -> frozenset[str]:
        """Return the names that move; they never change.

        Raises:
            RefusalError: The log was not reached yet.
        """
        if self._moved is None:
            with _as_refusals():
                self._moved = await self._feed.in_thread(lambda: self._feed.collections)
        return self._moved

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn, before the body of a write is read.

        Raises:
            RefusalError: Too many writes are under way.
        """
        try:
            async with asyncio.timeout(self._options.wait_max_s):
                await self._slots.acquire()
        except TimeoutError as error:
            text = f"more than {self._options.writes_max} writes are under way"
            raise RefusalError(Why.AWAY, text) from error
        try:
            yield
        finally:
            self._slots.release()

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work of a write to its end, also when whoever waits for it goes away."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has it, or is gone

    async def drain(self) -> None:
        """Wait for the writes under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_S)

    async def points(
        self,
        collection: str,
        change: Change,
        scroll: Scroll,
        send: Callable[[], Awaitable[Sent[_T]]],
    ) -> _T:
        """Carry out a write that names points.

        1. Announce it, acknowledged; find what its filters match, and announce that.
        2. Make sure that the announcement is young.
        3. Send it, and wait for its answer or until it can no longer land.
        4. End it; or leave it to the sweep.

        Raises:
            RefusalError: It was refused, or its outcome is not known.
            RelayedError: The database refused the look-up of a filter.
        """
        loop = asyncio.get_running_loop()

        def resolve() -> Iterable[tuple[str, Id]]:
            pages = (_pages(loop, scroll, one, self._request_max_s) for one in change.filters)
            return (("", one) for one in chain(change.ids, *pages))

        def begin() -> OpenWrite:
            if change.filters:
                return self._feed.begin_filter(collection, verb=change.verb, resolve=resolve)
            return self._feed.begin(collection, change.ids, verb=change.verb)

        write = await self._announced(begin)
        sent = await self._sent(write, send, self._request_max_s)
        self._feed.in_background(write.done if sent.is_known else write.unknown)
        return sent.reply

    async def whole(
        self, collection: str, reason: str, send: Callable[[], Awaitable[Sent[_T]]]
    ) -> _T:
        """Carry out a write that may change anything; its rescan is on record before its answer.

        It may take as long as it takes: a snapshot is restored in minutes.

        Raises:
            RefusalError: It was refused, or its outcome is not known.
        """
        write = await self._announced(lambda: self._feed.begin_whole(collection, reason))
        sent = await self._sent(write, send, None)
        await self._feed.in_thread(write.done if sent.is_known else write.unknown)
        return sent.reply

    async def _announced(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        checked_at = 0.0

        def begin_and_check() -> OpenWrite:
            nonlocal checked_at
            write = begin()
            checked_at = time.monotonic()
            write.fresh()
            return write

        with _as_refusals():
            write = await self._feed.begun(begin_and_check)
            while time.monotonic() - checked_at > _STALE_S:
                checked_at = time.monotonic()
                await self._feed.in_thread(write.fresh)
        return write

    async def _sent(
        self, write: OpenWrite, send: Callable[[], Awaitable[Sent[_T]]], limit_s: float | None
    ) -> Sent[_T]:
        try:
            async with asyncio.timeout(limit_s):
                return await send()
        except TimeoutError as error:
            self._feed.in_background(write.unknown)
            text = f"Qdrant did not answer in {limit_s:g} s: the write may have been applied or not"
            raise RefusalError(Why.LATE, text, unsent=False) from error
        except RefusalError as refusal:
            self._feed.in_background(write.refused if refusal.unsent else write.unknown)
            raise
        except BaseException:
            self._feed.in_background(write.unknown)
            raise


@contextlib.contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except (RefusalError, RelayedError):
        raise
    except RecordError as error:
        raise RefusalError(Why.INVALID, f"nothing was written: {error}") from error
    except VecferryError as error:
        raise RefusalError(Why.AWAY, f"nothing was written: {error}") from error


def _pages(
    loop: asyncio.AbstractEventLoop, scroll: Scroll, filter_: bytes, page_max_s: float
) -> Iterator[NativeId]:
    """Yield what a filter finds; runs in a thread, and asks the loop for each page."""
    start: NativeId | None = None
    while True:
        page = asyncio.run_coroutine_threadsafe(_in_time(scroll, filter_, start, page_max_s), loop)
        ids = native_ids(page.result(page_max_s + _STALE_S))
        if not ids:
            return
        yield from ids
        # short pages come in the middle, too, where there are several replicas
        start = following(max(ids, key=place))
        if start is None:
            return


async def _in_time(
    scroll: Scroll, filter_: bytes, start: NativeId | None, limit_s: float
) -> list[int | str]:
    try:
        async with asyncio.timeout(limit_s):
            return await scroll(filter_, start)
    except TimeoutError as error:
        raise RefusalError(
            Why.AWAY, "nothing was written: the filter was not resolved in time"
        ) from error
