"""The snapshot worker on a log in memory and the memory store."""

import threading
import uuid
from typing import Any, cast

import pytest

from vecferry.digest import MODULUS, digest
from vecferry.errors import HaltError, TransientError
from vecferry.fold import Fold, coalesce
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.topics import Topics
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec, key_bytes
from vecferry.ports import Bounds, Ref, Write
from vecferry.producers.chunks import ChunkBoard, certificates, persisted_chunks
from vecferry.producers.event_log import EventLog
from vecferry.producers.snapshot import SnapshotWorker
from vecferry.record import Event, EventKind
from vecferry.settings import SnapshotSettings, StoreSettings
from vecferry.stores import open_store
from vecferry.testing.log import MemoryControl, MemoryLog, MemoryPublisher

PARTITIONS = 3
TOPICS = Topics("m")
REF = Ref("docs", "docs")


@pytest.fixture
def store() -> Any:
    opened = open_store(StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}"))
    opened.create(Collection("docs", (VectorSpec("", dim=2, metric="l2"),)))
    return opened


def fill(store: Any, count: int) -> list[Point]:
    points = [
        Point(
            Key("docs", "", n),
            Image({"": Dense("float32", 2, bytes([n % 256] * 8))}, b'{"n":%d}' % n),
        )
        for n in range(count)
    ]
    store.write(REF, [Write(point.key, point.image) for point in points])
    return points


class Rig:
    """A log, and workers on it."""

    def __init__(self, store: Any, record_bytes_max: int = 1_000_000) -> None:
        self.store = store
        self.log = MemoryLog(record_bytes_max)
        self.control = MemoryControl()
        self.codec = SingleObjectCodec()
        self.dead_workers: set[str] = set()
        self.stop = threading.Event()

    def worker(
        self, name: str = "snapshot/a", cls: type[SnapshotWorker] = SnapshotWorker, **settings: Any
    ) -> Any:
        control = cast("Any", self.control)
        events = EventLog(
            cast("Any", MemoryPublisher(self.log)), TOPICS, self.codec, PARTITIONS, control
        )
        board = ChunkBoard(control, name, lambda other: other not in self.dead_workers)
        chosen = SnapshotSettings(**({"chunk_points": 10} | settings))
        return cls(chosen, self.store, events, board, self.stop)

    def events(self, partition: int) -> list[tuple[int, Event]]:
        return [
            (raw.offset, self.codec.decode_event(raw.value))
            for raw in self.log.records(TOPICS.events, partition)
        ]

    def folded(self, window: int = 1_000_000) -> dict[bytes, Event]:
        state: dict[bytes, Event] = {}
        for partition in range(PARTITIONS):
            fold = Fold(window)
            taken = [(offset, fold.take(offset, event)) for offset, event in self.events(partition)]
            accepted = [(offset, event) for offset, event in taken if event is not None]
            state |= {key: event for key, (_, event) in coalesce(accepted).items()}
        return state


def test_every_point_is_a_row_of_an_open_window_and_every_chunk_is_certified(store: Any) -> None:
    points = fill(store, 95)
    rig = Rig(store)
    assert rig.worker().run(["docs"])
    folded = rig.folded()
    assert {key: event.image for key, event in folded.items()} == {
        key_bytes(point.key): point.image for point in points
    }
    done = certificates(cast("Any", rig.control))
    assert set(done) == {chunk.id for chunk in persisted_chunks(cast("Any", rig.control), ["docs"])}
    assert sum(each.rows for each in done.values()) == 95
    total = sum(int(each.digest, 16) for each in done.values()) % MODULUS
    assert total == sum(digest(point) for point in points) % MODULUS


def test_open_is_acknowledged_in_every_partition_before_the_first_read(store: Any) -> None:
    fill(store, 5)
    rig = Rig(store)
    seen: list[int] = []
    scan = store.scan

    def spying(ref: Ref, bounds: Bounds, **more: Any) -> Any:
        seen.append(
            sum(
                event.kind is EventKind.OPEN
                for p in range(PARTITIONS)
                for _, event in rig.events(p)
            )
        )
        return scan(ref, bounds, **more)

    store.scan = spying
    assert rig.worker(chunk_points=100).run(["docs"])
    assert seen == [PARTITIONS]


def test_bounds_are_persisted_once_and_every_worker_reads_the_same(store: Any) -> None:
    fill(store, 40)
    rig = Rig(store)
    first = rig.worker("snapshot/a")
    chunks = first._chunks("docs")
    fill(store, 400)  # a second plan would cut other chunks
    assert rig.worker("snapshot/b")._chunks("docs") == chunks
    assert len(rig.control.history("chunks")) == 1


def test_the_first_of_two_racing_plans_counts_for_both(store: Any) -> None:
    fill(store, 40)
    rig = Rig(store)
    control = cast("Any", rig.control)
    ours = [Bounds("", None, "x"), Bounds("", "x", None)]
    board = ChunkBoard(control, "snapshot/b", lambda _: True)

    def slow_plan() -> list[Bounds]:  # another worker is faster
        rig.control.append(
            "chunks", "docs/other", {"collection": "docs", "bounds": [["", None, None]]}
        )
        return ours

    assert [chunk.bounds for chunk in board.bounds("docs", slow_plan)] == [Bounds("", None, None)]


def test_a_chunk_of_a_living_worker_is_left_to_it_and_one_of_a_dead_worker_is_taken(
    store: Any,
) -> None:
    fill(store, 20)
    rig = Rig(store)
    first = rig.worker("snapshot/a")
    chunks = first._chunks("docs")
    held = first._board.take(chunks)
    second = rig.worker("snapshot/b")
    others = [second._board.take(chunks) for _ in chunks]
    assert held not in others[: len(chunks) - 1] or len(chunks) == 1
    rig.dead_workers.add("snapshot/a")
    assert held in [second._board.take([held])]


def test_a_second_run_reads_only_chunks_without_a_certificate(store: Any) -> None:
    fill(store, 60)
    rig = Rig(store)
    worker = rig.worker()
    chunks = worker._chunks("docs")
    worker._read(chunks[0])
    scanned: list[Bounds] = []
    scan = store.scan

    def spying(ref: Ref, bounds: Bounds, **more: Any) -> Any:
        scanned.append(bounds)
        return scan(ref, bounds, **more)

    store.scan = spying
    assert rig.worker("snapshot/b").run(["docs"])
    assert sorted(map(str, scanned)) == sorted(str(chunk.bounds) for chunk in chunks[1:])


def test_a_worker_killed_inside_a_chunk_costs_that_chunk_alone(store: Any) -> None:
    points = fill(store, 60)
    rig = Rig(store)
    worker = rig.worker()
    chunks = worker._chunks("docs")
    chunk = worker._board.take(chunks)
    worker._publish_rows(chunk, worker.open_window(chunk))  # ... and it is gone before CLOSE
    rig.dead_workers.add("snapshot/a")
    assert rig.worker("snapshot/b").run(["docs"])
    assert len(rig.folded()) == len(points)
    opened = [e for p in range(PARTITIONS) for _, e in rig.events(p) if e.kind is EventKind.OPEN]
    assert len(opened) == (len(chunks) + 1) * PARTITIONS


class _ReadsFirst(SnapshotWorker):
    """Leaves out a rule: the chunk is read before its OPEN."""

    def _read(self, chunk: Any) -> None:
        pages = list(self._store.scan(Ref("docs", "docs"), chunk.bounds))
        self.interlude()
        window = self.open_window(chunk)
        for page in pages:
            for point in page:
                self._publish_row(chunk, window, point)
        closed = self.close_window(chunk, window)
        assert closed is not None

    def interlude(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("reads_first", [False, True])
def test_a_delete_during_the_read_wins_only_because_open_comes_first(
    store: Any, reads_first: bool
) -> None:
    (point,) = fill(store, 1)
    rig = Rig(store)
    key = key_bytes(point.key)

    def captured_delete() -> None:
        store.write(REF, [Write(point.key, None)])
        for partition in range(PARTITIONS):
            for event in (Event(EventKind.EPOCH, term=1), Event(EventKind.DELETE, key, term=1)):
                if event.kind is EventKind.EPOCH or partition == _partition(key):
                    rig.log.append(
                        TOPICS.events, partition, event.key or None, rig.codec.encode_event(event)
                    )

    if reads_first:
        worker = rig.worker(cls=_ReadsFirst)
        worker.interlude = captured_delete
        worker._read(worker._chunks("docs")[0])
        assert rig.folded()[key].kind is EventKind.ROW  # the harm: a deleted point is back
        return
    scan = store.scan

    def deleted_while_read(ref: Ref, bounds: Bounds, **more: Any) -> Any:
        pages = list(scan(ref, bounds, **more))
        captured_delete()
        return iter(pages)

    store.scan = deleted_while_read
    assert rig.worker().run(["docs"])
    assert rig.folded()[key].kind is EventKind.DELETE


def _partition(key: bytes) -> int:
    from vecferry.log.partition import partition_of

    return partition_of(key, PARTITIONS)


def test_a_window_that_lapsed_gives_no_certificate(store: Any) -> None:
    fill(store, 3_100)  # more rows in each partition than the window allows records
    rig = Rig(store)
    with pytest.raises(HaltError, match="window_offsets"):
        rig.worker(chunk_points=100_000, window_offsets=1_000).run(["docs"])
    assert not certificates(cast("Any", rig.control))


def test_a_point_too_large_for_the_log_is_dead_lettered_and_marked(store: Any) -> None:
    fill(store, 5)
    big = Point(
        Key("docs", "", 77),
        Image({"": Dense("float32", 2, b"\0" * 8)}, b'{"t":"%s"}' % (b"x" * 3_000)),
    )
    store.write(REF, [Write(big.key, big.image)])
    rig = Rig(store, record_bytes_max=2_000)
    assert rig.worker().run(["docs"])
    assert len(rig.folded()) == 5
    letters = [raw for p in range(PARTITIONS) for raw in rig.log.records(TOPICS.dead, p)]
    assert [rig.codec.decode_dead(raw.value).key for raw in letters] == [key_bytes(big.key)]
    assert rig.control.latest("diverged")[key_bytes(big.key).hex()].body["diverged"]
    assert sum(each.dead for each in certificates(cast("Any", rig.control)).values()) == 1


def test_a_failed_page_goes_on_behind_the_last_key(store: Any) -> None:
    points = fill(store, 50)
    rig = Rig(store)
    scan, afters, failures = store.scan, [], iter([True, False])

    def failing(ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Any:
        afters.append(after)
        fails = next(failures, False)
        for page in scan(ref, bounds, after=after):
            for point in page:
                yield [point]
                if fails:
                    raise TransientError("not now", retry_after_s=0.01)

    store.scan = failing
    assert rig.worker(chunk_points=1_000).run(["docs"])
    assert afters[0] is None
    assert afters[1] is not None
    rows = [e for p in range(PARTITIONS) for _, e in rig.events(p) if e.kind is EventKind.ROW]
    assert len(rows) == len(points)


def test_stopping_leaves_the_open_chunk_without_a_certificate(store: Any) -> None:
    fill(store, 50)
    rig = Rig(store)
    scan = store.scan

    def stopping(ref: Ref, bounds: Bounds, **more: Any) -> Any:
        for page in scan(ref, bounds, **more):
            rig.stop.set()
            yield page

    store.scan = stopping
    assert not rig.worker(chunk_points=1_000).run(["docs"])
    assert not certificates(cast("Any", rig.control))


def test_an_empty_collection_is_complete_at_once(store: Any) -> None:
    rig = Rig(store)
    assert rig.worker().run(["docs"])
    assert rig.folded() == {}
