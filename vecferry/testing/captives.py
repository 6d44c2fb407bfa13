"""A captured Qdrant client over the vendor's own local engine, and a log in memory."""

from typing import Any

from qdrant_client import QdrantClient, models

from vecferry.model import parse_key
from vecferry.producers.feeds.clients import captured_by
from vecferry.record import HintKind
from vecferry.testing.feeds import MemoryFeed

ONE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
VECTORS = {"": models.VectorParams(size=2, distance=models.Distance.DOT)}


def point(number: Any, **payload: Any) -> models.PointStruct:
    """Return a point of two dimensions."""
    return models.PointStruct(id=number, vector=[1.0, 2.0], payload=payload or {"n": 1})


def filter_of(value: int) -> models.Filter:
    """Return a filter on ``n``."""
    match = models.FieldCondition(key="n", match=models.MatchValue(value=value))
    return models.Filter(must=[match])


class QdrantScene:
    """A captured local client over collections ``docs``, which moves, and ``others``.

    Attributes:
        feed: On a log in memory.
        original, client: The client, and the captured one.
    """

    def __init__(self) -> None:
        self.feed = MemoryFeed(partitions=1)
        self.original = QdrantClient(":memory:")
        self.client: Any = captured_by(self.feed, self.original)
        for name in ("docs", "others"):
            self.original.create_collection(name, vectors_config=VECTORS[""])
        self.original.upsert("docs", [point(1, n=1), point(2, n=2), point(ONE, n=1)])

    def kinds(self) -> list[str]:
        """Return the kinds of what was written."""
        return [hint.kind.value for hint in self.feed.hints()]

    def ids(self, kind: HintKind = HintKind.DONE) -> set[Any]:
        """Return the ids of the hints of a kind."""
        return {
            parse_key(key).id
            for hint in self.feed.hints()
            if hint.kind is kind
            for key in hint.keys
        }

    def verbs(self) -> set[str]:
        """Return the verbs of the hints."""
        return {hint.verb for hint in self.feed.hints()}

    def rescans(self) -> list[object]:
        """Return what is to be read again."""
        return [record.body["scope"] for record in self.feed.control.history("rescan")]
