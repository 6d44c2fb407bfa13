"""Following the source's own log of changes, where the database keeps one.

The order is the argument:

1. A log that is new says so on record first, then keeps changes, then what was
   read before it began is read again: a crash in between begins with 1.
2. Changes are looked at and stay where they are.
3. Their keys are hinted, and the hints acknowledged. What changed a whole
   collection is a rescan on record.
4. Only then the log forgets them: a crash before hints them again.

A log that was lost, because the database gave it up or somebody dropped it, is a new one.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from vecferry.errors import ConfigError, TransientError
from vecferry.log.control import Control
from vecferry.model import key_bytes
from vecferry.ports import Changes, ChangesPart, Store
from vecferry.producers.feeds.teller import Teller
from vecferry.producers.passes import ask

_log = logging.getLogger(__name__)
KIND = "changes"
_LIMIT = 10_000
_PAUSE_MAX_S = 1.0
_HINT_KEYS = 5_000


class LogicalFeed:
    """Follows all collections of one migration by one log."""

    def __init__(
        self,
        name: str,
        store: Store,
        control: Control,
        teller: Teller,
        stop: threading.Event,
    ) -> None:
        """Prepare nothing yet.

        Args:
            name: Of the migration.
            store: The source; closed by the caller.
            control: Read to its end lately; rescans go there.
            teller: Writes the hints.
            stop: Ends the work after the changes that are being hinted.

        Raises:
            ConfigError: The source keeps no such log.
        """
        if not isinstance(store, ChangesPart):
            raise ConfigError(
                'feed.type = "logical": the source keeps no log of changes that can be read; '
                'use "timestamp" or "scan", or put a feed before it'
            )
        self._name, self._source, self._control = name, store, control
        self._teller, self._stop = teller, stop

    def run(
        self, collections: Sequence[str], is_paused: Callable[[], bool], every_s: float
    ) -> None:
        """Work until ``stop`` is set.

        Raises:
            ConfigError: The database does not let changes be kept.
            HaltError: The log, or ``control``, cannot be relied on.
        """
        while not self._stop.is_set():
            more = False
            if not is_paused():
                try:
                    more = self.turn(collections)
                except TransientError as error:
                    if not self._stop.is_set():
                        _log.warning("the log of changes is read again soon: %s", error)
            if not more:
                self._stop.wait(min(every_s, _PAUSE_MAX_S))

    def turn(self, collections: Sequence[str]) -> bool:
        """Hint what has changed; return whether there may be more at once.

        Raises:
            TransientError: The source or Kafka does not answer: nothing was forgotten.
        """
        self._begin(collections)
        found = self._source.changes(self._name, collections, _LIMIT)
        if not found.position:
            return False
        self._tell(found)
        self._source.forget_changes(self._name, found.position)
        return True

    def _begin(self, collections: Sequence[str]) -> None:
        keeps = self._source.keeps_changes(self._name, collections)
        if keeps and self._is_ready():
            return
        if not keeps:
            self._mark(is_ready=False)
            self._source.keep_changes(self._name, collections)
        # whoever reads a chunk from here on reads what the log has from here on
        self._control.read_to_end()
        if self._control.latest("chunks"):  # put down before the first of them is read
            for scope in collections:
                self._rescan(scope, "the log of changes is new: what came before is not in it")
        self._mark(is_ready=True)

    def _is_ready(self) -> bool:
        record = self._control.latest(KIND).get(self._name)
        return record is not None and bool(record.body["ready"])

    def _mark(self, *, is_ready: bool) -> None:
        self._control.append(KIND, self._name, {"ready": is_ready})
        self._control.read_to_end()

    def _tell(self, found: Changes) -> None:
        for scope in sorted(found.whole):
            self._rescan(scope, f"it changed as a whole before {found.position}")
        for verb, keys in (("unknown", found.written), ("delete", found.deleted)):
            for start in range(0, len(keys), _HINT_KEYS):
                some = [key_bytes(key) for key in keys[start : start + _HINT_KEYS]]
                self._teller.tell(some, verb)

    def _rescan(self, scope: str, reason: str) -> None:
        _log.warning("%r is read again: %s", scope, reason)
        ask(self._control, f"{KIND}/{scope}", scope, reason)
