"""The capture role's second look at the source's schema, every so often."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from vecferry.errors import HaltError, TransientError, VecferryError
from vecferry.mapping.drift import first_change
from vecferry.ports import SchemaPart


class SchemaWatch:
    """Looks at the source's schemas, and sets ``stop`` when one is not what was planned."""

    def __init__(
        self,
        source: SchemaPart,
        planned: Mapping[str, Mapping[str, Any]],
        every_s: float,
        stop: threading.Event,
    ) -> None:
        """Watch the collections of ``planned`` every ``every_s`` seconds until ``stop``."""
        self._source, self._planned = source, planned
        self._every_s, self._stop = every_s, stop
        self._failed: VecferryError | None = None
        self._over = threading.Event()

    def look(self) -> None:
        """Look once.

        Raises:
            HaltError: A schema has changed; what changed and the commands to go on.
            ConfigError: A collection has gone.
        """
        try:
            found = [self._source.describe(name) for name in self._planned]
        except TransientError:
            return  # an outage is the worker's to tell: it reads all the time
        changed = first_change(self._planned, found)
        if changed:
            raise HaltError(changed)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Look while the body runs; after it, raise what was found."""
        thread = threading.Thread(target=self._run, name="schema-watch", daemon=True)
        if self._planned:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            if thread.is_alive():
                thread.join()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        while not self._over.wait(self._every_s) and not self._stop.is_set():
            try:
                self.look()
            except VecferryError as error:
                self._failed = error
                self._stop.set()
                return
