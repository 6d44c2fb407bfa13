"""Reading everything, and finding what is near."""

from uuid import UUID

import numpy as np

from vecferry.model import Dense, Image, Key, Point
from vecferry.ports import Store
from vecferry.testing.subjects import DIM, LOGICAL, Subject, create, plain

EARLIER = [-(10**12), 0, "", "A", UUID(int=1)]
LATER = [10**12, 2**63 - 1, "zzz", "日本", UUID(int=2**128 - 1)]


DISTANCES = {
    "l2": lambda rows, query: ((rows - query) ** 2).sum(axis=1),
    "l1": lambda rows, query: np.abs(rows - query).sum(axis=1),
    "dot": lambda rows, query: -(rows @ query),
    "cosine": lambda rows, query: -(rows @ query) / np.sqrt((rows**2).sum(axis=1)),
}


def test_chunks_return_every_key_exactly_once(alone: Subject) -> None:
    ids: list[int | str] = [*range(100, 350), *(f"id {n}" for n in range(150))]
    points = [alone.point(id) for id in ids]
    points += [alone.point(id, namespace="other") for id in range(100, 150)]
    assert alone.put(points) == []
    wanted = dict.fromkeys((point.key for point in points), 1)
    for size in (90, 10_000):
        bounds = alone.chunks(size)
        assert alone.scan(bounds) == wanted
        assert len(set(bounds)) == len(bounds)
    assert len(alone.chunks(90)) > 1, "or nothing can run in parallel"


def test_keys_that_come_after_planning_lie_in_exactly_one_chunk(alone: Subject) -> None:
    old = [alone.point(n) for n in range(1_000, 1_200)]
    alone.put(old)
    bounds = alone.chunks(30)
    new = [alone.point(id, namespace=ns) for id in EARLIER + LATER for ns in ("", "new")]
    assert alone.put(new) == []
    assert alone.scan(bounds) == dict.fromkeys((point.key for point in (*old, *new)), 1)


def test_chunks_of_integers_cover_them_all_and_what_comes(integers: Subject) -> None:
    old = [integers.point(n) for n in range(-100, 300)]
    assert integers.put(old) == []
    bounds = integers.chunks(60)
    assert len(bounds) > 1
    assert integers.scan(bounds) == dict.fromkeys((point.key for point in old), 1)
    extremes = (integers.store.capabilities.int_min, integers.store.capabilities.int_max)
    new = [integers.point(id) for id in (*extremes, 10**12, 301)]
    assert integers.put(new) == []
    assert integers.scan(bounds) == dict.fromkeys((point.key for point in (*old, *new)), 1)


def test_bounds_of_an_empty_collection_cover_what_comes(alone: Subject) -> None:
    bounds = alone.chunks(10)
    new = [alone.point(id) for id in EARLIER + LATER]
    assert alone.put(new) == []
    assert alone.scan(bounds) == dict.fromkeys((point.key for point in new), 1)


def test_a_key_that_exists_throughout_is_found_among_writes(alone: Subject) -> None:
    """Others are written and deleted on both sides of the cursor, at every page."""
    stay = [alone.point(n) for n in range(0, 4_000, 2)]
    go = [alone.point(n) for n in range(1, 600, 2)]
    for start in range(0, 2_000, 1_000):
        alone.put(stay[start : start + 1_000])
    alone.put(go)
    seen: set[Key] = set()
    for part in alone.chunks(1_500):
        for at, page in enumerate(alone.store.scan(alone.ref, part)):
            seen.update(point.key for point in page)
            alone.delete(point.key for point in go[at * 20 : at * 20 + 20])
            alone.put([alone.point(n) for n in (10_001 + at, -1 - at, 601 + 2 * at)])
            alone.put([alone.point(n, "changed") for n in range(2 * at, 4_000, 1_000)])
    assert {point.key for point in stay} <= seen


def test_a_scan_goes_on_behind_a_key(alone: Subject) -> None:
    points = [alone.point(n) for n in range(1_500)]
    for start in range(0, 1_500, 500):
        alone.put(points[start : start + 500])
    [*_, part] = alone.chunks(1_000)
    pages = [[point.key for point in page] for page in alone.store.scan(alone.ref, part)]
    for at, page in enumerate(pages):
        rest = [point.key for point in alone.points_of(part, after=page[-1])]
        assert rest == [key for later in pages[at + 1 :] for key in later]


def test_a_count_is_exact(store: Store, alone: Subject) -> None:
    points = [alone.point(n) for n in range(30)]
    alone.put(points)
    alone.put([alone.point(3, namespace="other")])
    alone.put(points[:10])
    alone.delete(point.key for point in points[5:8])
    assert store.count(alone.ref.name) == 28


def test_every_metric_is_read_back_and_searched_in_its_exact_order(store: Store) -> None:
    rows = np.random.default_rng(5).standard_normal((200, DIM)).astype("<f4")
    queries = rows[:3] + np.float32(0.01)
    asked = [Dense("float32", DIM, query.tobytes()) for query in queries]
    for metric in sorted(store.capabilities.metrics & DISTANCES.keys()):
        subject = create(store, plain(store.capabilities, metric))
        assert store.describe(subject.ref.name).vectors[0].metric == metric
        subject.put(
            Point(
                Key(LOGICAL, "", n), Image({subject.vector: Dense("float32", DIM, row.tobytes())})
            )
            for n, row in enumerate(rows)
        )
        found = store.search(subject.ref, subject.vector, asked, 10, exact=True)
        for query, hits in zip(queries, found, strict=True):
            order = np.argsort(DISTANCES[metric](rows.astype("f8"), query.astype("f8")))[:10]
            assert [hit.key.id for hit in hits] == order.tolist(), metric
        assert len(store.search(subject.ref, subject.vector, asked[:1], 1_000)[0]) == 200
        store.drop(subject.ref.name)
