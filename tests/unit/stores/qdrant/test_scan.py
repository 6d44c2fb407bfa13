from uuid import UUID

import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import HaltError
from vecferry.model import Key
from vecferry.ports import Bounds, Ref
from vecferry.stores.qdrant import scan, wire
from vecferry.stores.qdrant.points import fill_id, read_id
from vecferry.stores.qdrant.sequence import place

SCROLL = "/qdrant.Points/Scroll"
IDS = [*range(10), 2**64 - 1, *(UUID(int=one) for one in (0, 5, 6, 2**128 - 1))]
REF = Ref("docs", "docs")


def point(identifier: object, size: int = 4) -> object:
    message = wire.RetrievedPoint()
    fill_id(message.id, identifier)  # type: ignore[arg-type]
    message.vectors.vector.dense.data = bytes(4 * size)
    return message


@pytest.fixture
def full(server, dense_info):
    """A server of IDS that gives short pages without saying where to go on."""
    server.collection(dense_info)
    server.page = 3
    server.asked = []

    def scroll(data: bytes, _context: object) -> bytes:
        request = wire.ScrollPoints.FromString(data)
        server.asked.append(request)
        start = read_id(request.offset) if request.HasField("offset") else 0
        found = [one for one in IDS if place(one) >= place(start)]
        reply = wire.ScrollResponse()
        for one in found[: min(server.page, request.limit)]:
            reply.result.append(point(one))
        return reply.SerializeToString()

    server.answers[SCROLL] = scroll
    server.reply("/qdrant.Points/Count", wire.CountResponse(result={"count": len(IDS)}))
    return server


def scanned(store, bounds: Bounds = Bounds()) -> list[Key]:  # noqa: B008 - a constant
    return [point.key for page in store.scan(REF, bounds) for point in page]


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_short_pages_without_an_offset_do_not_end_a_scan(full, store, page):
    full.page = page
    assert scanned(store) == [Key("docs", "", one) for one in IDS]


def test_a_scan_asks_for_vectors_and_payload(full, store):
    scanned(store)
    assert all(one.with_vectors.enable and one.with_payload.enable for one in full.asked)


@pytest.mark.parametrize("points", [1, 2, 4, 7, 100])
def test_the_parts_together_read_every_point_once(full, store, points):
    parts = store.plan_chunks("docs", points)
    assert len(parts) == -(-len(IDS) // points)
    assert [key for part in parts for key in scanned(store, part)] == [
        Key("docs", "", one) for one in IDS
    ]


def test_planning_reads_ids_alone(full, store):
    store.plan_chunks("docs", 4)
    assert not any(one.with_vectors.enable or one.with_payload.enable for one in full.asked)
    assert full.asked[0].with_vectors.HasField("enable")


def test_a_part_stops_at_its_end(full, store):
    part = Bounds("", "i2", "i4")
    assert scanned(store, part) == [Key("docs", "", 2), Key("docs", "", 3)]
    assert len(full.asked) == 1, "the page passed the end: nothing is asked beyond it"


def test_a_part_may_end_among_the_uuids(full, store):
    keys = scanned(store, Bounds("", "i9", f"u{UUID(int=6)}"))
    assert [key.id for key in keys] == [9, 2**64 - 1, UUID(int=0), UUID(int=5)]


@pytest.mark.parametrize("at", range(len(IDS)))
def test_a_scan_goes_on_behind_any_key(full, store, at):
    after = Key("docs", "", IDS[at])
    keys = [one.key.id for page in store.scan(REF, Bounds(), after=after) for one in page]
    assert keys == IDS[at + 1 :]


def test_behind_the_last_key_of_a_part_is_nothing(full, store):
    part, after = Bounds("", "i2", "i4"), Key("docs", "", 3)
    assert list(store.scan(REF, part, after=after)) == []
    assert not full.asked


def test_an_empty_collection_is_one_part(full, store):
    full.reply("/qdrant.Points/Count", wire.CountResponse(result={"count": 0}))
    assert store.plan_chunks("docs", 10) == [Bounds()]


def test_a_large_collection_is_cut_by_a_sample(full, store, monkeypatch):
    monkeypatch.setattr(scan, "_WALK_MAX", 5)
    reply = wire.QueryResponse()
    for one in IDS:
        fill_id(reply.result.add().id, one)
    full.reply("/qdrant.Points/Query", reply)
    parts = store.plan_chunks("docs", 4)
    assert len(parts) == 4
    assert [key.id for part in parts for key in scanned(store, part)] == IDS
    [request] = full.of("/qdrant.Points/Query")
    assert qdrant.QueryPoints.FromString(request).query.WhichOneof("variant") == "sample"


def test_pages_are_sized_in_bytes(full, store, monkeypatch):
    monkeypatch.setattr(scan, "PAGE_BYTES", 200)
    scanned(store)
    assert full.asked[0].limit == scan._FIRST_PAGE
    assert 1 < full.asked[-1].limit < 10


def test_a_point_larger_than_a_page_is_read_alone(full, store, monkeypatch):
    monkeypatch.setattr(scan, "PAGE_BYTES", 1)
    assert scanned(store) == [Key("docs", "", one) for one in IDS]
    assert full.asked[-1].limit == 1


def test_a_collection_made_anew_with_other_dimensions_halts_the_scan(full, store):
    reply = wire.ScrollResponse()
    reply.result.append(point(1, size=3))
    full.reply(SCROLL, reply)
    with pytest.raises(HaltError, match="made anew"):
        scanned(store)
