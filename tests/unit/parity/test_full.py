"""The full tier finds every planted difference, and no difference where there is none."""

import uuid
from typing import Any

import numpy as np
import pytest

from vecferry.errors import TransientError
from vecferry.mapping.names import Mapping
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec
from vecferry.parity.full import FullCheck, FullReport, Mismatch, MismatchKind, Pair
from vecferry.ports import Ref, Write
from vecferry.settings import ParitySettings, StoreSettings
from vecferry.stores import open_store
from vecferry.testing.faults import Fate, Fault, FaultyStore

REF = Ref("docs", "docs")
MAPPING = Mapping(REF, REF, (("", ""),))


@pytest.fixture
def sides() -> tuple[Any, Any]:
    made = []
    for side in ("source", "target"):
        store = open_store(StoreSettings(type="memory", url=f"memory://{side}-{uuid.uuid4().hex}"))
        store.create(Collection("docs", (VectorSpec("", dim=4, metric="cosine"),)))
        made.append(store)
    return made[0], made[1]


def a_point(number: int) -> Point:
    vector = np.random.default_rng(number).normal(size=4).astype("<f4")
    return Point(
        Key("docs", "", number),
        Image({"": Dense("float32", 4, vector.tobytes())}, b'{"n":%d}' % number),
    )


def put(store: Any, *points: Point) -> None:
    store.write(REF, [Write(point.key, point.image) for point in points])


def check(sides: tuple[Any, Any], **tolerances: float) -> FullReport:
    pair = Pair(*sides, MAPPING, {"": tolerances["direction"]} if tolerances else {})
    return FullCheck(pair, ParitySettings(buckets=16), lambda side, points: None).run()


def found(report: FullReport) -> list[Mismatch]:
    return list(report.mismatches)


def test_equal_sides_are_equal(sides: tuple[Any, Any]) -> None:
    for store in sides:
        put(store, *map(a_point, range(200)))
    report = check(sides)
    assert report.is_equal
    assert report.source_points == report.target_points == 200
    assert report.unequal_buckets == 0


def test_every_kind_of_difference_is_named_by_key_and_field(sides: tuple[Any, Any]) -> None:
    target = sides[1]
    for store in sides:
        put(store, *map(a_point, range(200)))
    target.write(REF, [Write(Key("docs", "", 3), None)])
    put(target, a_point(1_000))
    put(target, Point(a_point(7).key, Image(a_point(7).image.vectors, b'{"n":7.0}')))
    nudged = np.frombuffer(a_point(9).image.vectors[""].data, "<f4").copy()
    nudged[2] = np.nextafter(nudged[2], np.float32(9))
    put(
        target,
        Point(a_point(9).key, Image({"": Dense("float32", 4, nudged.tobytes())}, b'{"n":9}')),
    )
    report = check(sides)
    assert not report.is_equal
    assert sorted(found(report)) == sorted(
        [
            Mismatch(MismatchKind.MISSING, Key("docs", "", 3)),
            Mismatch(MismatchKind.EXTRA, Key("docs", "", 1_000)),
            Mismatch(MismatchKind.DIVERGENT, Key("docs", "", 7), ("payload.n",)),
            Mismatch(MismatchKind.DIVERGENT, Key("docs", "", 9), ("vectors.",)),
        ]
    )


def test_two_ids_swapped_are_two_divergent_keys(sides: tuple[Any, Any]) -> None:
    source, target = sides
    put(source, a_point(1), a_point(2))
    put(target, Point(a_point(1).key, a_point(2).image), Point(a_point(2).key, a_point(1).image))
    assert {each.key.id for each in found(check(sides))} == {1, 2}


def test_a_missing_namespace_is_seen(sides: tuple[Any, Any]) -> None:
    source, target = sides
    inside = Key("docs", "tenant", 1)
    put(source, a_point(1), Point(inside, a_point(1).image))
    put(target, a_point(1))
    assert found(check(sides)) == [Mismatch(MismatchKind.MISSING, inside)]


def test_a_normalised_vector_is_equal_in_direction_and_another_one_is_not(
    sides: tuple[Any, Any],
) -> None:
    source, target = sides
    for number in range(300):
        point = a_point(number)
        put(source, point)
        vector = np.frombuffer(point.image.vectors[""].data, "<f4")
        unit = (vector / np.linalg.norm(vector)).astype("<f4")
        if number == 17:
            unit[0] += np.float32(3e-3)
        put(
            target,
            Point(point.key, Image({"": Dense("float32", 4, unit.tobytes())}, point.image.payload)),
        )
    report = check(sides, direction=1e-6)
    assert found(report) == [Mismatch(MismatchKind.DIVERGENT, Key("docs", "", 17), ("vectors.",))]
    assert len(found(check(sides))) == 300


def test_a_count_that_the_pass_did_not_return_is_no_success(sides: tuple[Any, Any]) -> None:
    for store in sides:
        put(store, *map(a_point, range(10)))
    source, _ = sides
    source.count = lambda name: 11
    report = check(sides)
    assert not report.mismatches
    assert not report.is_equal


def test_what_healed_between_the_passes_is_not_reported(sides: tuple[Any, Any]) -> None:
    source, target = sides
    put(source, a_point(1))
    read = target.read

    def healed(ref: Ref, keys: list[Key], position: str = "") -> Any:
        put(target, a_point(1))
        return read(ref, keys, position)

    target.read = healed
    assert found(check(sides)) == []


@pytest.mark.parametrize("operation", ["scan", "count"])
def test_a_store_that_does_not_answer_is_not_an_empty_one(
    sides: tuple[Any, Any], operation: str
) -> None:
    source, target = sides
    put(source, *map(a_point, range(5)))
    away = FaultyStore(source)
    away.script(Fault(Fate.REFUSED), on=operation)
    with pytest.raises(TransientError):
        check((away, target))
    assert len(found(check((away, target)))) == 5
