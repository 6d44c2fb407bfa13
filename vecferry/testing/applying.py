"""A log in memory and an applier that is driven round by round: every step is the test's own.

Only the broker and the clock are made up; the applier, the fold, the writer
threads and the store are the real ones.
"""

import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, Unpack, cast

from vecferry.consumers.apply import Applier, ApplyLog, Target
from vecferry.errors import TransientError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.intake import Committed, NotOwner, Raw, Reactions
from vecferry.log.topics import Topics
from vecferry.mapping.steps import Step
from vecferry.model import Collection, Dense, Image, Key, VectorSpec, key_bytes
from vecferry.ports import Ref
from vecferry.record import ControlRecord, Dead, Event, EventKind
from vecferry.settings import Settings, parse_settings
from vecferry.stores.memory import Database, MemoryStore
from vecferry.testing.faults import FaultyStore

SESSION_S = 6.0
REF = Ref("docs", "docs")
_LONG_S = 60.0


def key_of(number: int) -> bytes:
    """Return the key bytes of point ``number`` of the collection ``docs``."""
    return key_bytes(Key("docs", "", number))


def image_of(value: float) -> Image:
    """Return an image that tells its value back: see :meth:`Rig.shown`."""
    return Image({"": Dense("float32", 1, struct.pack("<f", value))}, b"{}")


class MemoryLog:
    """``events``, ``dead`` and ``control`` of one migration, and the group's commits.

    Attributes:
        commits: The last commit of each partition, as the broker holds it.
        history: Every commit that succeeded, in order.
        owner: The intake that owns the partitions, None for nobody.
        drops_metadata: As the embedded broker does.
        refusals: What the next commits raise, in order; None lets one through.
        dead: Dead letters, decoded.
        deaf: How many of the next dead letters are not acknowledged.
    """

    embedded = False
    session_timeout_s = SESSION_S

    def __init__(self, partitions: int = 1) -> None:
        self.codec = SingleObjectCodec()
        self.records: dict[int, list[Raw]] = {number: [] for number in range(partitions)}
        self.commits = {number: Committed(0) for number in range(partitions)}
        self.history: list[tuple[int, Committed]] = []
        self.owner: MemoryIntake | None = None
        self.drops_metadata = False
        self.refusals: list[Exception | None] = []
        self.dead: list[Dead] = []
        self.deaf = 0
        self.control: dict[str, list[ControlRecord]] = defaultdict(list)
        self._control_end = 0

    def put(self, *events: Event, partition: int = 0) -> int:
        """Append events; return the offset of the last one."""
        for event in events:
            self.put_raw(self.codec.encode_event(event), event.key or None, partition)
        return len(self.records[partition]) - 1

    def put_raw(self, value: bytes, key: bytes | None, partition: int = 0) -> int:
        """Append a record as bytes; return its offset."""
        offset = len(self.records[partition])
        self.records[partition].append(Raw("events", partition, offset, key, value, 0))
        return offset

    def image(self, number: int, value: float, *, term: int = 1) -> int:
        """Append an image of point ``number``; return its offset."""
        offset = len(self.records[0])
        image = image_of(value)
        return self.put(
            Event(EventKind.IMAGE, key_of(number), image, term=term, hint_offset=offset)
        )

    # --- control ---

    def append(self, kind: str, name: str, body: Mapping[str, object], *, term: int = 0) -> int:
        """See Control."""
        self._control_end += 1
        self.control[kind].append(ControlRecord(kind, term, name, body, self._control_end))
        return self._control_end

    def latest(self, kind: str) -> dict[str, ControlRecord]:
        """See Control."""
        return {record.name: record for record in list(self.control[kind])}

    def read_to_end(self, timeout_s: float = 30) -> None:
        """See Control; there is nothing to wait for."""

    def diverged(self) -> set[bytes]:
        """Return the keys that are marked now."""
        latest = self.latest("diverged").items()
        return {bytes.fromhex(name) for name, record in latest if record.body["diverged"]}

    # --- the publisher ---

    def publish_acked(
        self, topic: str, value: bytes, *, key: bytes | None = None, partition: int
    ) -> int:
        """See Publisher."""
        if self.deaf:
            self.deaf -= 1
            raise TransientError("Kafka does not answer")
        self.dead.append(self.codec.decode_dead(value))
        return len(self.dead) - 1


class MemoryIntake:
    """The intake's protocol over :class:`MemoryLog`; it owns every partition that it was given."""

    def __init__(
        self,
        connection: Any,
        topic: str,
        group: str,
        **reactions: Unpack[Reactions],
    ) -> None:
        self.log = cast("MemoryLog", connection)
        self.assigned, self.revoked = reactions["assigned"], reactions["revoked"]
        self.lost = reactions["lost"]
        self.owned: set[int] = set()
        self.at: dict[int, int] = {}
        self.held: set[int] = set()
        self.todo: list[Callable[[], None]] = [lambda: self.take(self.log.records)]

    def take(self, numbers: Iterable[int]) -> None:
        """Become the owner of these partitions, as in a rebalance."""
        self.log.owner = self
        self.owned |= set(numbers)
        for number in numbers:
            self.at[number] = self.log.commits[number].offset
        self.assigned(list(numbers))

    def lose(self) -> None:
        """Notice that somebody else owns everything."""
        numbers, self.owned = self.owned, set()
        self.lost(sorted(numbers))

    def poll(self, records_max: int, timeout_s: float) -> list[Raw]:
        """Run what is due, then return what is there."""
        todo, self.todo = self.todo, []
        for step in todo:
            step()
        found: list[Raw] = []
        for number in sorted(self.owned - self.held):
            at = self.at[number]
            some = self.log.records[number][at : at + records_max - len(found)]
            self.at[number] += len(some)
            found += some
        return found

    def pause(self, partitions: Iterable[int]) -> None:
        """See Intake."""
        self.held |= set(partitions)

    def resume(self, partitions: Iterable[int]) -> None:
        """See Intake."""
        self.held -= set(partitions)

    def seek(self, partition: int, offset: int) -> None:
        """See Intake."""
        self.at[partition] = offset

    def committed(self, partition: int) -> Committed:
        """See Intake."""
        return self.log.commits[partition]

    def commit(self, places: Mapping[int, Committed]) -> None:
        """See Intake: the broker refuses whoever is not the owner."""
        refusal = self.log.refusals.pop(0) if self.log.refusals and places else None
        if refusal is not None:
            raise refusal
        if self.log.owner is not self or not self.owned.issuperset(places):
            raise NotOwner("not ours")
        for number, place in places.items():
            kept = place._replace(metadata="") if self.log.drops_metadata else place
            self.log.commits[number] = kept
            self.log.history.append((number, kept))

    def watermark(self, partition: int) -> int:
        """See Intake."""
        return len(self.log.records[partition])

    def seen_end(self, partition: int) -> int:
        """See Intake."""
        return len(self.log.records[partition])

    def close(self) -> None:
        """See Intake."""
        if self.owned:
            self.revoked(sorted(self.owned))
        self.owned = set()


class Rig:
    """An applier over a :class:`MemoryLog` and a faulty memory store.

    Attributes:
        now: The applier's clock, which only the test moves.
        intake: Its intake.
    """

    def __init__(
        self,
        log: MemoryLog,
        store: FaultyStore | None = None,
        *,
        transform: Step | None = None,
        **settings: object,
    ) -> None:
        self.log = log
        self.now = 1_000.0
        self.store = store or new_store()
        self.settings = _settings(settings)
        ends = ApplyLog(
            *cast("tuple[Any, Any, Any, Any, Any]", (log, Topics("m"), log.codec, log, log))
        )
        self.applier = Applier(
            self.settings, ends, {"docs": Target(self.store, REF, transform)}, lambda: self.now
        )
        reactions = self.applier._ownership.reactions()
        self.intake = MemoryIntake(log, "events", "group", **reactions)
        self.applier._ownership.intake = cast("Any", self.intake)

    def turn(self, rounds: int = 1) -> None:
        """Let the loop go round."""
        for _ in range(rounds):
            self.applier._turn(cast("Any", self.intake))

    def until(self, condition: Callable[[], bool], *, advance_s: float = 0.0) -> Self:
        """Let the loop go round, the clock moved each time, until ``condition()``."""
        end = time.monotonic() + _LONG_S
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            self.now += advance_s
            self.turn()
        return self

    def settle(self, *, advance_s: float = 0.1) -> Self:
        """Let the loop go round until all that the log holds is committed."""
        return self.until(
            lambda: all(
                self.log.commits[number].offset == len(records)
                for number, records in self.log.records.items()
            ),
            advance_s=advance_s,
        )

    def revoke(self) -> None:
        """Give everything back in order."""
        numbers = sorted(self.intake.owned)
        self.intake.revoked(numbers)
        self.intake.owned = set()
        self.log.owner = None

    def close(self) -> None:
        """End the threads; nothing is committed."""
        self.store.heal()
        self.applier._ownership.abandon()
        self.applier._sender.close(timeout_s=10.0)
        self.applier._reporter.close()

    # --- what the target holds ---

    def shown(self, number: int) -> float | None:
        """Return the value of a point in the target, None for an absent one."""
        point = self.store.store.read(REF, [Key("docs", "", number)])[0]
        if point is None:
            return None
        vector = point.image.vectors[""]
        assert isinstance(vector, Dense)
        return float(struct.unpack("<f", vector.data)[0])

    def writes(self) -> list[tuple[Any, ...]]:
        """Return the ids of each write request so far."""
        calls = list(self.store.calls)
        return [tuple(key.id for key in call.keys) for call in calls if call.operation == "write"]


def new_store() -> FaultyStore:
    """Return a faulty store over an empty ``docs`` of its own."""
    inside = MemoryStore(Database())
    inside.create(Collection("docs", (VectorSpec("", dim=1, metric="l2"),)))
    return FaultyStore(inside)


def _settings(apply_settings: Mapping[str, object]) -> Settings:
    return parse_settings(
        {
            "name": "m",
            "source": {"type": "memory", "url": "memory://s"},
            "target": {"type": "memory", "url": "memory://t", "timeout_s": 1.0},
            "collections": [{"source": "docs"}],
            "log": {"bootstrap_servers": "127.0.0.1:1"},
            "apply": {"request_max_s": 30.0, "commit_s": 0.5, **apply_settings},
        },
        {},
    )


__all__ = ["MemoryIntake", "MemoryLog", "Rig", "image_of", "key_of", "new_store"]
