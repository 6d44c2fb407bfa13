"""Feeds on a log in memory, whose acknowledgements a test can hold back."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from vecferry.log.codec import SingleObjectCodec
from vecferry.log.names import Topics
from vecferry.producers.feeds.feed import Feed
from vecferry.producers.feeds.session import Links
from vecferry.record import Hint, HintKind
from vecferry.testing.log import MemoryControl, MemoryLog, MemoryPublisher

MIGRATION = "m"


class HeldPublisher(MemoryPublisher):
    """Acknowledges whenever it is polled, unless it is down."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.is_down = False
        self.fails_with: BaseException | None = None
        self._polling = threading.Lock()

    def prepare(self, topic: str) -> None:
        """Do nothing."""

    def publish(self, topic: str, value: bytes, **more: Any) -> None:
        """Append, or fail as told."""
        if self.fails_with is not None:
            raise self.fails_with
        with self._polling:
            super().publish(topic, value, **more)

    def poll(self) -> None:
        """Acknowledge what is appended."""
        if not self.is_down:
            with self._polling:
                self.flush()

    def close(self, timeout_s: float = 30.0) -> None:
        """Do nothing."""


class HeldControl(MemoryControl):
    """``control`` that fails as told."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_with: BaseException | None = None
        self.is_closed = False

    def append(
        self,
        kind: str,
        name: str,
        body: Mapping[str, object],
        *,
        term: int = 0,
        timeout_s: float = 60.0,
    ) -> int:
        """Append, or fail as told."""
        if self.fails_with is not None:
            raise self.fails_with
        return super().append(kind, name, body, term=term)

    def close(self, timeout_s: float = 30.0) -> None:
        """Note it."""
        self.is_closed = True


class StillMember:
    """A process whose heartbeats come back when a test says so."""

    def __init__(self, tell: Callable[[], Mapping[str, object]]) -> None:
        self.name = "feed/still"
        self.renewed_at = time.monotonic() + 1e6
        self.ended = ""
        self.tell = tell

    def abandon(self) -> bool:
        """Note it."""
        self.ended = "abandoned"
        return True

    def close(self) -> None:
        """Note it."""
        self.ended = "closed"


class MemoryFeed(Feed):
    """A feed on a log in memory.

    Attributes:
        log: Holds what it wrote.
        publisher, control, member: Of the newest session; a test makes them fail.
        connections: How often a session was opened.
    """

    def __init__(
        self,
        collections: Mapping[str, str] | None = None,
        partitions: int = 3,
        *,
        id_types: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(MIGRATION, "127.0.0.1:1", **options)
        self.log = MemoryLog()
        self.publisher = HeldPublisher(self.log)
        self.control = HeldControl()
        self.member: StillMember | None = None
        self.connections = 0
        self.unreachable: BaseException | None = None
        self._partitions = partitions
        moves = {"docs": "docs"} if collections is None else collections
        body: dict[str, Any] = {
            "collections": [list(pair) for pair in moves.items()],
            "partitions": partitions,
        }
        if id_types is not None:
            body["id_types"] = [list(id_types) for _ in moves]
        self.control.append("migration", MIGRATION, body)

    def hints(self, partition: int | None = None) -> list[Hint]:
        """Return what was written, a partition after the other."""
        codec = SingleObjectCodec()
        chosen = range(self._partitions) if partition is None else [partition]
        return [
            codec.decode_hint(raw.value)
            for number in chosen
            for raw in self.log.records(Topics(MIGRATION).hints, number)
        ]

    def _connect(self, *, brief: bool) -> Links:
        if self.unreachable is not None:
            raise self.unreachable
        self.connections += 1
        return Links(
            Topics(MIGRATION),
            SingleObjectCodec(),
            cast("Any", self.publisher),
            cast("Any", self.control),
            self._register,
        )

    def _register(self, tell: Callable[[], Mapping[str, object]]) -> StillMember:
        self.member = StillMember(tell)
        return self.member


def single(**options: Any) -> MemoryFeed:
    """Return a feed whose log has one partition, so that its hints are in order."""
    return MemoryFeed(partitions=1, **options)


def kinds(feed: MemoryFeed, partition: int | None = None) -> list[HintKind]:
    """Return the kinds of what a feed wrote."""
    return [hint.kind for hint in feed.hints(partition)]


def keys(feed: MemoryFeed, kind: HintKind) -> set[bytes]:
    """Return the keys of the hints of a kind."""
    return {key for hint in feed.hints() if hint.kind is kind for key in hint.keys}


def rescans(feed: MemoryFeed) -> list[str]:
    """Return the scopes that a feed asked to be read again."""
    return [str(record.body["scope"]) for record in feed.control.history("rescan")]


def age(write: Any) -> None:
    """Make a write's announcement too old to be sent."""
    write._announced_at -= 10.0
