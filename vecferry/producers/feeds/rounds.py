"""The loop of the feeds that read the source themselves: every collection, again and again."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vecferry.errors import ConfigError, TransientError
from vecferry.ports import Store
from vecferry.producers.feeds.differ import Differ
from vecferry.producers.feeds.known import Known
from vecferry.producers.feeds.reading import SourceReader
from vecferry.producers.feeds.scan import ScanFeed
from vecferry.producers.feeds.teller import HintSink, Teller
from vecferry.producers.feeds.timestamp import TimestampFeed
from vecferry.settings import FeedSettings

_log = logging.getLogger(__name__)
_PAUSED_S = 0.5


class _Turns(Protocol):
    def turn(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class FeedLog:
    """What the loop needs of the log.

    Attributes:
        sink: Writes hints.
        is_resolved: Whether the capture worker is past these offsets of hints.
        is_paused: Whether the operator has paused the migration.
        origin: Names this log, so that what was said to another one does not count.
    """

    sink: HintSink
    is_resolved: Callable[[Mapping[int, int]], bool]
    is_paused: Callable[[], bool]
    origin: str


class Rounds:
    """Goes over all collections, one after the other; one process at a time."""

    def __init__(
        self,
        settings: FeedSettings,
        store: Store,
        log: FeedLog,
        folder: Path,
        stop: threading.Event,
    ) -> None:
        """Prepare nothing yet.

        Args:
            settings: Of ``[feed]``; its type is ``scan`` or ``timestamp``.
            store: The source; closed by the caller.
            log: Where hints go.
            folder: Where the state of each collection is kept.
            stop: Ends the work at the next page.

        Raises:
            ConfigError: The type is ``none``.
        """
        if settings.type == "none":
            raise ConfigError(
                'feed.type is "none": set it to "scan" or "timestamp", or put a feed before the source'
            )
        self._settings, self._store, self._log = settings, store, log
        self._folder, self._stop = folder, stop

    def run(self, collections: Sequence[str]) -> None:
        """Work until ``stop`` is set.

        Raises:
            ConfigError: The state cannot be kept, or another process holds it.
            HaltError: The source or the log cannot be relied on.
        """
        with contextlib.ExitStack() as stack:
            feeds = {name: self._feed(name, stack) for name in collections}
            while not self._stop.is_set():
                began = time.monotonic()
                if self._log.is_paused():
                    self._stop.wait(_PAUSED_S)
                    continue
                for name, feed in feeds.items():
                    self._turn(name, feed)
                self._stop.wait(max(0.0, self._settings.every_s - (time.monotonic() - began)))

    def _turn(self, name: str, feed: _Turns) -> None:
        try:
            feed.turn()
        except TransientError as error:
            # nothing was put down of what was not hinted: the next round begins again
            if not self._stop.is_set():
                _log.warning("the pass over %r was broken off: %s", name, error)

    def _feed(self, name: str, stack: contextlib.ExitStack) -> _Turns:
        known = Known(self._folder, name, self._log.origin)
        stack.callback(known.close)
        differ = Differ(known, Teller(self._log.sink, self._stop, self._log.is_resolved))
        reader = SourceReader(self._store, name, self._settings, self._stop)
        if self._settings.type == "scan":
            return ScanFeed(reader, differ, self._stop)
        return TimestampFeed(self._settings, reader, differ, self._stop)
