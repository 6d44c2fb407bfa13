import pytest

from vecferry.errors import HaltError
from vecferry.model import Dense, Image, Key, Point, VectorSpec
from vecferry.ports import Ref
from vecferry.stores.identity import hashed_id
from vecferry.stores.qdrant import scan, wire
from vecferry.stores.qdrant.points import fill_id, native_id, read_id

GET = "/qdrant.Points/Get"
REF = Ref("docs", "docs")


@pytest.fixture
def held(server, dense_info):
    """A server that holds what is put into ``server.points`` (native id to payload)."""
    server.collection(dense_info)
    server.points = {}
    server.asked = []

    def get(data: bytes, _context: object) -> bytes:
        request = wire.GetPoints.FromString(data)
        server.asked.append(request)
        reply = wire.GetResponse()
        for message in reversed(request.ids):  # a server may answer in any order
            payload = server.points.get(read_id(message))
            if payload is not None:
                found = reply.result.add()
                fill_id(found.id, read_id(message))
                found.vectors.vector.dense.data = bytes(16)
                for name, value in payload.items():
                    found.payload[name].string_value = value
        return reply.SerializeToString()

    server.answers[GET] = get
    return server


def plain(key: Key) -> Point:
    return Point(key, Image({"": Dense("float32", 4, bytes(16))}))


def test_points_come_in_the_order_of_the_keys_and_absent_ones_as_none(held, store):
    keys = [Key("docs", "", one) for one in (3, 1, 2, 1)]
    held.points = {3: {}, 1: {}}
    three, one = plain(keys[0]), plain(keys[1])
    assert store.read(REF, keys) == [three, one, None, one]


def test_reading_asks_every_replica(held, store):
    store.read(REF, [Key("docs", "", 1)])
    [request] = held.asked
    assert request.read_consistency.WhichOneof("value") == "type"
    assert request.read_consistency.type == 0


def test_no_keys_are_no_request(held, store):
    assert store.read(REF, []) == []
    assert not held.requests


def test_many_keys_are_several_requests(held, store, monkeypatch):
    monkeypatch.setattr(scan, "PAGE_BYTES", 10_000)
    keys = [Key("docs", "", one) for one in range(20)]
    held.points = {one: {} for one in range(20)}
    assert store.read(REF, keys) == [plain(key) for key in keys]
    assert len(held.asked) > 3


def test_a_page_is_small_when_vectors_are_large():
    layout = {"": VectorSpec("", dim=65_536), "m": VectorSpec("m", kind="multi", dim=1_024)}
    assert 1 <= scan.points_a_page(layout) < 20


def test_a_point_that_an_application_rewrote_is_still_the_keys(held, store):
    key = Key("docs", "", "text")
    held.points = {hashed_id(key): {}}
    assert store.read(REF, [key]) == [plain(key)]


def test_two_keys_with_one_id_are_an_error_that_names_both(held, store):
    hashed = Key("docs", "", "text")
    native = Key("docs", "", hashed_id(hashed))
    assert native_id(hashed) == native_id(native)
    held.points = {hashed_id(hashed): {"_vf_id": "stext"}}
    with pytest.raises(HaltError) as raised:
        store.read(REF, [native])
    assert str(hashed) in str(raised.value)
    assert str(native) in str(raised.value)
