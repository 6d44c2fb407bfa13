"""Reading a collection from one end to the other, at a pace that the source bears."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

from vecferry.errors import TransientError
from vecferry.model import Key, Point
from vecferry.ports import Bounds, Ref, SelectiveScanPart, Since, Store
from vecferry.producers.throttle import Throttle
from vecferry.settings import FeedSettings, SnapshotSettings

_log = logging.getLogger(__name__)
_PART_POINTS = 1_000_000  # one reader: more parts would only have to be cut
_P = TypeVar("_P", Point, Key)


class SourceReader:
    """Reads one collection, part by part; goes on behind the last page after a failure.

    Every method yields pages until all was read, or until ``stop`` is set:
    whoever needs all of them looks at ``stop`` afterwards.
    """

    def __init__(
        self, store: Store, collection: str, settings: FeedSettings, stop: threading.Event
    ) -> None:
        """Read ``collection`` of ``store``."""
        self._store, self._stop = store, stop
        self._ref = Ref(collection, collection)
        pace = SnapshotSettings(points_per_s_max=settings.points_per_s_max)
        self._throttle = Throttle(pace, lambda: None, stop)

    @property
    def is_selective(self) -> bool:
        """Whether the store can read less than everything."""
        return isinstance(self._store, SelectiveScanPart)

    def every_point(self) -> Iterator[list[Point]]:
        """Yield every point."""
        return self._pages(lambda part, last: self._store.scan(self._ref, part, after=last), _key)

    def since(self, since: Since) -> Iterator[list[Point]]:
        """Yield at least the points at or after a moment."""
        if not self.is_selective:
            return self.every_point()
        store = cast("SelectiveScanPart", self._store)
        return self._pages(
            lambda part, last: store.scan_since(self._ref, part, since, after=last), _key
        )

    def every_key(self) -> Iterator[list[Key]]:
        """Yield every key; only where the store is selective."""
        store = cast("SelectiveScanPart", self._store)
        return self._pages(
            lambda part, last: store.scan_keys(self._ref, part, after=last), lambda key: key
        )

    def _pages(
        self,
        scan: Callable[[Bounds, Key | None], Iterator[list[_P]]],
        key_of: Callable[[_P], Key],
    ) -> Iterator[list[_P]]:
        for part in self._parts():
            last: Key | None = None
            while not self._stop.is_set():
                pages = scan(part, last)
                try:
                    while not self._stop.is_set():
                        began = time.monotonic()
                        page = next(pages, None)
                        if page is None:
                            break
                        took_s = time.monotonic() - began
                        yield page
                        last = key_of(page[-1]) if page else last
                        self._throttle.after_page(len(page), took_s)
                    break
                except TransientError as error:
                    self._wait_after(error)

    def _parts(self) -> list[Bounds]:
        while not self._stop.is_set():
            try:
                return self._store.plan_chunks(self._ref.name, _PART_POINTS)
            except TransientError as error:
                self._wait_after(error)
        return []

    def _wait_after(self, error: TransientError) -> None:
        pause_s = self._throttle.after_failure(error)
        _log.warning(
            "reading %r failed, tried again after %.1f s: %s", self._ref.name, pause_s, error
        )


def _key(point: Point) -> Key:
    return point.key
