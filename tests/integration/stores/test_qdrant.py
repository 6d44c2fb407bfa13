"""The adapter against Qdrant's engine, and its vendor's own client beside it."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.model import Collection, Dense, Image, Key, Multi, Point, Sparse, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Bounds, Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.stores.identity import hashed_id
from vecferry.testing import engines
from vecferry.testing.qdrant import QdrantServer

RNG = np.random.default_rng(3)
DIM = 16
SCHEMA = (
    VectorSpec("half", dtype="float16", dim=4, metric="l2"),
    VectorSpec("rows", kind="multi", dim=2, metric="dot"),
    VectorSpec("text", dim=DIM, metric="dot", index={"type": "hnsw", "m": 24}),
    VectorSpec("tiny", dtype="uint8", dim=4, metric="l1"),
    VectorSpec("words", kind="sparse", metric="dot"),
)
IDS = [0, 5, -5, "5", "", 2**64 - 1, 2**64, UUID(int=77), "straße", 2**53 + 1]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    url, grpc_url = engines.qdrant()
    opened = open_store(StoreSettings(type="qdrant", url=url, grpc_url=grpc_url))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    url, _ = engines.qdrant()
    opened = QdrantClient(url=url, check_compatibility=False)
    yield opened
    opened.close()


@pytest.fixture
def ref(store) -> Iterator[Ref]:
    name = f"it-{uuid4().hex}"
    store.create(Collection(name, SCHEMA))
    yield Ref(name, "docs")
    store.drop(name)


def image(number: int) -> Image:
    f4 = RNG.standard_normal
    vectors = {
        "half": Dense("float16", 4, f4(4).astype("<f2").tobytes()),
        "rows": Multi("float32", 2, 3, f4(6).astype("<f4").tobytes()),
        "text": Dense("float32", DIM, f4(DIM).astype("<f4").tobytes()),
        "tiny": Dense("uint8", 4, RNG.bytes(4)),
        "words": Sparse(
            np.array([1, 70_000, 2**31 + number], "<u4").tobytes(), f4(3).astype("<f4").tobytes()
        ),
    }
    payload = {
        "number": number,
        "float": 1.0,
        "null": None,
        "empty": "",
        "": "no name",
        "ünï.cöde": ["é", {"deep": [[], {}]}],
        "beyond": [2**63, -(2**70)],
        "_vf_id": "the application's own",
    }
    return Image(vectors, encode_payload(payload))


def points(ids=IDS, namespace: str = "") -> list[Point]:
    return [Point(Key("docs", namespace, one), image(at)) for at, one in enumerate(ids)]


def put(store: Store, ref: Ref, some: list[Point]) -> None:
    assert store.write(ref, [Write(point.key, point.image) for point in some]) == []


def scanned(store: Store, ref: Ref, bounds: Bounds) -> list[Point]:
    return [point for page in store.scan(ref, bounds) for point in page]


def test_every_bit_and_every_value_comes_back(store, ref):
    some = points() + points(namespace="tenant")
    put(store, ref, some)
    assert store.read(ref, [point.key for point in some]) == some
    assert store.count(ref.name) == len(some)
    found = scanned(store, ref, Bounds())
    assert {point.key: point for point in found} == {point.key: point for point in some}
    assert len(found) == len(some)


def test_writing_again_replaces_the_whole_point(store, ref):
    first, second = points([1, 1])
    put(store, ref, [first])
    less = Point(first.key, Image({"text": second.image.vectors["text"]}, b'{"only":1}'))
    put(store, ref, [less])
    assert store.read(ref, [first.key]) == [less]


def test_a_deleted_point_is_absent_and_deleting_it_again_is_fine(store, ref):
    some = points([1, "2", 3])
    put(store, ref, some)
    for _ in range(2):
        store.write(ref, [Write(point.key, None) for point in some[:2]])
    assert store.read(ref, [point.key for point in some]) == [None, None, some[2]]


def test_parts_cover_every_key_each_once_also_those_written_later(store, ref):
    ids = [*range(150), *(uuid4() for _ in range(150)), *(f"text {one}" for one in range(100))]
    some = [Point(Key("docs", "", one), Image({})) for one in ids]
    put(store, ref, some)
    parts = store.plan_chunks(ref.name, 40)
    assert len(parts) == 10
    sizes = [len(scanned(store, ref, part)) for part in parts]
    assert max(sizes) <= 41
    later = [Point(Key("docs", "", one), Image({})) for one in (2**64 - 1, 1_000, uuid4(), "late")]
    put(store, ref, later)
    keys = [point.key for part in parts for point in scanned(store, ref, part)]
    assert len(keys) == len(set(keys))
    assert set(keys) == {point.key for point in some + later}


def test_a_sample_is_of_the_collections_ids(store, ref):
    put(store, ref, [Point(Key("docs", "", one), Image({})) for one in range(50)])
    sample = store._scans._sample(ref.name, 20)
    assert len(set(sample)) == 20
    assert set(sample) <= set(range(50))


def test_the_vendors_client_sees_what_was_written(store, ref, client):
    [point] = points(["text id"])
    put(store, ref, [point])
    native = str(hashed_id(point.key))
    [record] = client.retrieve(ref.name, [native], with_vectors=True)
    text = point.image.vectors["text"]
    assert np.array(record.vector["text"], "<f4").tobytes() == text.data
    assert record.payload["_vf_id"] == "stext id"
    assert record.payload["number"] == 0
    assert "beyond" not in record.payload


def test_what_the_vendors_client_wrote_is_read(store, ref, client):
    words = models.SparseVector(indices=[9, 3], values=[1.5, 2.5])
    nested = {"a": [1, 1.0, None, {"b": 2**53 + 1}], "_vf_id": 12}
    client.upsert(
        ref.name,
        [models.PointStruct(id=2**63, vector={"words": words}, payload=nested)],
        wait=True,
    )
    key = Key("docs", "", 2**63)
    sparse = Sparse(np.array([3, 9], "<u4").tobytes(), np.array([2.5, 1.5], "<f4").tobytes())
    expected = Point(key, Image({"words": sparse}, encode_payload(nested)))
    assert store.read(ref, [key]) == [expected]
    assert scanned(store, ref, Bounds()) == [expected]


def test_the_schema_comes_back(store, ref):
    described = store.describe(ref.name)
    assert [(one.name, one.kind, one.dtype, one.dim, one.metric) for one in described.vectors] == [
        (one.name, one.kind, one.dtype, one.dim, one.metric) for one in SCHEMA
    ]
    text = described.vector("text")
    assert text is not None
    assert text.index["m"] == 24


def test_an_unnamed_vector_has_the_empty_name(store):
    name = f"it-{uuid4().hex}"
    store.create(Collection(name, (VectorSpec("", dim=4, metric="cosine"),)))
    try:
        assert [one.name for one in store.describe(name).vectors] == [""]
        unit = np.array([0, 1, 0, 0], "<f4").tobytes()
        point = Point(Key("docs", "", 1), Image({"": Dense("float32", 4, unit)}))
        put(store, Ref(name, "docs"), [point])
        assert store.read(Ref(name, "docs"), [point.key]) == [point]
        [[hit]] = store.search(Ref(name, "docs"), "", [point.image.vectors[""]], 3)
        assert hit.key == point.key
        assert hit.score == pytest.approx(1.0)
    finally:
        store.drop(name)


@pytest.mark.parametrize("exact", [True, False])
def test_a_search_finds_the_nearest_under_its_own_key(store, ref, exact):
    some = points(["a", "b", 3])
    put(store, ref, some)
    query = some[0].image.vectors["half"]
    [[first, *_]] = store.search(ref, "half", [query], 3, exact=exact)
    assert first.key == some[0].key
    assert first.score == pytest.approx(0.0, abs=1e-3)
    [hits] = store.search(ref, "words", [some[2].image.vectors["words"]], 1, exact=exact)
    assert len(hits) == 1


def test_a_payload_index_is_made_and_described(store):
    name = f"it-{uuid4().hex}"
    options = {"payload_schema": {"title": {"type": "Keyword"}}}
    store.create(Collection(name, (VectorSpec("", dim=4, metric="dot"),), options=options))
    try:
        schema = store.describe(name).options["payload_schema"]
        assert schema["title"]["type"] == "Keyword"
        with pytest.raises(ConfigError, match="exists"):
            store.create(Collection(name, (VectorSpec("", dim=4, metric="dot"),)))
    finally:
        store.drop(name)
        store.drop(name)
    assert name not in store.collections()


def test_a_collection_that_is_not_there(store):
    with pytest.raises(ConfigError, match="no collection"):
        store.describe("it-nowhere")
    ref = Ref("it-nowhere", "docs")
    with pytest.raises(HaltError):
        store.write(ref, [Write(Key("docs", "", 1), None)])
    with pytest.raises(HaltError):
        store.read(ref, [Key("docs", "", 1)])
    with pytest.raises(HaltError):
        list(store.scan(ref, Bounds()))


def read_when_there(store: Store, ref: Ref, keys: list[Key]) -> list[Point | None]:
    """Read once the channel has found the server again, by itself."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return store.read(ref, keys)
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_server_that_dies_and_returns_on_the_same_data(tmp_path: Path):
    with QdrantServer(tmp_path, api_key="right") as server:
        settings = StoreSettings(
            type="qdrant", url=server.url, grpc_url=server.grpc_url, api_key="right"
        )
        store = open_store(settings)
        assert store.version().startswith("Qdrant 1.")
        wrong = open_store(settings.model_copy(update={"api_key": None}))
        with pytest.raises(ConfigError, match="api_key"):
            wrong.version()
        wrong.close()
        store.create(Collection("docs", SCHEMA))
        ref, some = Ref("docs", "docs"), points()
        put(store, ref, some)
        server.kill()
        for _ in range(2):
            with pytest.raises(TransientError):
                store.write(ref, [Write(some[0].key, None)])
        server.start()
        assert read_when_there(store, ref, [point.key for point in some]) == some
        store.close()
