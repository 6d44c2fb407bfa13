"""Capture in a small world: writers, workers, zombies, one partition each of hints and events.

Every step is one method, so that a test chooses the interleaving: a writer
dies between any two of its steps, a worker loses its partition at any moment
and lives on.
"""

import uuid
from typing import Any, cast

from vecferry.fold import Fold, coalesce
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.intake import Committed
from vecferry.log.topics import Topics
from vecferry.model import Collection, Dense, Image, Key, VectorSpec, key_bytes
from vecferry.ports import Ref, Write
from vecferry.producers.capture import CaptureWorker
from vecferry.producers.event_log import EventLog
from vecferry.record import Event, EventKind, Hint, HintKind
from vecferry.settings import CaptureSettings, StoreSettings
from vecferry.stores import open_store
from vecferry.testing.log import MemoryControl, MemoryIntake, MemoryLog, MemoryPublisher

TOPICS = Topics("m")
REF = Ref("docs", "docs")
PATIENCE_S = 35.0


class SmallWorld:
    """A source, a log and a clock.

    Attributes:
        store: The source.
        now: Seconds; only :meth:`sleep` moves it.
    """

    def __init__(self, **settings: Any) -> None:
        self.store: Any = open_store(
            StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}")
        )
        self.store.create(Collection("docs", (VectorSpec("", dim=1, metric="l2"),)))
        self.log = MemoryLog()
        self.control = MemoryControl()
        self.codec = SingleObjectCodec()
        self.commits: dict[int, Committed] = {}
        self.now = 1_000.0
        self._settings = CaptureSettings(**({"commit_s": 1e-6, "hot_key_s": 0.0} | settings))
        self._written = 0

    def hint(self, kind: HintKind, request: str, *ids: int, verb: str = "upsert") -> None:
        """Append a hint."""
        keys = tuple(key_bytes(Key("docs", "", each)) for each in ids)
        scope = "docs" if kind is HintKind.FILTER_INTENT else ""
        value = self.codec.encode_hint(Hint(kind, request, keys, verb, scope=scope))
        self.log.append(TOPICS.hints, 0, None, value)

    def beat(self, number: int) -> None:
        """Append a BEAT."""
        self.log.append(
            TOPICS.hints, 0, None, self.codec.encode_hint(Hint(HintKind.BEAT, number=number))
        )

    def put(self, number: int) -> None:
        """Write a point to the source, with a payload that nobody wrote before."""
        self._written += 1
        image = Image({"": Dense("float32", 1, b"\0\0\0\0")}, b'{"n":%d}' % self._written)
        self.store.write(REF, [Write(Key("docs", "", number), image)])

    def delete(self, number: int) -> None:
        """Delete a point from the source."""
        self.store.write(REF, [Write(Key("docs", "", number), None)])

    def worker(self, cls: type[CaptureWorker] = CaptureWorker) -> "Worker":
        """Make a worker that the group gives the partition to."""
        return Worker(self, cls)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def events(self) -> list[tuple[int, Event]]:
        """Return the log's events with their offsets."""
        return [
            (raw.offset, self.codec.decode_event(raw.value))
            for raw in self.log.records(TOPICS.events, 0)
        ]

    def folded(self) -> dict[bytes, Image]:
        """Return what the log says: the image of each key that exists."""
        fold = Fold(1_000_000)
        taken = [(offset, fold.take(offset, event)) for offset, event in self.events()]
        newest = coalesce((offset, event) for offset, event in taken if event is not None)
        return {key: event.image for key, (_, event) in newest.items() if event.image is not None}

    def held(self) -> dict[bytes, Image]:
        """Return what the source holds."""
        pages = [
            page
            for bounds in self.store.plan_chunks("docs", 100)
            for page in self.store.scan(REF, bounds)
        ]
        return {key_bytes(point.key): point.image for page in pages for point in page}

    def accepted_beats(self) -> list[int]:
        """Return the numbers of the BEATs that the fold accepts."""
        fold = Fold(1_000_000)
        taken = [fold.take(offset, event) for offset, event in self.events()]
        return [
            event.number for event in taken if event is not None and event.kind is EventKind.BEAT
        ]

    @property
    def settings(self) -> CaptureSettings:
        """The capture's settings."""
        return self._settings


class Worker:
    """A capture worker that a test turns by hand."""

    def __init__(self, world: SmallWorld, cls: type[CaptureWorker]) -> None:
        self._world = world
        log = EventLog(
            cast("Any", MemoryPublisher(world.log)),
            TOPICS,
            world.codec,
            1,
            cast("Any", world.control),
        )
        self.inner: Any = cast("Any", cls)(
            world.settings, world.store, ["docs"], log, lambda: world.now
        )
        reactions = {
            "assigned": self.inner._assigned,
            "revoked": self.inner._revoked,
            "lost": self.inner._lost,
        }
        self.intake = MemoryIntake(world.log, TOPICS.hints, world.commits, reactions)
        self.inner._intake = self.intake
        self.intake.assign([0])

    def lose(self) -> None:
        """The group gave the partition to somebody else; the worker does not know."""
        self.intake.is_lost = True

    def turn(self) -> None:
        """Go round the loop once, a moment later."""
        self._world.sleep(0.001)
        self.inner._turn(self.intake)
