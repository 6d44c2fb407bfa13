"""Writing points and reading them back."""

import math
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
import pytest

from vecferry.model import Dense, Image, Key, Point, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Store, Write
from vecferry.testing.subjects import DIM, LOGICAL, Subject, create, dense, kinds, plain, vector_of

AWKWARD_IDS = [
    0,
    1,
    -1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
    "1",
    "-1",
    "",
    " ",
    'a"b\\c',
    "a'b",
    "100%_\n\t",
    "Ünïcödé-日本語-🦀",
    "x" * 512,
    "x" * 511 + "y",
    UUID(int=0),
    UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    "6f9619ff-8b86-d011-b42d-00c04fc964ff",
]

AWKWARD_PAYLOAD = {
    "zero": 0,
    "below 2**53": 2**53 - 1,
    "beyond 2**53": 2**53 + 1,
    "negative": -(2**53) - 1,
    "int64": 2**63 - 1,
    "uint64": 2**64 - 1,
    "beyond 2**64": 2**64 + 5,
    "far below": -(2**63) - 1,
    "float": 0.1,
    "whole float": 3.0,
    "whole int": 3,
    "huge": 1e300,
    "tiny": 5e-324,
    "minus zero": -0.0,
    "true": True,
    "false": False,
    "null": None,
    "empty": "",
    "looks like JSON": '{"a": 1}',
    "looks like a number": "007",
    "text": 'line\nline\ttab "quoted" \\ back 日本語 🦀 \u0000nul',
    "list": [1, 2.0, "three", None, [4, [5]], {"six": 6}],
    "empty list": [],
    "empty object": {},
    "nested": {"a": {"b": {"c": [{"d": None}, {"e": 2**60 + 1}]}}},
    "Ünïcödé 日本語": "name",
    "dots.and spaces": 1,
    "$dollar": 1,
    "": "no name",
    "_vf_like": "the application's own",
    "long": "x" * 5_000,
}


def test_every_kind_of_vector_is_described_and_comes_back_bit_for_bit(store: Store) -> None:
    for spec in kinds(store.capabilities):
        subject = create(store, spec)
        [found] = store.describe(subject.ref.name).vectors
        wanted = (spec.name, spec.kind, spec.dtype, spec.dim)
        assert (found.name, found.kind, found.dtype, found.dim) == wanted
        points = [
            Point(Key(LOGICAL, "", at), Image({spec.name: vector_of(spec, at)}))
            for at in range(1, 8)
        ]
        assert subject.put(points) == []
        assert subject.get(*(point.key for point in points)) == points, spec
        scanned = [p for part in subject.chunks(100) for p in subject.points_of(part)]
        assert sorted(scanned) == points, spec
        store.drop(subject.ref.name)


def test_cosine_keeps_the_bits_or_at_least_the_direction(store: Store) -> None:
    if "cosine" not in store.capabilities.metrics:
        return
    subject = create(store, plain(store.capabilities, "cosine", dim=384))
    points = [
        Point(Key(LOGICAL, "", at), Image({subject.vector: dense(384, at)})) for at in range(20)
    ]
    assert subject.put(points) == []
    for point, found in zip(points, subject.get(*(p.key for p in points)), strict=True):
        assert found is not None
        if store.capabilities.normalises:
            a, b = (direction(p.image.vectors[subject.vector]) for p in (point, found))
            assert np.abs(a - b).max() < 1e-6
        else:
            assert found == point
    store.drop(subject.ref.name)


def direction(vector: object) -> np.ndarray:
    assert isinstance(vector, Dense)
    values = np.frombuffer(vector.data, "<f4").astype(np.float64)
    return values / math.sqrt(values @ values)


def test_ids_of_every_type_are_distinct_and_come_back_with_their_type(shared: Subject) -> None:
    points = [shared.point(id, str(at)) for at, id in enumerate(AWKWARD_IDS)]
    refused = {failure.key for failure in shared.put(points)}
    assert not refused
    found = shared.get(*(point.key for point in points))
    assert found == points
    types = [type(point.key.id) for point in found if point]
    assert types == [type(id) for id in AWKWARD_IDS]


def test_ids_come_back_from_a_scan_with_their_type(alone: Subject) -> None:
    points = [alone.point(id, str(at)) for at, id in enumerate(AWKWARD_IDS)]
    assert alone.put(points) == []
    found = {p.key: p for part in alone.chunks(4) for p in alone.points_of(part)}
    assert found == {point.key: point for point in points}
    assert {(type(key.id), key.id) for key in found} == {(type(id), id) for id in AWKWARD_IDS}
    for part in alone.chunks(1_000):
        order = [point.key for point in alone.points_of(part)]
        for at in range(0, len(order), 3):
            rest = [point.key for point in alone.points_of(part, after=order[at])]
            assert rest == order[at + 1 :], order[at]


def test_a_collection_of_integers_holds_them_and_nothing_that_would_collide(
    integers: Subject,
) -> None:
    points = [integers.point(id) for id in (0, 5, -5, 2**53 + 1, 2**62, -(2**62))]
    assert integers.put(points) == []
    others = [
        integers.point("5", "a text"),
        integers.point(5, "elsewhere", namespace="other"),
        integers.point(UUID(int=5), "a UUID"),
        integers.point(2**64 + 5, "too large"),
    ]
    refused = {failure.key for failure in integers.put(others)}
    wanted = [None if point.key in refused else point for point in others]
    assert integers.get(*(point.key for point in others)) == wanted
    assert integers.get(*(point.key for point in points)) == points
    assert integers.delete(point.key for point in others if point.key not in refused) == []
    assert integers.get(*(point.key for point in points)) == points


def test_the_same_id_in_two_namespaces_is_two_points(shared: Subject) -> None:
    names = ["", "red", "blue", "Grün 日本"]
    points = [shared.point(77, f"in {name}", namespace=name) for name in names]
    assert shared.put(points) == []
    assert shared.get(*(point.key for point in points)) == points
    assert shared.delete([points[1].key]) == []
    assert shared.get(*(p.key for p in points)) == [points[0], None, points[2], points[3]]


def test_a_payload_comes_back_as_it_was(shared: Subject) -> None:
    image = shared.point("payload").image._replace(payload=encode_payload(AWKWARD_PAYLOAD))
    point = Point(Key(LOGICAL, "", "payload"), image)
    assert shared.put([point]) == []
    [found] = shared.get(point.key)
    assert found is not None
    assert found.image.payload == point.image.payload


def test_each_awkward_payload_field_comes_back_alone(shared: Subject) -> None:
    points = []
    for at, (name, value) in enumerate(AWKWARD_PAYLOAD.items()):
        payload = encode_payload({name: value})
        image = shared.point(f"field {at}").image._replace(payload=payload)
        points.append(Point(Key(LOGICAL, "", f"field {at}"), image))
    assert shared.put(points) == []
    found = shared.get(*(point.key for point in points))
    for point, other in zip(points, found, strict=True):
        assert other is not None
        assert other.image.payload == point.image.payload


def test_an_empty_payload_stays_empty(shared: Subject) -> None:
    point = Point(Key(LOGICAL, "", "no payload"), shared.point(1).image._replace(payload=b"{}"))
    assert shared.put([point]) == []
    assert shared.get(point.key) == [point]


def test_an_image_replaces_the_whole_point(shared: Subject) -> None:
    old = shared.point("replaced", "old")
    old = old._replace(image=old.image._replace(payload=b'{"left":"over","text":"old"}'))
    new = shared.point("replaced", "new", seed=1)
    assert shared.put([old]) == []
    assert shared.put([new]) == []
    assert shared.get(new.key) == [new]


def test_an_image_without_a_vector_is_refused_or_leaves_none_behind(store: Store) -> None:
    if not store.capabilities.several_vectors:
        return
    specs = [VectorSpec(name, dim=DIM, metric="l2") for name in ("body", "title")]
    subject = create(store, *specs)
    both = Point(Key(LOGICAL, "", 5), Image({spec.name: dense(DIM, spec.name) for spec in specs}))
    one = both._replace(image=Image({"body": dense(DIM, "other")}))
    assert subject.put([both]) == []
    assert subject.get(both.key) == [both]
    refused = subject.put([one])
    assert [failure.key for failure in refused] in ([], [both.key])
    assert subject.get(both.key) == [both if refused else one]
    store.drop(subject.ref.name)


def test_many_threads_may_write_and_read_at_once(shared: Subject) -> None:
    def work(thread: int) -> bool:
        points = [shared.point(f"thread {thread} {n}") for n in range(20)]
        return shared.put(points) == [] and shared.get(*(p.key for p in points)) == points

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_a_delete_removes_the_point_and_an_absent_one_is_fine(shared: Subject) -> None:
    point = shared.point("deleted")
    shared.put([point])
    assert shared.delete([point.key]) == []
    assert shared.get(point.key) == [None]
    assert shared.delete([point.key, Key(LOGICAL, "nowhere", "never was")]) == []


def test_one_request_can_hold_upserts_and_deletes(shared: Subject) -> None:
    old, new, gone = (shared.point(f"mixed {n}", str(n)) for n in range(3))
    shared.put([old, gone])
    changed = shared.point("mixed 0", "changed", seed=1)
    writes = [Write(changed.key, changed.image), Write(gone.key, None), Write(new.key, new.image)]
    assert shared.store.write(shared.ref, writes) == []
    assert shared.get(old.key, new.key, gone.key) == [changed, new, None]


def test_points_are_read_in_the_order_that_was_asked_for(shared: Subject) -> None:
    points = [shared.point(1_000 + n, str(n)) for n in range(10)]
    shared.put(points)
    absent = Key(LOGICAL, "", 999_999)
    keys = [points[7].key, absent, points[0].key, points[3].key, absent]
    assert shared.get(*keys) == [points[7], None, points[0], points[3], None]
    assert shared.get(points[3].key, points[3].key) == [points[3], points[3]]


def test_nothing_is_written_or_read_when_nothing_is_asked_for(shared: Subject) -> None:
    assert shared.store.write(shared.ref, []) == []
    assert shared.get() == []


def test_a_batch_is_sent_in_requests_that_fit(store: Store) -> None:
    subject = create(store, plain(store.capabilities, dim=768))
    rows = np.random.default_rng(3).standard_normal((3_000, 768)).astype("<f4")
    points = [
        Point(
            Key(LOGICAL, "", at),
            Image({subject.vector: Dense("float32", 768, row.tobytes())}, b'{"n":%d}' % at),
        )
        for at, row in enumerate(rows)
    ]
    assert subject.put(points) == []
    assert store.count(subject.ref.name) == 3_000
    assert subject.get(*(p.key for p in points[::250])) == points[::250]
    store.drop(subject.ref.name)


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=str)
def test_a_vector_that_is_not_finite_is_refused_alone(shared: Subject, value: float) -> None:
    good = [shared.point(f"beside {value} {n}") for n in range(4)]
    bad = shared.point(f"bad {value}")
    values = np.frombuffer(dense(DIM, 1).data, "<f4").copy()
    values[3] = value
    vector = Dense("float32", DIM, values.tobytes())
    bad = bad._replace(image=bad.image._replace(vectors={shared.vector: vector}))
    failures = shared.put([*good[:2], bad, *good[2:]])
    assert [failure.key for failure in failures] == [bad.key]
    assert failures[0].reason
    assert shared.get(*(p.key for p in (*good, bad))) == [*good, None]


def test_a_vector_of_another_dimension_is_refused_alone(shared: Subject) -> None:
    good, bad = shared.point("right dimension"), shared.point("wrong dimension")
    bad = bad._replace(image=bad.image._replace(vectors={shared.vector: dense(DIM + 1, 1)}))
    failures = shared.put([bad, good])
    assert [failure.key for failure in failures] == [bad.key]
    assert shared.get(good.key, bad.key) == [good, None]
