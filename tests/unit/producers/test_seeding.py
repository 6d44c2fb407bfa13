"""Which points a seeded target lacks, and what a snapshot then publishes."""

import threading
import uuid
from pathlib import Path
from typing import Any, cast

import pytest

from vecferry.errors import TransientError
from vecferry.fold import Fold, coalesce
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.topics import Topics
from vecferry.mapping.names import Mapping
from vecferry.mapping.transforms import Transforms, load_transforms
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec, parse_key
from vecferry.parity.full import Pair
from vecferry.ports import Ref, Write
from vecferry.producers.chunks import ChunkBoard, certificates
from vecferry.producers.event_log import EventLog
from vecferry.producers.passes import ask, ask_extras_once, open_rescans, rescan_chunks
from vecferry.producers.seeding import differing
from vecferry.producers.snapshot import Select, SnapshotWorker
from vecferry.settings import SnapshotSettings, StoreSettings
from vecferry.stores import open_store
from vecferry.testing.log import MemoryControl, MemoryLog, MemoryPublisher
from vecferry.transform_settings import TransformSettings

REF = Ref("docs", "docs")
MAPPING = Mapping(REF, REF)
TOPICS = Topics("m")


@pytest.fixture
def sides() -> tuple[Any, Any]:
    made = []
    for _ in range(2):
        store = open_store(StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}"))
        store.create(Collection("docs", (VectorSpec("", dim=1, metric="l2"),)))
        made.append(store)
    return made[0], made[1]


def a_point(number: int, version: int = 0) -> Point:
    image = Image({"": Dense("float32", 1, bytes([number, version, 0, 0]))}, b'{"n":%d}' % number)
    return Point(Key("docs", "", number), image)


def put(store: Any, *points: Point) -> None:
    store.write(REF, [Write(point.key, point.image) for point in points])


def selected(select: Select, points: list[Point]) -> list[Any]:
    return [point.key.id for point in select(points)]


def test_what_is_missing_or_stale_is_selected_and_what_is_equal_is_not(sides: Any) -> None:
    points = [a_point(number) for number in range(6)]
    put(sides[1], *points[:4], a_point(2, version=1))
    assert selected(differing([Pair(*sides, MAPPING)]), points) == [2, 4, 5]
    assert selected(differing([Pair(*sides, MAPPING)]), []) == []


def test_a_target_is_held_against_the_transformed_point(sides: Any) -> None:
    subset = TransformSettings.model_validate({"where_not": {"n": {"equals": 1}}})
    cast = TransformSettings.model_validate({"cast": {"n": "bool"}})  # what is above 1 cannot be
    transforms = load_transforms([subset, cast], Path("/nowhere"))
    points = [a_point(0), a_point(1), a_point(2), a_point(3)]
    put(sides[1], Point(points[0].key, points[0].image._replace(payload=b'{"n":false}')))
    select = differing([Pair(*sides, MAPPING, {}, transforms)])
    assert selected(select, points) == [2, 3]  # 1 is left out and is not there
    put(sides[1], a_point(1))
    assert selected(select, points) == [1, 2, 3]
    assert selected(differing([Pair(*sides, MAPPING, {}, Transforms())]), points) == [0, 2, 3]


def run(source: Any, select: Select | None) -> tuple[list[Any], MemoryControl]:
    """Read all of the source; return the ids that became rows in the fold's eyes."""
    log, control, codec = MemoryLog(1_000_000), MemoryControl(), SingleObjectCodec()
    ends = EventLog(cast("Any", MemoryPublisher(log)), TOPICS, codec, 1, cast("Any", control))
    board = ChunkBoard(cast("Any", control), "snapshot/a", lambda _: True)
    settings = SnapshotSettings(chunk_points=4)
    worker = SnapshotWorker(settings, source, ends, board, threading.Event())
    worker.select = select
    assert worker.run(["docs"])
    fold = Fold(1_000_000)
    accepted = [
        (offset, event)
        for offset, value in enumerate(values(log))
        if (event := fold.take(offset, codec.decode_event(value))) is not None
    ]
    return sorted(int(parse_key(key).id) for key in coalesce(accepted)), control  # type: ignore[arg-type]


def values(log: MemoryLog) -> list[bytes]:
    return [raw.value for raw in log.records(TOPICS.events, 0)]


def test_only_what_the_target_lacks_becomes_a_row_and_every_chunk_its_certificate(
    sides: Any,
) -> None:
    points = [a_point(number) for number in range(10)]
    put(sides[0], *points)
    put(sides[1], *points[:7])
    rows, control = run(sides[0], differing([Pair(*sides, MAPPING)]))
    assert rows == [7, 8, 9]
    assert sum(each.rows for each in certificates(cast("Any", control)).values()) == 3
    assert run(sides[0], None)[0] == list(range(10))


def test_a_target_that_does_not_answer_for_now_is_asked_again(sides: Any) -> None:
    put(sides[0], *(a_point(number) for number in range(3)))
    failures = iter([TransientError("busy", retry_after_s=0.01)] * 2)

    def select(page: list[Point]) -> list[Point]:
        for error in failures:
            raise error
        return page[:1]

    assert run(sides[0], select)[0] == [0]


def test_extras_are_asked_for_once_and_read_no_chunk_again() -> None:
    control = cast("Any", MemoryControl())
    for _ in range(2):
        ask_extras_once(control, "seeded/docs", "docs", "the target was seeded")
    (rescan,) = open_rescans(control, ["docs"])
    control.append("chunks", "docs/1", {"collection": "docs", "bounds": [["", None, None]]})
    assert rescan_chunks(control, rescan) == []
    ask(control, "by/hand", "docs", "an operator")
    assert [len(rescan_chunks(control, each)) for each in open_rescans(control, ["docs"])] == [0, 1]
