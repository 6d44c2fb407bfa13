"""A proxy in a test: on an event loop of its own thread, before whatever the test names."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from vecferry.model import Id
from vecferry.producers.feeds import LogUnavailable, OpenWrite
from vecferry.producers.feeds.proxy import Proxy, ProxyOptions
from vecferry.producers.feeds.proxy.gate import Announcer

_T = TypeVar("_T")
_PATIENCE_S = 60.0


class Seen(NamedTuple):
    """One step that a feed was asked for.

    Attributes:
        step: begin, filter, whole, fresh, done, refused or unknown.
        collection: Where.
        verb: Of a beginning, or a whole write's reason.
        ids: Of a beginning.
    """

    step: str
    collection: str
    verb: str = ""
    ids: tuple[Id, ...] = ()


class _Recorded(OpenWrite):
    tracked = True

    def __init__(self, feed: "RecordingFeed", collection: str) -> None:
        self._feed, self._collection = feed, collection

    def fresh(self) -> None:
        self._feed.see(Seen("fresh", self._collection))

    def done(self, **_: Any) -> None:
        self._feed.see(Seen("done", self._collection))

    def refused(self) -> None:
        self._feed.see(Seen("refused", self._collection))

    def unknown(self) -> None:
        self._feed.see(Seen("unknown", self._collection))


class RecordingFeed:
    """Stands for a feed and remembers what it was asked.

    Attributes:
        seen: The steps, in order.
        is_down: Kafka is away: every beginning is refused.
        hold: While it is not set, beginnings wait.
        waiting: How many do.
    """

    def __init__(self, *moved: str) -> None:
        self.collections = frozenset(moved)
        self.seen: list[Seen] = []
        self.is_down = False
        self.waiting = 0
        self.hold = threading.Event()
        self.hold.set()
        self._threads = ThreadPoolExecutor(8)

    def see(self, seen: Seen) -> None:
        """Remember a step."""
        self.seen.append(seen)

    def see_step(self, step: str) -> None:
        """Remember a step of the test's own."""
        self.see(Seen(step, ""))

    def steps(self) -> list[str]:
        """Return the names of the steps, without the checks of age."""
        return [one.step for one in self.seen if one.step != "fresh"]

    def begin(
        self, collection: str, ids: Iterable[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> OpenWrite:
        """Remember it."""
        return self._begin(Seen("begin", collection, verb, tuple(ids)))

    def begin_filter(
        self,
        collection: str,
        *,
        verb: str = "unknown",
        resolve: Callable[[], Iterable[tuple[str, Id]]] = tuple,
    ) -> OpenWrite:
        """Remember it with what was found."""
        ids = tuple(one for _, one in resolve())
        return self._begin(Seen("filter", collection, verb, ids))

    def begin_whole(self, collection: str, reason: str) -> OpenWrite:
        """Remember it with its reason."""
        return self._begin(Seen("whole", collection, reason))

    def _begin(self, seen: Seen) -> OpenWrite:
        self.waiting += 1
        assert self.hold.wait(_PATIENCE_S)
        self.waiting -= 1
        if self.is_down:
            raise LogUnavailable("no write goes out: Kafka does not answer")
        self.see(seen)
        return _Recorded(self, seen.collection)

    async def begun(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        """Begin in a thread."""
        return await self.in_thread(begin)

    async def in_thread(self, call: Callable[[], _T]) -> _T:
        """Call in a thread."""
        return await asyncio.wrap_future(self._threads.submit(call))

    def in_background(self, call: Callable[[], None]) -> None:
        """Call in a thread, not waited for."""
        self._threads.submit(call)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    # one for the whole process: gRPC's own poller minds several
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="test-loop", daemon=True).start()
    return loop


def on_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Do some asynchronous work and return what it returns."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result(_PATIENCE_S)


class RunningProxy:
    """``with RunningProxy(feed, options)``: a proxy that serves inside.

    Attributes:
        url: Of its REST API.
        port, grpc_port: Where it listens.
    """

    def __init__(
        self, feed: Announcer, options: ProxyOptions, *, request_max_s: float = 30.0
    ) -> None:
        self._arguments = (feed, options, request_max_s)

    def __enter__(self) -> Self:
        on_loop(self._begin())
        self.port, self.grpc_port = self._proxy.port, self._proxy.grpc_port
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        on_loop(self._proxy.__aexit__(kind, error, trace))

    async def _begin(self) -> None:
        feed, options, request_max_s = self._arguments
        self._proxy = Proxy(feed, options, request_max_s=request_max_s)
        await self._proxy.__aenter__()
