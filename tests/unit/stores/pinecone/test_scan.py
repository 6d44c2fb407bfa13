import pytest

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.stores.pinecone import PineconeStore
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject


def test_an_id_that_was_listed_and_is_gone_is_no_error(
    subject: Subject, other: PineconeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [subject.point(f"id {n:03}") for n in range(150)]
    subject.put(points)
    from vecferry.stores.pinecone.scan import Scans

    listed = Scans._listed

    def then_deleted(self: Scans, name: str, namespace: str, prefix: str) -> object:
        ids = list(listed(self, name, namespace, prefix))
        subject.delete([points[7].key])
        yield from ids

    monkeypatch.setattr(Scans, "_listed", then_deleted)
    [part] = subject.chunks(1_000)
    found = list(subject.points_of(part))
    assert found == [point for point in points if point is not points[7]]


def test_ids_out_of_order_stop_the_scan(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    from vecferry.stores.pinecone.scan import Scans

    subject.put([subject.point("a")])
    monkeypatch.setattr(Scans, "_listed", lambda *_: iter(["b", "a"]))
    [part] = subject.chunks(1_000)
    with pytest.raises(HaltError, match="not in their order"):
        list(subject.points_of(part))


def test_small_namespaces_share_a_part_and_large_ones_are_cut(subject: Subject) -> None:
    sizes = {"a": 10, "b": 10, "c": 95, "d": 5, "": 10}
    points = [
        subject.point(f"id {n:03}", namespace=name)
        for name, size in sizes.items()
        for n in range(size)
    ]
    assert subject.put(points) == []
    bounds = subject.chunks(30)
    found = [list(subject.points_of(part)) for part in bounds]
    assert [len(part) for part in found] == [30, 30, 30, 30, 10]
    assert sorted(map(str, (point.key for part in found for point in part))) == sorted(
        str(point.key) for point in points
    )
    assert {point.key.namespace for point in found[0]} == {"", "a", "b"}


def test_a_scan_costs_a_request_for_each_hundred_ids_and_each_two_hundred_points(
    server: PineconeServer, subject: Subject
) -> None:
    subject.put(subject.point(f"id {n:04}") for n in range(1_000))
    [part] = subject.chunks(2_000)
    server.script()
    assert len(list(subject.points_of(part))) == 1_000
    counts = server.counts()
    assert counts["list"] == 10
    assert counts["fetch"] == 5


def test_a_scan_that_goes_on_lists_little_again(server: PineconeServer, subject: Subject) -> None:
    subject.put(subject.point(f"{n:04}") for n in range(1_000))
    [part] = subject.chunks(2_000)
    server.script()
    rest = list(subject.points_of(part, after=Key("docs", "", "0899")))
    assert [point.key.id for point in rest] == [f"{n:04}" for n in range(900, 1_000)]
    assert server.counts()["fetch"] == 1


def test_a_scan_sees_what_this_store_wrote_before(server: PineconeServer, subject: Subject) -> None:
    server.script(lag_s=0.3)
    points: list[Point] = [subject.point(f"id {n}", namespace="late") for n in range(3)]
    subject.put(points)
    assert subject.scan(subject.chunks(10)) == dict.fromkeys((p.key for p in points), 1)
    assert subject.store.count(subject.ref.name) == 3
    subject.delete([points[0].key])
    assert subject.store.count(subject.ref.name) == 2
