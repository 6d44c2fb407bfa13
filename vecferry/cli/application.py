"""The demo's application: it inserts, updates and deletes in Milvus while its collection moves."""

import random
import threading
import time
from typing import Any

from vecferry.producers.feeds import Feed

_PAUSE_S = 0.02
_BATCH = 5


class Application:
    """A thread that writes with the vendor's own client, each write between INTENT and DONE.

    Attributes:
        counts: Points inserted, updated and deleted so far.
        ended_at: When the last write was over; None while it goes on.
    """

    def __init__(self, url: str, collection: str, rows: list[dict[str, Any]], feed: Feed) -> None:
        """Write ``rows`` of the collection, whose first half is there already."""
        self.counts = {"inserted": 0, "updated": 0, "deleted": 0}
        self.ended_at: float | None = None
        self._url = url
        self._collection = collection
        self._rows = rows
        self._feed = feed
        self._there = set(range(len(rows) // 2))
        self._dice = random.Random(7)  # noqa: S311 - the same story in every run
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="application")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """End after the write in hand; raise what made it end earlier."""
        self._stop.set()
        self._thread.join()
        self.ended_at = time.monotonic()
        if self._failure is not None:
            raise self._failure

    @property
    def is_running(self) -> bool:
        """Whether it still writes."""
        return self._thread.is_alive()

    def _work(self) -> None:
        from pymilvus import MilvusClient

        try:
            client: Any = MilvusClient(self._url)
            while not self._stop.wait(_PAUSE_S):
                self._write(client)
            client.close()
        except Exception as error:  # raised by stop(), in the demo's own thread
            self._failure = error

    def _write(self, client: Any) -> None:
        kind = self._dice.choice(["inserted", "updated", "updated", "deleted"])
        absent = set(range(len(self._rows))) - self._there
        pool = sorted(absent if kind == "inserted" else self._there)
        if len(pool) < _BATCH:
            return
        ids = self._dice.sample(pool, _BATCH)
        verb = "delete" if kind == "deleted" else "upsert"
        with self._feed.writing(self._collection, ids, verb=verb):
            if kind == "deleted":
                client.delete(self._collection, ids=ids)
            else:
                client.upsert(self._collection, [self._row(at) for at in ids])
        self.counts[kind] += len(ids)
        if kind == "inserted":
            self._there |= set(ids)
        elif kind == "deleted":
            self._there -= set(ids)

    def _row(self, at: int) -> dict[str, Any]:
        return self._rows[at] | {"edition": self._dice.randrange(1, 1_000_000)}
