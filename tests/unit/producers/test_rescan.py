"""Rescans: the same chunks again, extras as hints, nothing repeated that was done."""

import threading
import uuid
from typing import Any, cast

import pytest

from vecferry.errors import TransientError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.hints import HintWriter
from vecferry.mapping.names import Mapping
from vecferry.model import Collection, Dense, Image, Key, VectorSpec, parse_key
from vecferry.ports import Ref, Write
from vecferry.producers.chunks import ChunkBoard, certificates
from vecferry.producers.event_log import EventLog
from vecferry.producers.extras import extra_keys, hint_extras
from vecferry.producers.passes import Rescan, ask, finish, open_rescans, rescan_chunks
from vecferry.producers.rescan import RescanWorker
from vecferry.producers.snapshot import SnapshotWorker
from vecferry.record import EventKind
from vecferry.settings import SnapshotSettings, StoreSettings
from vecferry.stores import open_store
from vecferry.testing.captures import TOPICS
from vecferry.testing.log import MemoryControl, MemoryLog, MemoryPublisher

REF = Ref("docs", "docs")


def a_store(*ids: int) -> Any:
    store: Any = open_store(StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}"))
    store.create(Collection("docs", (VectorSpec("", dim=1, metric="l2"),)))
    image = Image({"": Dense("float32", 1, b"\0\0\0\0")})
    store.write(REF, [Write(Key("docs", "", each), image) for each in ids])
    return store


class Rig:
    """A finished first pass, and workers that carry out rescans."""

    def __init__(self) -> None:
        self.source = a_store(*range(25))
        self.log, self.control = MemoryLog(), MemoryControl()
        self.codec = SingleObjectCodec()
        self.publisher: Any = MemoryPublisher(self.log)
        self.stop = threading.Event()
        self.extras: list[Rescan] = []
        self.fails = 0
        assert self.snapshot("snapshot/first").run(["docs"])

    def board(self, name: str) -> ChunkBoard:
        return ChunkBoard(cast("Any", self.control), name, lambda other: other == name)

    def snapshot(self, name: str) -> SnapshotWorker:
        log = EventLog(self.publisher, TOPICS, self.codec, 1, cast("Any", self.control))
        settings = SnapshotSettings(chunk_points=10)
        return SnapshotWorker(settings, self.source, log, self.board(name), self.stop)

    def worker(self, name: str = "snapshot/a") -> RescanWorker:
        def hint(rescan: Rescan) -> int:
            if self.fails:
                self.fails -= 1
                raise TransientError("the target is away")
            self.extras.append(rescan)
            return 0

        control = cast("Any", self.control)
        return RescanWorker(control, self.snapshot(name), self.board(name), hint, self.stop)

    def apply(self) -> None:
        """Let the appliers commit up to the end of the log."""
        end = len(self.log.records(TOPICS.events, 0))
        self.control.append("progress", "apply/0", {"committed": end, "end": end})

    def advance(self, worker: RescanWorker) -> bool:
        self.apply()
        return self.advance_alone(worker)

    def advance_alone(self, worker: RescanWorker) -> bool:
        waiting = open_rescans(cast("Any", self.control), ["docs"])
        return any(worker._advance(rescan) for rescan in waiting)

    def rows(self) -> int:
        events = [self.codec.decode_event(raw.value) for raw in self.log.records(TOPICS.events, 0)]
        return sum(event.kind is EventKind.ROW for event in events)


def test_a_rescan_reads_every_chunk_again_then_looks_for_extras_then_is_done() -> None:
    rig = Rig()
    ask(cast("Any", rig.control), "r", "docs", "somebody dropped a shard")
    worker = rig.worker()
    while rig.advance(worker):
        if rig.extras:
            assert rig.rows() == 50  # extras come after every row
    assert rig.rows() == 50
    assert [each.scope for each in rig.extras] == ["docs"]
    assert open_rescans(cast("Any", rig.control), ["docs"]) == []


def test_extras_wait_until_the_target_has_what_was_captured_before() -> None:
    rig = Rig()
    ask(cast("Any", rig.control), "r", "docs", "a filter write died")
    worker = rig.worker()
    while rig.advance_alone(worker):
        pass
    assert rig.rows() == 50
    assert rig.extras == []  # an image of a point that is gone may not be applied yet
    while rig.advance(worker):
        pass
    assert len(rig.extras) == 1


def test_a_rescan_goes_on_where_a_dead_worker_left_it() -> None:
    rig = Rig()
    ask(cast("Any", rig.control), "r", "docs", "why not")
    assert rig.advance(rig.worker("snapshot/a"))
    done = len(certificates(cast("Any", rig.control)))
    successor = rig.worker("snapshot/b")
    while rig.advance(successor):
        pass
    assert rig.rows() == 50  # no chunk twice
    (rescan,) = rig.extras
    assert len(certificates(cast("Any", rig.control))) == done + len(
        rescan_chunks(cast("Any", rig.control), rescan)
    )


def test_asked_for_again_it_is_done_again_also_when_that_came_while_it_ran() -> None:
    rig = Rig()
    control = cast("Any", rig.control)
    ask(control, "r", "docs", "once")
    (first,) = open_rescans(control, ["docs"])
    ask(control, "r", "docs", "and once more")
    finish(control, first)
    (second,) = open_rescans(control, ["docs"])
    assert second.asked_at > first.asked_at
    finish(control, second)
    assert open_rescans(control, ["docs"]) == []


def test_a_target_that_is_away_postpones_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    monkeypatch.setattr(rig.stop, "wait", lambda timeout=None: False)
    rig.fails = 2
    ask(cast("Any", rig.control), "r", "docs", "")
    worker = rig.worker()
    while rig.advance(worker):
        pass
    assert len(rig.extras) == 1


def test_extras_are_what_a_strong_read_of_the_source_does_not_find() -> None:
    source, target = a_store(1, 2, 3), a_store(2, 3, 4, 5)
    mapping = Mapping(REF, REF)
    stop = threading.Event()
    found = [key.id for group in extra_keys(source, target, mapping, stop) for key in group]
    assert sorted(map(str, found)) == ["4", "5"]
    log, codec = MemoryLog(), SingleObjectCodec()
    hints = HintWriter(cast("Any", _Acking(log)), codec, TOPICS, 1)
    assert hint_extras(extra_keys(source, target, mapping, stop), hints, "extras") == 2
    written = [codec.decode_hint(raw.value) for raw in log.records(TOPICS.hints, 0)]
    assert {parse_key(key).id for hint in written for key in hint.keys} == {4, 5}


class _Acking(MemoryPublisher):
    """Acknowledges when it is polled, as a real publisher does."""

    def poll(self) -> None:
        self.flush()
