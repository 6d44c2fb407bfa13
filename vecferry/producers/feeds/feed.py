"""A feed: tells the log which keys may have changed, before and after each write."""

import asyncio
import atexit
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, Unpack

from vecferry.errors import ConfigError, TransientError, VecferryError
from vecferry.model import Id
from vecferry.producers.feeds.debts import Debts
from vecferry.producers.feeds.options import FeedOptions, Options
from vecferry.producers.feeds.session import Links, LogUnavailable, Session, connect
from vecferry.producers.feeds.writes import (
    Desk,
    FilterWrite,
    Ids,
    KeyedWrite,
    OpenWrite,
    ToldWrite,
    UntoldWrite,
    WholeWrite,
)

_T = TypeVar("_T")
_THREADS = 32
_AGAIN_S = 5.0  # between two tries to reach a log that was away
_BRIEF_S = 1.0  # for such a try


class Feed:
    """Writes hints for one process; any number of threads and coroutines may share it.

    Nothing is opened before the first use. After a fork the child opens its
    own session, so a feed may be made before a server forks its workers.

    Guarantees:
        A write whose ``begin`` returned is not lost, whatever dies when: it is
        read back after its end, or after it can no longer land.
        With ``on_log_down = "rescan"``: or its collection is read again.
    """

    def __init__(
        self, migration: str, bootstrap_servers: str, **options: Unpack[FeedOptions]
    ) -> None:
        """Name the migration and its log; see :class:`~vecferry.producers.feeds.options.FeedOptions`.

        Raises:
            ConfigError: An option cannot be used.
        """
        self._migration, self._bootstrap_servers = migration, bootstrap_servers
        self._options = Options(**options)
        self._options.log_settings(bootstrap_servers)
        self._is_closed = False
        self._begin_life()
        _FEEDS.add(self)

    def _begin_life(self) -> None:
        self._session: Session | None = None
        self._opening = threading.Lock()
        self._failed: tuple[float, VecferryError] | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")
        self._debts = Debts(self._pay)

    @property
    def collections(self) -> frozenset[str]:
        """The source's names that move; the first use reaches the log.

        Raises:
            LogUnavailable: Kafka does not answer.
            ConfigError: The migration was never prepared, or Kafka refuses us.
        """
        return self._opened().collections

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good."""
        return self._is_closed

    @property
    def is_open(self) -> bool:
        """Whether :attr:`collections` answers without reaching the log."""
        session = self._session
        return session is not None and not session.failed

    @property
    def options(self) -> Options:
        """What it was told."""
        return self._options

    def begin(
        self, collection: str, ids: Iterable[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> OpenWrite:
        """Announce a write of these ids; the log has it when this returns.

        Args:
            collection: Its name in the source, never an alias. One that does
                not move costs nothing.
            ids: Typed as the source types them: ``1``, ``"1"`` and a UUID differ. Where
                it has no ids of text, such as Qdrant, a text is the spelling of a UUID.
            namespace: The partition, tenant or namespace, where the source has them.
            verb: ``upsert``, ``delete`` or ``unknown``.

        Raises:
            LogUnavailable: Kafka does not acknowledge it: do not send the write.
            RecordError: No point of the collection can have one of the ids.
            ConfigError: The migration was never prepared, or Kafka refuses us.
        """
        return self.begin_keys(collection, [(namespace, one) for one in ids], verb=verb)

    def begin_keys(self, collection: str, ids: Ids, *, verb: str = "unknown") -> OpenWrite:
        """As :meth:`begin`, with a namespace for each id."""
        known = list(ids)
        return self._begin(
            collection, lambda desk: KeyedWrite(desk, collection, verb, known), bool(known)
        )

    def begin_filter(
        self, collection: str, *, verb: str = "unknown", resolve: Callable[[], Ids] = tuple
    ) -> OpenWrite:
        """Announce a write that names a filter, then find its ids and announce them.

        Args:
            collection: Its name in the source.
            verb: ``upsert``, ``delete`` or ``unknown``.
            resolve: Finds what the filter matches now. Without it use
                :meth:`OpenWrite.found`, or ``done(ids=…)`` where only the reply tells.

        Raises:
            LogUnavailable, ConfigError: As :meth:`begin`.
        """
        write = self._begin(collection, lambda desk: FilterWrite(desk, collection, verb))
        if not write.tracked:
            return write
        try:
            write.found(resolve())
        except BaseException:
            write.refused()
            raise
        return write

    def begin_whole(self, collection: str, reason: str) -> OpenWrite:
        """Announce a write that may change anything in a collection: dropped, restored, imported.

        Its ``done`` puts a rescan on record.

        Raises:
            LogUnavailable, ConfigError: As :meth:`begin`.
        """
        return self._begin(collection, lambda desk: WholeWrite(desk, collection, reason))

    def rescan(self, collection: str, reason: str) -> None:
        """Have a collection read again: durable in ``control`` when this returns.

        Raises:
            LogUnavailable, ConfigError: As :meth:`begin`.
        """
        self._opened().rescan(collection, reason)

    @contextlib.contextmanager
    def writing(
        self, collection: str, ids: Iterable[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> Iterator[OpenWrite]:
        """Surround the code that sends one write.

        An exception leaves the write's outcome unknown, which holds the lag up
        until it is swept; where it is a definite refusal, call ``refused()`` on
        the yielded write first.

        Raises:
            LogUnavailable, ConfigError: As :meth:`begin`; nothing was sent.
        """
        write = self.begin(collection, ids, namespace=namespace, verb=verb)
        write.fresh()
        try:
            yield write
        except BaseException:
            write.unknown()
            raise
        write.done()

    @contextlib.asynccontextmanager
    async def awriting(
        self, collection: str, ids: Iterable[Id], *, namespace: str = "", verb: str = "unknown"
    ) -> AsyncIterator[OpenWrite]:
        """As :meth:`writing`; the event loop never waits for Kafka."""
        known = list(ids)

        def begin() -> OpenWrite:
            write = self.begin(collection, known, namespace=namespace, verb=verb)
            write.fresh()
            return write

        write = await self.begun(begin)
        try:
            yield write
        except BaseException:
            self.in_background(write.unknown)
            raise
        self.in_background(write.done)

    async def begun(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        """Begin a write in one of the feed's own threads; cancelled, it ends unsent."""
        begun = self._submit(begin)
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            begun.add_done_callback(_end_unsent)
            raise

    async def in_thread(self, call: Callable[[], _T]) -> _T:
        """Call what waits for Kafka in one of the feed's own threads."""
        return await asyncio.wrap_future(self._submit(call))

    def in_background(self, call: Callable[[], None]) -> None:
        """Call what ends a write, from an event loop: it hardly ever waits, but may."""
        try:
            self._threads.submit(call)
        except RuntimeError:
            call()  # the feed was closed meanwhile, or the interpreter ends: its threads are gone

    def _submit(self, call: Callable[[], _T]) -> "Future[_T]":
        try:
            return self._threads.submit(call)
        except RuntimeError as error:
            raise ConfigError("this feed was closed: make another one") from error

    def close(self) -> None:
        """Deliver what is queued and deregister; takes a few seconds at most where Kafka is away."""
        self._threads.shutdown()
        session = self._session
        if session is not None and not self._is_closed:
            self._debts.stop()
            with contextlib.suppress(VecferryError):
                self._debts.pay()
            # with a debt that is not paid others must see this process fall silent
            session.close(in_order=not self._debts.outstanding)
        self._is_closed = True
        _FEEDS.discard(self)

    def _begin(
        self, collection: str, make: Callable[[Desk], ToldWrite], has_keys: bool = True
    ) -> OpenWrite:
        session = self._opened()
        if collection not in session.collections:
            session.pass_by(collection)
            return OpenWrite()
        if not has_keys:
            return OpenWrite()
        desk = self._desk(session)
        try:
            self._debts.pay()
            write = make(desk)
            write.announce()
        except LogUnavailable:
            if not session.lets_through:
                raise
            return UntoldWrite(desk, collection)
        return write

    def _desk(self, session: Session) -> Desk:
        return Desk(session, self._options, self._debts)

    def _pay(self, collection: str) -> None:
        session = self._opened()
        session.require_log()
        session.rescan(collection, "writes went out while the log was away")

    # --- the session ---

    def _opened(self) -> Session:
        session = self._session
        if session is not None and not session.failed and not self._is_closed:
            return session
        if self._is_closed:
            raise ConfigError("this feed was closed: make another one")
        failed = self._failed
        # while the log is away one thread tries from time to time, and all others are told at once
        if failed is None:
            self._opening.acquire()
        elif not self._opening.acquire(blocking=False):
            raise _same(failed[1]) from failed[1]
        try:
            return self._open()
        finally:
            self._opening.release()

    def _open(self) -> Session:
        session, failed = self._session, self._failed
        if session is not None and not session.failed:
            return session  # another thread was faster
        if failed is not None and time.monotonic() - failed[0] < _AGAIN_S:
            raise _same(failed[1]) from failed[1]
        if session is not None:
            session.close(in_order=False)
        try:
            self._session = Session(self._connect(brief=failed is not None), self._options)
        except VecferryError as error:
            self._failed = (time.monotonic(), error)
            raise
        self._failed = None
        return self._session

    def _connect(self, *, brief: bool) -> Links:
        more = {"timeout_s": _BRIEF_S} if brief else {}
        return connect(self._migration, self._bootstrap_servers, self._options, **more)

    def _after_fork(self) -> None:
        for inherited in (self._session, self._debts):
            # the client's threads are the parent's: to free it here would wait for them for ever
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        self._begin_life()


def register() -> None:
    """Register this process in the log of every feed that it has, which its first write does else.

    For servers that fork workers and want idle ones seen among the expected
    writers: call it in each worker, such as in gunicorn's ``post_worker_init``.

    Raises:
        LogUnavailable: Kafka does not answer.
        ConfigError: The migration was never prepared, or Kafka refuses us.
    """
    for feed in list(_FEEDS):
        feed._opened()


def _same(error: VecferryError) -> VecferryError:
    return (
        LogUnavailable(str(error)) if isinstance(error, TransientError) else type(error)(str(error))
    )


def _end_unsent(begun: "Future[OpenWrite]") -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().refused()


_FEEDS: set[Feed] = set()


def _after_fork() -> None:
    for feed in list(_FEEDS):
        feed._after_fork()


def _close_all() -> None:
    for feed in list(_FEEDS):
        with contextlib.suppress(VecferryError):
            feed.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)
