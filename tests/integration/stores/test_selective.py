"""Reading less than everything, on the engines that can."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Bounds, Ref, SelectiveScanPart, Since, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines

SPEC = VectorSpec("v", dim=4, metric="l2", index={"type": "hnsw", "m": 8, "ef_construct": 64})
ENGINES = ["qdrant", pytest.param("milvus", marks=pytest.mark.milvus), "milvus_lite"]
AT = 1_700_000_000


@pytest.fixture(scope="module", params=ENGINES)
def store(request):
    address = getattr(engines, request.param)()
    if request.param == "qdrant":
        settings = StoreSettings(type="qdrant", url=address[0], grpc_url=address[1])
    else:
        settings = StoreSettings(type="milvus", url=address)
    opened = open_store(settings)
    opened.version()
    yield opened
    opened.close()


@pytest.fixture
def ref(store):
    made = Ref(f"t_{uuid4().hex}", "docs")
    yield made
    store.drop(made.name)


def write(one: Any, namespace: str = "", **payload: Any) -> Write:
    image = Image({"v": Dense("float32", 4, b"\0\0\x80\x3f" * 4)}, encode_payload(payload))
    return Write(Key("docs", namespace, one), image)


def since(field: str = "at", seconds: int = AT) -> Since:
    return Since(field, seconds, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def found(store, ref, asked: Since, after: Key | None = None) -> set[Any]:
    pages = store.scan_since(ref, Bounds(), asked, after=after)
    return {point.key.id for page in pages for point in page}


def test_every_such_store_says_that_it_can(store):
    assert isinstance(store, SelectiveScanPart)


def test_keys_are_listed_with_their_types_and_namespaces(store, ref):
    store.create(Collection(ref.name, (SPEC,)))
    ids = [0, -5, 2**63, "1", 'a"b', "", UUID(int=5)]
    writes = [write(one, "ns" if at % 2 else "", text="x") for at, one in enumerate(ids)]
    assert store.write(ref, writes) == []
    listed = [
        key
        for part in store.plan_chunks(ref.name, 3)
        for page in store.scan_keys(ref, part)
        for key in page
    ]
    assert sorted(map(str, listed)) == sorted(str(one.key) for one in writes)
    assert set(listed) == {one.key for one in writes}


def test_a_listing_goes_on_behind_a_key(store, ref):
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"})))
    store.write(ref, [write(one) for one in range(1, 30)])
    pages = store.scan_keys(ref, Bounds(), after=Key("docs", "", 12))
    assert [key.id for page in pages for key in page] == list(range(13, 30))


def test_what_is_newer_is_read_and_nothing_that_could_be_is_left_out(store, ref):
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"})))
    store.write(
        ref,
        [
            write(1, at=AT - 1),
            write(2, at=AT),
            write(3, at=AT + 0.5),
            write(4, at="2023-11-14T22:13:20Z"),
            write(5, at="2023-11-14T23:13:20.25+01:00"),
            write(6, at="2023-11-14T22:13:19Z"),
            write(7, other=1),
            write(8, at=None),
        ],
    )
    seen = found(store, ref, since())
    assert seen >= {2, 3, 4, 5, 7, 8}
    if "Qdrant" in store.version() or "qdrant" in store.version():
        assert not seen & {1, 6}


@pytest.mark.parametrize("store", ENGINES[1:], indirect=True)
def test_a_number_of_the_schema_is_compared_in_milvus(store, ref):
    fields = [{"name": "at", "type": "Int64"}, {"name": "d", "type": "Double"}]
    options = {"milvus": {"primary_key": "pk", "fields": fields}}
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"}), options=options))
    store.write(ref, [write(one, at=AT + one, d=float(AT - one)) for one in range(-5, 5)])
    assert found(store, ref, since()) == set(range(5))
    assert found(store, ref, since("d")) == set(range(-5, 1))
    assert found(store, ref, since(), Key("docs", "", 2)) == {3, 4}
    assert len(found(store, ref, since("other"))) == 10
    assert len(found(store, ref, since()._replace(number=-(2**70)))) == 10


@pytest.mark.parametrize("store", ENGINES[:1], indirect=True)
def test_objects_are_gone_into_in_qdrant(store, ref):
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"})))
    store.write(ref, [write(one, meta={"at": AT + one}) for one in range(-5, 5)])
    assert found(store, ref, since("meta.at")) == set(range(5))


def test_parts_and_pages_read_each_new_point_once(store, ref):
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"})))
    store.write(ref, [write(one, at=AT + one % 2 - 1) for one in range(400)])
    read = [
        point.key.id
        for part in store.plan_chunks(ref.name, 150)
        for page in store.scan_since(ref, part, since())
        for point in page
    ]
    assert len(read) == len(set(read))
    assert set(range(1, 400, 2)) <= set(read)
