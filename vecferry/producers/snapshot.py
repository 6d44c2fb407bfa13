"""Snapshot workers: everything that the source holds, into the log, in windows.

Any number of workers in any number of processes share the chunks. A worker
that dies costs what it had read of one chunk: the next one opens the same
chunk again, in a window of its own.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event as Flag

from vecferry.digest import MODULUS, digest_image, sum_bytes
from vecferry.errors import HaltError, RecordError, TransientError
from vecferry.fold import has_lapsed
from vecferry.log.beats import reports
from vecferry.log.partition import partition_of
from vecferry.log.pauses import is_paused
from vecferry.model import Key, Point, key_bytes
from vecferry.ports import Bounds, Ref, Store
from vecferry.producers.chunks import Certificate, Chunk, ChunkBoard
from vecferry.producers.event_log import EventLog
from vecferry.producers.throttle import Throttle
from vecferry.record import Event, EventKind
from vecferry.settings import SnapshotSettings

_log = logging.getLogger(__name__)
_ATTEMPTS = 3

Select = Callable[[list[Point]], list[Point]]
"""Which points of a page have to become rows."""


@dataclass(slots=True)
class Window:
    """One attempt at a chunk.

    Attributes:
        opened: The offset of OPEN in each partition.
        rows: Published so far.
        digest: The sum modulo 2**128 of their digests.
        dead: Points that no record can hold.
    """

    opened: list[int]
    rows: int = 0
    digest: int = 0
    dead: int = 0


class SnapshotWorker:
    """Reads chunks until every one of its collections has its certificate.

    Attributes:
        select: Which points become rows, where the target holds some already;
            None for all of them.
    """

    def __init__(
        self,
        settings: SnapshotSettings,
        store: Store,
        log: EventLog,
        board: ChunkBoard,
        stop: Flag,
    ) -> None:
        """Read from ``store``; ``stop`` ends the work at the next page."""
        self._settings = settings
        self._store = store
        self._log = log
        self._board = board
        self._stop = stop
        self._throttle = Throttle(settings, self._lag_records, stop)
        self.select: Select | None = None

    def run(self, collections: list[str]) -> bool:
        """Work until nothing is left to read; return whether the snapshot is complete.

        Raises:
            HaltError: A window lapses again and again, or the log is lost.
        """
        chunks = [chunk for name in collections for chunk in self._chunks(name)]
        while not self._stop.is_set():
            if not self.read_one(chunks):
                if self._board.is_complete(chunks):
                    return True
                self._stop.wait(1.0)  # others read the rest: be there when one of them dies
        return self._board.is_complete(chunks)

    def read_one(self, chunks: Sequence[Chunk]) -> bool:
        """Take one chunk that nobody reads and read it; return whether there was one."""
        if is_paused(self._log.control):
            return False
        chunk = self._board.take(chunks)
        if chunk is not None:
            self._read(chunk)
        return chunk is not None

    def _chunks(self, collection: str) -> list[Chunk]:
        return self._board.bounds(collection, lambda: self._plan(collection))

    def _plan(self, collection: str) -> list[Bounds]:
        while True:
            try:
                return self._store.plan_chunks(collection, self._settings.chunk_points)
            except TransientError as error:
                self._wait_after(error, collection)
                if self._stop.is_set():
                    raise

    def _read(self, chunk: Chunk) -> None:
        for _ in range(_ATTEMPTS):
            window = self.open_window(chunk)
            if not self._publish_rows(chunk, window):
                return  # stopped: the chunk stays without a certificate
            closed = self.close_window(chunk, window)
            if closed is not None:
                digest = f"{window.digest:032x}"
                certificate = Certificate(chunk.id, window.rows, digest, window.dead, closed)
                self._board.certify(certificate)
                return
            _log.warning(
                "the window of chunk %s lapsed before it was closed; reading it again", chunk.id
            )
        raise HaltError(
            f"the window of chunk {chunk.id} lapsed {_ATTEMPTS} times: more than snapshot.window_offsets = "
            f"{self._settings.window_offsets} records came in while it was read. Raise it, or make "
            f"snapshot.chunk_points smaller in a new migration"
        )

    def open_window(self, chunk: Chunk) -> Window:
        """Publish OPEN to every partition; return when each one is acknowledged.

        Acknowledged *before* the read: a row read earlier could be older than a
        change that the log already holds.
        """
        note = f"{chunk.bounds.low or ''}…{chunk.bounds.high or ''}"
        event = Event(EventKind.OPEN, chunk=chunk.id, note=note)
        return Window(self._log.to_every_partition(lambda _: event))

    def close_window(self, chunk: Chunk, window: Window) -> tuple[int, ...] | None:
        """Publish CLOSE to every partition; return their offsets.

        None where the window had lapsed in some partition before its CLOSE:
        readers dropped rows there, and the chunk has to be read again.
        """
        self._log.publisher.flush()
        total = sum_bytes(window.digest)
        closed = self._log.to_every_partition(
            lambda partition: Event(
                EventKind.CLOSE,
                chunk=chunk.id,
                opened=window.opened[partition],
                rows=window.rows,
                digest=total,
            )
        )
        lapse = self._settings.window_offsets
        pairs = zip(window.opened, closed, strict=True)
        return (
            None if any(has_lapsed(opened, end, lapse) for opened, end in pairs) else tuple(closed)
        )

    def _publish_rows(self, chunk: Chunk, window: Window) -> bool:
        """Publish every row of the chunk; return False when stopped on the way."""
        for page, took_s in self._pages(chunk):
            for point in self._selected(chunk, page):
                self._publish_row(chunk, window, point)
            self._throttle.after_page(len(page), took_s)
            if self._stop.is_set():
                return False
        return not self._stop.is_set()

    def _selected(self, chunk: Chunk, page: list[Point]) -> list[Point]:
        while self.select is not None and not self._stop.is_set():
            try:
                return self.select(page)
            except TransientError as error:
                self._wait_after(error, chunk.id)
        return page

    def _publish_row(self, chunk: Chunk, window: Window, point: Point) -> None:
        key = key_bytes(point.key)
        partition = partition_of(key, self._log.partitions)
        opened = window.opened[partition]
        try:
            self._log.publish(
                partition, Event(EventKind.ROW, key, point.image, chunk=chunk.id, opened=opened)
            )
        except RecordError as error:
            self._log.bury(key, partition, error, "snapshot")
            window.dead += 1
            return
        window.rows += 1
        window.digest = (window.digest + digest_image(key, point.image)) % MODULUS

    def _pages(self, chunk: Chunk) -> Iterator[tuple[list[Point], float]]:
        """Yield pages with the seconds each took; go on behind the last one after a failure."""
        ref, last = Ref(chunk.collection, chunk.collection), None
        while not self._stop.is_set():
            pages = self._store.scan(ref, chunk.bounds, after=last)
            try:
                while True:
                    began = time.monotonic()
                    page = next(pages, None)
                    if page is None:
                        return
                    yield page, time.monotonic() - began
                    last = _last_key(page, last)
            except TransientError as error:
                self._wait_after(error, chunk.id)

    def _wait_after(self, error: TransientError, what: str) -> None:
        pause_s = self._throttle.after_failure(error)
        _log.warning("reading %s failed, tried again after %.1f s: %s", what, pause_s, error)

    def _lag_records(self) -> int | None:
        applied = reports(self._log.control, "apply").values()
        return max((report["end"] - report["committed"] for report in applied), default=None)


def _last_key(page: list[Point], last: Key | None) -> Key | None:
    return page[-1].key if page else last
