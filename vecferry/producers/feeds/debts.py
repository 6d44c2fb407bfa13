"""Rescans that are owed: for writes that went out while the log was away."""

import threading
import time
from collections.abc import Callable

from vecferry.errors import VecferryError

_TRY_S = 1.0


class Debts:
    """What must be read again as soon as the log takes it. Threads may share one.

    A rescan that began before an untold write landed would miss it, so a debt
    counts from the end of the write. Should this process die before it pays,
    its lease lapses, which means a rescan too.
    """

    def __init__(self, pay: Callable[[str], None]) -> None:
        """Take what puts the rescan of a collection on record; it raises while it cannot."""
        self._pay = pay
        self._due: dict[str, float] = {}
        self._out = 0
        self._lock = threading.Lock()
        self._paying = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def outstanding(self) -> bool:
        """Whether anything is owed, or a write is out that will be."""
        with self._lock:
            return bool(self._due or self._out)

    def sent(self) -> None:
        """Say that a write goes out untold."""
        with self._lock:
            self._out += 1

    def over(self, collection: str, delay_s: float = 0.0) -> None:
        """Say that such a write ended; its collection is owed from now on, or after a delay."""
        self.owe(
            collection, delay_s
        )  # first: whoever closes the feed meanwhile must see one of them
        with self._lock:
            self._out -= 1

    def owe(self, collection: str, delay_s: float = 0.0) -> None:
        """Owe a rescan that may begin in ``delay_s`` or later; a thread tries to pay until it can."""
        with self._lock:
            self._due[collection] = max(self._due.get(collection, 0.0), time.monotonic() + delay_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="feed-debts", daemon=True)
                self._thread.start()

    def pay(self) -> None:
        """Pay what is due.

        Raises:
            LogUnavailable: The log does not take it.
        """
        if not self._due:
            return
        with self._paying:
            for collection, at in list(self._due.items()):
                if at > time.monotonic():
                    continue
                self._pay(collection)
                with self._lock:
                    if self._due.get(collection) == at:
                        del self._due[collection]

    def stop(self) -> None:
        """Try no more."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_TRY_S):
            try:
                self.pay()
            except VecferryError:
                continue  # the log is still away: tried again until it is back
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
