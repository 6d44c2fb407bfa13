"""Both sides compared through the transforms of the migration."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecferry.mapping.names import Mapping
from vecferry.mapping.transforms import Transforms, load_transforms, passage
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec
from vecferry.parity.compare import differing_fields
from vecferry.parity.full import FullCheck, FullReport, MismatchKind, Pair
from vecferry.ports import Ref, Write
from vecferry.settings import ParitySettings, StoreSettings
from vecferry.stores import open_store
from vecferry.transform_settings import TransformSettings

OURS, THEIRS = Ref("docs", "docs"), Ref("there", "docs")
MAPPING = Mapping(OURS, THEIRS, (("", "v"),))
SUBSET = {"where_not": {"n": {"at_least": 90}}}
HALVED = {"cast_vector": {"": "float16"}}
FAILING = {"cast": {"n": "int"}}


@pytest.fixture
def sides() -> tuple[Any, Any]:
    made = []
    for ref, spec in (
        (OURS, VectorSpec("", dim=4, metric="l2")),
        (THEIRS, VectorSpec("v", dim=4, metric="l2", dtype="float16")),
    ):
        store = open_store(StoreSettings(type="memory", url=f"memory://{uuid.uuid4().hex}"))
        store.create(Collection(ref.name, (spec,)))
        made.append(store)
    return made[0], made[1]


def loaded(*transforms: dict[str, Any]) -> Transforms:
    settings = [TransformSettings.model_validate(each) for each in transforms]
    return load_transforms(settings, Path("/nowhere"))


def a_point(number: int) -> Point:
    vector = np.random.default_rng(number).normal(size=4).astype("<f4")
    payload = json.dumps({"n": number}, separators=(",", ":")).encode()
    return Point(
        Key("docs", "", number), Image({"": Dense("float32", 4, vector.tobytes())}, payload)
    )


def put(store: Any, ref: Ref, points: list[Any]) -> None:
    writes = [Write(each.key, each.image) for each in points if isinstance(each, Point)]
    assert store.write(ref, writes) == []


def check(sides: tuple[Any, Any], transforms: Transforms) -> FullReport:
    pair = Pair(*sides, MAPPING, {}, transforms)
    return FullCheck(pair, ParitySettings(buckets=16), lambda side, points: None).run()


def moved(sides: tuple[Any, Any], transforms: Transforms) -> None:
    points = [a_point(number) for number in range(100)]
    put(sides[0], OURS, points)
    put(sides[1], THEIRS, passage(transforms, MAPPING)(points))


def test_a_transformed_target_is_equal_to_the_bit_and_what_is_left_out_is_counted(
    sides: tuple[Any, Any],
) -> None:
    transforms = loaded(SUBSET, HALVED, {"rename": {"n": "number"}})
    moved(sides, transforms)
    report = check(sides, transforms)
    assert report.is_equal
    assert report.unequal_buckets == 0
    assert (report.source_points, report.target_points, report.left_out) == (100, 90, 10)


def test_without_them_every_point_differs(sides: tuple[Any, Any]) -> None:
    moved(sides, loaded(SUBSET, HALVED))
    report = check(sides, Transforms())
    kinds = [each.kind for each in report.mismatches]
    assert kinds.count(MismatchKind.DIVERGENT) == 90
    assert kinds.count(MismatchKind.MISSING) == 10


def test_a_point_that_should_be_left_out_and_is_there_is_extra(sides: tuple[Any, Any]) -> None:
    transforms = loaded(SUBSET, HALVED)
    moved(sides, transforms)
    put(sides[1], THEIRS, passage(loaded(HALVED), MAPPING)([a_point(95)]))
    report = check(sides, transforms)
    assert [(each.kind, each.key.id) for each in report.mismatches] == [(MismatchKind.EXTRA, 95)]
    assert not report.is_equal


def test_a_vector_that_was_rounded_otherwise_is_divergent(sides: tuple[Any, Any]) -> None:
    transforms = loaded(HALVED)
    moved(sides, transforms)
    (point,) = passage(transforms, MAPPING)([a_point(3)])
    assert isinstance(point, Point)
    vector = point.image.vectors["v"]
    assert isinstance(vector, Dense)
    other = vector._replace(data=bytes([vector.data[0] ^ 1]) + vector.data[1:])  # the last bit
    put(sides[1], THEIRS, [Point(point.key, Image({"v": other}, point.image.payload))])
    (found,) = check(sides, transforms).mismatches
    assert (found.kind, found.key.id, found.fields) == (MismatchKind.DIVERGENT, 3, ("vectors.v",))


def test_a_point_that_cannot_be_transformed_is_never_equal(sides: tuple[Any, Any]) -> None:
    transforms = loaded(HALVED, FAILING)
    moved(sides, transforms)
    for number in (5, 6):
        point = a_point(number)
        broken = point._replace(image=point.image._replace(payload=b'{"n":"no number"}'))
        put(sides[0], OURS, [broken])
    sides[1].write(THEIRS, [Write(a_point(6).key, None)])
    report = check(sides, transforms)
    assert {(each.kind, each.key.id, each.fields) for each in report.mismatches} == {
        (MismatchKind.DIVERGENT, 5, ("transforms",)),
        (MismatchKind.MISSING, 6, ()),
    }


@pytest.mark.parametrize("dtype", ["<f4", "<f2"])
def test_a_tolerance_holds_for_every_type_of_float(dtype: str) -> None:
    name: Any = {"<f4": "float32", "<f2": "float16"}[dtype]
    ours, theirs = (
        Image({"v": Dense(name, 2, np.array(values, dtype).tobytes())})
        for values in ([1.0, 1.0], [1.0, 1.01])
    )
    assert differing_fields(ours, theirs, {"v": 0.01}) == ()
    assert differing_fields(ours, theirs, {"v": 0.001}) == ("vectors.v",)
    assert differing_fields(ours, theirs, {}) == ("vectors.v",)
