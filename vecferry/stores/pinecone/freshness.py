"""Read-your-write on an eventually consistent service, by log sequence numbers.

Each write to a namespace gets a number, in its answer's ``x-pinecone-request-lsn``.
An answer to a query says in ``x-pinecone-max-indexed-lsn`` up to which number the
writes of that namespace are in it; other reads may or may not say so
(https://docs.pinecone.io/guides/index-data/check-data-freshness).
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vecferry.errors import TransientError
from vecferry.stores.pinecone.connect import Call, Connection, Reply
from vecferry.stores.pinecone.places import CAPABILITIES
from vecferry.stores.pinecone.schema import Layout
from vecferry.stores.pinecone.vectors import spell

WRITTEN, INDEXED = "x-pinecone-request-lsn", "x-pinecone-max-indexed-lsn"

_REMEMBERED_S = 300.0
"""After so long everything is visible; a namespace that was emptied may say no number at all."""

_PAUSE_S, _PAUSE_MAX_S = 0.02, 1.0


class _Own(NamedTuple):
    number: int
    at: float


class Freshness:
    """The newest write of this store in each namespace, and the wait for it; thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._own: dict[tuple[str, str], _Own] = {}
        self._lock = threading.Lock()

    def wrote(self, name: str, namespace: str, headers: Mapping[str, str]) -> None:
        """Remember the number of a write that was acknowledged."""
        number = _number(headers, WRITTEN)
        if number is None:
            return
        with self._lock:
            own = self._own.get((name, namespace))
            if own is None or own.number <= number:
                self._own[name, namespace] = _Own(number, time.monotonic())

    def target(self, name: str, namespace: str, position: str = "") -> int:
        """Return the number that a read must be at or after; 0 for any."""
        with self._lock:
            own = self._own.get((name, namespace))
            if own is not None and time.monotonic() - own.at > _REMEMBERED_S:
                del self._own[name, namespace]
                own = None
        asked = int(position) if position.isdigit() else 0
        return max(asked, own.number if own is not None else 0)

    def wait_for_own(self, name: str, layout: Layout) -> None:
        """Return when every write of this store to an index is to be seen."""
        with self._lock:
            written = [namespace for index, namespace in self._own if index == name]
        for namespace in written:
            self.wait(name, namespace, layout, self.target(name, namespace))

    def wait(self, name: str, namespace: str, layout: Layout, target: int) -> None:
        """Return when a query says that the namespace is at ``target``.

        Raises:
            TransientError: It is not within ``timeout_s``.
        """
        if target:
            self.read(lambda: self._ask(name, namespace, layout), name, namespace, target)

    def read(self, ask: Callable[[], Reply], name: str, namespace: str, target: int) -> Reply:
        """Return the first answer of ``ask`` that is at or after ``target``.

        A service that says no number for as long as writes are thought to stay
        invisible is believed after that.

        Raises:
            TransientError: None is within ``timeout_s``.
        """
        began, pause_s, told = time.monotonic(), _PAUSE_S, False
        while True:
            reply = ask()
            number = indexed(reply)
            told = told or number is not None
            waited_s = time.monotonic() - began
            if (number or 0) >= target or (not told and waited_s > CAPABILITIES.freshness_s):
                return reply
            if waited_s > self._connection.timeout_s:
                raise TransientError(
                    f"reading {name!r}, namespace {namespace!r}: after {waited_s:.0f} s it is at "
                    f"{number or 0}, and a write at {target} is not to be seen yet"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _PAUSE_MAX_S)

    def _ask(self, name: str, namespace: str, layout: Layout) -> Reply:
        query: dict[str, object] = {"namespace": namespace, "topK": 1}
        if layout.dense is not None:
            query["vector"] = [1.0] * layout.dense.dim
        else:
            query["sparseVector"] = {"indices": [0], "values": [1.0]}
        doing = f"asking how fresh {name!r} is"
        return self._connection.call(Call("POST", f"{layout.url}/query", doing, body=spell(query)))


def indexed(reply: Reply) -> int | None:
    """Return the number up to which an answer holds every write; None where it does not say."""
    return _number(reply.headers, INDEXED)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isdigit() else None
