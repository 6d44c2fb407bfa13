"""A feed that reads the source itself, in a small world: what it hinted, and what a capture then knows."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vecferry.errors import TransientError
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec, key_bytes, parse_key
from vecferry.ports import Ref, Write
from vecferry.producers.feeds.differ import Differ
from vecferry.producers.feeds.known import Known
from vecferry.producers.feeds.reading import SourceReader
from vecferry.producers.feeds.teller import Teller
from vecferry.record import HintKind
from vecferry.settings import FeedSettings, StoreSettings
from vecferry.stores import open_store

REF = Ref("docs", "docs")


class Hints:
    """Takes hints as a :class:`~vecferry.log.hints.HintWriter` does, and keeps the ids.

    Attributes:
        told: Every id in order, one list for each hint.
        failures: So many hints to come are refused.
    """

    def __init__(self) -> None:
        self.told: list[list[Any]] = []
        self.failures = 0

    def append(
        self, kind: HintKind, keys: Sequence[bytes], *, request: str, verb: str = "unknown"
    ) -> dict[int, int]:
        """Take a hint; its offset is its number.

        Raises:
            TransientError: A failure was ordered.
        """
        assert kind is HintKind.DONE
        assert verb == "unknown"
        if self.failures:
            self.failures -= 1
            raise TransientError("Kafka is away")
        self.told.append([parse_key(key).id for key in keys])
        return {0: len(self.told) - 1}

    def take(self) -> list[Any]:
        """Return the ids hinted since the last call, sorted."""
        ids = sorted(one for hint in self.told for one in hint)
        self.told.clear()
        return ids


class Mirror:
    """What a capture worker knows: it reads hinted keys back when a test says so.

    It stands for the target: with every hint resolved, it must be the source.
    """

    def __init__(self, store: Any, hints: Hints) -> None:
        self._store, self._hints = store, hints
        self._read = 0
        self.images: dict[bytes, Image] = {}

    def read_back(self) -> None:
        """Resolve every hint."""
        for hint in self._hints.told[self._read :]:
            keys = [Key("docs", "", one) for one in hint]
            for key, point in zip(keys, self._store.read(REF, keys), strict=True):
                self.images.pop(key_bytes(key), None)
                if point is not None:
                    self.images[key_bytes(key)] = point.image
        self._read = len(self._hints.told)

    def is_past(self, marks: Mapping[int, int]) -> bool:
        """Tell whether the hints at these offsets were read back."""
        return all(offset < self._read for offset in marks.values())


class FeedWorld:
    """A source with one collection, and what a feed of it needs.

    Attributes:
        store: The source, in memory.
        hints: What was hinted.
        stop: Ends a pass.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.store: Any = open_store(
            StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}")
        )
        self.store.create(Collection("docs", (VectorSpec("", dim=1, metric="l2"),)))
        self.hints = Hints()
        self.stop = threading.Event()
        self.settings = FeedSettings(**settings)
        self._folder = folder
        self.known = self.opened()

    def opened(self, origin: str = "log") -> Known:
        """Open the state, which must be closed."""
        self.known = Known(self._folder, "docs", origin)
        return self.known

    def restart(self, origin: str = "log") -> None:
        """Close the state and open it, as a process that starts again does."""
        self.known.close()
        self.opened(origin)

    def put(self, *ids: int, **payload: Any) -> None:
        """Write points with this payload."""
        from vecferry.payload import encode_payload

        image = Image({"": Dense("float32", 1, b"\0\0\0\0")}, encode_payload(payload))
        self.store.write(REF, [Write(Key("docs", "", one), image) for one in ids])

    def delete(self, *ids: int) -> None:
        """Delete points."""
        self.store.write(REF, [Write(Key("docs", "", one), None) for one in ids])

    def held(self) -> dict[bytes, Image]:
        """Return what the source holds."""
        pages: list[list[Point]] = [
            page
            for part in self.store.plan_chunks("docs", 100)
            for page in self.store.scan(REF, part)
        ]
        return {key_bytes(point.key): point.image for page in pages for point in page}

    def reader(self, store: Any = None) -> SourceReader:
        """Return a reader of the source."""
        return SourceReader(store or self.store, "docs", self.settings, self.stop)

    def differ(self, is_resolved: Any = lambda _: True) -> Differ:
        """Return a comparison with the state."""
        return Differ(self.known, Teller(self.hints, self.stop, is_resolved))
