"""Following a payload field that every write sets to its time.

A pass asks for what is newer than the newest time that was seen *before the last
pass began*, less an overlap. Not than the newest of all: while a pass goes over
the pages, a point behind it can be written, and one before it later still. And
less an overlap, because writers' clocks differ and a write takes its time before
it lands. What is read twice is compared, and hinted only where it differs. So
the first two passes read everything; this process's clock is not trusted, but
for one thing: a time that lies in the future is no measure.

A delete sets no field, so from time to time every key is listed. That also
finds points that came without the field or with an old time.
"""

import logging
import threading
import time
from collections.abc import Callable

from vecferry.model import Point
from vecferry.producers.feeds.differ import Differ
from vecferry.producers.feeds.known import Times
from vecferry.producers.feeds.moments import Moments
from vecferry.producers.feeds.reading import SourceReader
from vecferry.settings import FeedSettings

_log = logging.getLogger(__name__)


class TimestampFeed:
    """The passes over one collection."""

    def __init__(
        self,
        settings: FeedSettings,
        reader: SourceReader,
        differ: Differ,
        stop: threading.Event,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Read with ``reader`` and compare with ``differ``.

        Args:
            settings: The field, the overlap, how often keys are listed.
            reader: Of the collection.
            differ: Of the same.
            stop: Ends a pass at its next page.
            now: Seconds since 1970.
        """
        self._settings, self._reader, self._differ = settings, reader, differ
        self._stop, self._now = stop, now
        self._moments = Moments(settings.field, settings.unit)
        self._listed_at: float | None = None
        self._newest = 0
        self._without = 0

    def turn(self) -> bool:
        """Ask for what is new, and list every key when it is time; return whether all was read.

        Raises:
            HaltError: The state or the source cannot be relied on.
        """
        began = self._now()
        if self._differ.known.times().start is None:
            return self._take_everything(began)
        listed_at = self._listed_at
        is_fresh = listed_at is not None and 0 <= began - listed_at < self._settings.deletes_every_s
        if is_fresh:
            return self._take_new()
        if not self._reader.is_selective:
            return self._take_everything(began)  # costs as much, and finds more
        return self._take_new() and self._list_keys(began)

    def _take_new(self) -> bool:
        start = self._differ.known.times().start or 0
        since = self._moments.since(start - int(self._settings.overlap_s * 10**6))
        self._differ.begin()
        self._without = 0
        for page in self._reader.since(since):
            self._differ.take(self._timed(page), again=False)
        return self._passed()

    def _take_everything(self, began: float) -> bool:
        if not self._differ.begin_complete():
            return False
        self._without = 0
        for page in self._reader.every_point():
            self._differ.take(self._timed(page))
        if self._stop.is_set():
            return False
        self._differ.end_complete()
        self._listed_at = began
        if self._without:
            _log.warning(
                "%d points have no time in %r: their changes are seen only when all keys are read "
                "again",
                self._without,
                self._settings.field,
            )
        return self._passed()

    def _list_keys(self, began: float) -> bool:
        if not self._differ.begin_complete():
            return False
        for page in self._reader.every_key():
            self._differ.take_keys(page)
        if self._stop.is_set():
            return False
        self._differ.end_complete()
        self._listed_at = began
        return True

    def _timed(self, page: list[Point]) -> list[Point]:
        now_us = int(self._now() * 10**6)
        for point in page:
            moment = self._moments.of(point.image.payload)
            if moment is None:
                self._without += 1
            elif moment <= now_us:
                # one in the future would hide everything that is written until then
                self._newest = max(self._newest, moment)
        return page

    def _passed(self) -> bool:
        """Move on after a pass that was read to its end."""
        if self._stop.is_set():
            return False
        before = self._differ.known.times().newest
        self._newest = max(self._newest, before or 0)
        self._differ.known.set_times(Times(before, self._newest))
        return True
