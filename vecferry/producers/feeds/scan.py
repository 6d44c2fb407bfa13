"""Scan-and-diff: a pass over the source again and again, for one that nothing can be put in front of.

It sees the state of each key once a pass: what changed and changed back in
between it does not see, and need not. A change arrives after one pass at the
latest, plus the time that the pass takes.
"""

import logging
import threading

from vecferry.producers.feeds.differ import Differ
from vecferry.producers.feeds.reading import SourceReader

_log = logging.getLogger(__name__)


class ScanFeed:
    """The passes over one collection."""

    def __init__(self, reader: SourceReader, differ: Differ, stop: threading.Event) -> None:
        """Read with ``reader`` and compare with ``differ``; ``stop`` ends a pass at its next page."""
        self._reader, self._differ, self._stop = reader, differ, stop

    def turn(self) -> bool:
        """Go over the collection once; return whether it was read to its end.

        Raises:
            HaltError: The state or the source cannot be relied on.
        """
        if not self._differ.begin_complete():
            return False
        changed = sum(self._differ.take(page) for page in self._reader.every_point())
        if self._stop.is_set():
            return False  # what was not read has not vanished
        vanished = self._differ.end_complete()
        _log.info(
            "pass %d: %d keys hinted, %d of them vanished",
            *(self._differ.known.number, changed + vanished, vanished),
        )
        return True
