"""The Milvus store on a real Milvus 2.3.5 and on Milvus Lite."""

import time
from uuid import UUID, uuid4

import numpy as np
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import ConfigError, TransientError
from vecferry.model import Collection, Dense, Image, Key, Sparse, VectorSpec
from vecferry.payload import decode_payload, encode_payload
from vecferry.ports import Bounds, Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.stores.milvus.creation import load
from vecferry.testing import engines
from vecferry.testing.milvus import MilvusLite

SPEC = VectorSpec("v", dim=8, metric="cosine", index={"type": "hnsw", "m": 8, "ef_construct": 64})
ALL_IDS = frozenset({"int", "uuid", "str"})
PAYLOADS = [
    {},
    {
        "null": None,
        "empty": "",
        "large": 2**53 + 1,
        "huge": 2**70,
        "float": 1.0,
        "nested": {"ünïcode": [1, 2.5, {"x": None}]},
        "a.b": 1,
        "": 2,
        "_vf_id": "mine",
        "id": 3,
        "v": 4,
        "$meta": 5,
    },
]
rng = np.random.default_rng(7)


@pytest.fixture(
    scope="module", params=[pytest.param("milvus", marks=pytest.mark.milvus), "milvus_lite"]
)
def store(request):
    opened = open_store(StoreSettings(type="milvus", url=getattr(engines, request.param)()))
    opened.version()
    yield opened
    opened.close()


@pytest.fixture
def ref(store):
    made = Ref(f"t_{uuid4().hex}", "docs")
    yield made
    store.drop(made.name)


def vector(dim=8):
    return Dense("float32", dim, rng.standard_normal(dim).astype("<f4").tobytes())


def write(id, payload=None, namespace=""):
    return Write(Key("docs", namespace, id), Image({"v": vector()}, encode_payload(payload or {})))


def make(store, ref, id_types=ALL_IDS):
    store.create(Collection(ref.name, (SPEC,), id_types))


def scanned(store, ref, chunks):
    return [point for chunk in chunks for page in store.scan(ref, chunk) for point in page]


def held(writes):
    return {write.key: write.image for write in writes}


IDS = [
    *(0, -5, 2**53 + 1, 2**63 - 2, -(2**63), 2**70, "", "1", 'a"b', "a\\b", 'a\\"b', "a\nb\r\t"),
    *("q'q", "ü", "日本", "😀", "%_{x}", "\x01", '"] or true', UUID(int=5), UUID(int=2**128 - 1)),
]


def test_every_id_and_payload_comes_back_bit_for_bit(store, ref):
    make(store, ref)
    writes = [write(id, PAYLOADS[at % 2], "ns 1" if at % 3 else "") for at, id in enumerate(IDS)]
    assert store.write(ref, writes) == []
    assert [(point.key, point.image) for point in store.read(ref, [w.key for w in writes])] == [
        (one.key, one.image) for one in writes
    ]
    assert store.count(ref.name) == len(IDS)
    for points in (1, 4, 1_000):
        found = scanned(store, ref, store.plan_chunks(ref.name, points))
        assert {point.key: point.image for point in found} == held(writes)
        assert len(found) == len(IDS)


def test_a_scan_goes_on_behind_a_key_that_needs_escaping(store, ref):
    make(store, ref)
    writes = [write(id) for id in ('a"', 'a"b', "a\\", "b", 'c"] or id > "')]
    store.write(ref, writes)
    order = sorted(write.key.id for write in writes)
    for at, id in enumerate(order):
        pages = store.scan(ref, Bounds(), after=Key("docs", "", id))
        assert [point.key.id for page in pages for point in page] == order[at + 1 :]


def test_integers_are_kept_as_they_are(store, ref):
    make(store, ref, frozenset({"int"}))
    writes = [write(id) for id in (0, -1, 2**53 + 1, 2**63 - 2, -(2**63) + 1)]
    assert store.write(ref, writes) == []
    assert {p.key: p.image for p in scanned(store, ref, [Bounds()])} == held(writes)
    assert store.describe(ref.name).id_types == {"int"}


def test_an_image_replaces_the_whole_point(store, ref):
    make(store, ref)
    store.write(ref, [write("a", {"old": 1, "kept": 1}), write("b", {"old": 1})])
    again = write("a", {"kept": 2})
    store.write(ref, [again, Write(Key("docs", "", "b"), None), Write(Key("docs", "", "c"), None)])
    first, second = store.read(ref, [again.key, Key("docs", "", "b")])
    assert first.image == again.image
    assert second is None
    assert store.count(ref.name) == 1


def test_a_batch_that_is_repeated_changes_nothing(store, ref):
    make(store, ref)
    writes = [write(f"k{at}", {"n": at}) for at in range(100)]
    for _ in range(3):
        assert store.write(ref, writes) == []
    assert store.count(ref.name) == 100
    assert {p.key: p.image for p in scanned(store, ref, [Bounds()])} == held(writes)


def test_the_same_id_in_two_namespaces_is_two_points(store, ref):
    make(store, ref)
    writes = [write("1", {"n": n}, namespace) for n, namespace in enumerate(("", "a", "b"))]
    assert store.write(ref, writes) == []
    assert [p.image for p in store.read(ref, [w.key for w in writes])] == [w.image for w in writes]
    store.write(ref, [Write(writes[1].key, None)])
    assert [p is None for p in store.read(ref, [w.key for w in writes])] == [False, True, False]


def test_a_scan_of_many_pages_misses_nothing(store, ref):
    make(store, ref, frozenset({"int"}))
    dim = SPEC.dim
    ids = [int(id) for id in rng.permutation(5_000) * 7 - 9_000]
    rows = rng.standard_normal((len(ids), dim)).astype("<f4")
    writes = [
        Write(Key("docs", "", id), Image({"v": Dense("float32", dim, row.tobytes())}))
        for id, row in zip(ids, rows, strict=True)
    ]
    for start in range(0, len(ids), 1_000):
        assert store.write(ref, writes[start : start + 1_000]) == []
    chunks = store.plan_chunks(ref.name, 1_500)
    found = scanned(store, ref, chunks)
    assert len(found) == len(ids)
    assert {point.key: point.image for point in found} == held(writes)


def test_what_cannot_be_held_is_refused_by_key_and_the_others_land(store, ref):
    make(store, ref)
    bad = Dense("float32", 8, np.full(8, np.nan, "<f4").tobytes())
    refused = [
        Write(Key("docs", "", "nan"), Image({"v": bad})),
        Write(Key("docs", "", "dim"), Image({"v": vector(7)})),
        write("large", {"text": "x" * 70_000}),
        write("ü" * 300),
    ]
    failures = store.write(ref, [*refused, write("good")])
    assert [failure.key for failure in failures if failure.key.id != "nan"] == [
        one.key for one in refused[1:]
    ]
    assert Key("docs", "", "nan") in {failure.key for failure in failures}
    assert store.count(ref.name) == 1


def test_the_schema_is_what_was_asked_for(store, ref):
    make(store, ref)
    found = store.describe(ref.name)
    assert (found.vectors[0].name, found.vectors[0].dim) == ("v", 8)
    assert (found.vectors[0].metric, found.vectors[0].dtype) == ("cosine", "float32")
    assert found.vectors[0].index["index_type"] == "HNSW"
    assert found.id_bytes_max == 512
    assert ref.name in store.collections()
    with pytest.raises(ConfigError, match="already"):
        make(store, ref)
    with pytest.raises(ConfigError, match=f"did you mean '{ref.name}'"):
        store.describe(ref.name + "x")


def test_a_search_finds_the_nearest_with_their_own_keys(store, ref):
    make(store, ref)
    writes = [write(id, namespace="n" if id == 7 else "") for id in ("a", 7, UUID(int=9), "b", "c")]
    store.write(ref, writes)
    queries = [one.image.vectors["v"] for one in writes[:3]]
    hits = store.search(ref, "v", queries, 2)
    assert [found[0].key for found in hits] == [one.key for one in writes[:3]]
    assert [len(found) for found in hits] == [2, 2, 2]
    assert hits[0][0].score == pytest.approx(1, abs=1e-5)
    assert hits[0][0].score >= hits[0][1].score


def test_a_collection_with_fields_of_its_own_comes_back_whole(store, ref):
    fields = [
        {"name": "n", "type": "Int64"},
        {"name": "small", "type": "Int8"},
        {"name": "flag", "type": "Bool"},
        {"name": "f", "type": "Float"},
        {"name": "d", "type": "Double"},
        {"name": "t", "type": "VarChar", "max_length": 10},
        {"name": "j", "type": "JSON"},
        {"name": "tags", "type": "Array", "element": "VarChar", "max_length": 5, "max_capacity": 3},
    ]
    options = {"milvus": {"primary_key": "pk", "fields": fields}}
    store.create(Collection(ref.name, (SPEC,), frozenset({"int"}), options=options))
    exact = {
        "n": 2**53 + 1,
        "small": -128,
        "flag": True,
        "f": 0.5,
        "d": 0.1,
        "t": "ü",
        "j": {"a": [None, 1.0]},
        "tags": ["x", ""],
        "more": 1,
    }
    odd = {
        "n": 2**70,
        "small": 128,
        "flag": 1,
        "f": 0.1,
        "d": 3,
        "t": "x" * 11,
        "j": "text",
        "tags": ["x", 1],
        "pk": 1,
    }
    nulls = dict.fromkeys(exact)
    writes = [write(at, payload) for at, payload in enumerate((exact, odd, nulls))]
    assert store.write(ref, writes) == []
    found = store.read(ref, [one.key for one in writes])
    assert [decode_payload(p.image.payload) for p in found] == [exact, odd, nulls]
    (failure,) = store.write(ref, [write(9, {"more": 1})])
    assert "'n'" in failure.reason
    there = store.describe(ref.name).options["milvus"]
    assert [field["name"] for field in there["fields"]] == [field["name"] for field in fields]


def test_keys_that_an_application_inserted_are_read_as_they_are(store, ref):
    make(store, ref, frozenset({"int"}))
    request = milvus_pb2.InsertRequest(collection_name=ref.name, num_rows=2)
    ids = request.fields_data.add(field_name="id", type=DataType.Int64)
    ids.scalars.long_data.data.extend([-(2**63), 5])
    vectors = request.fields_data.add(field_name="v", type=DataType.FloatVector).vectors
    vectors.dim = 8
    vectors.float_vector.data.extend([0.5] * 16)
    meta = request.fields_data.add(field_name="$meta", type=DataType.JSON, is_dynamic=True)
    meta.scalars.json_data.data.extend([b'{"x": 1}', b'{"_vf_id": "i6", "_vf_more": 1}'])
    store._connection.ask("Insert", request, milvus_pb2.MutationResult)("inserting")
    found = {point.key.id: point for point in scanned(store, ref, [Bounds()])}
    assert set(found) == {-(2**63), 5}
    assert decode_payload(found[5].image.payload) == {"_vf_id": "i6", "_vf_more": 1}
    resumed = store.scan(ref, Bounds(), after=Key("docs", "", -(2**63)))
    assert [point.key.id for page in resumed for point in page] == [5]


def test_a_source_that_is_not_loaded_is_a_clear_error(store, ref):
    make(store, ref)
    release = milvus_pb2.ReleaseCollectionRequest(collection_name=ref.name)
    store._connection.call(release, common_pb2.Status, "releasing")
    with pytest.raises(ConfigError, match="load_collection"):
        list(store.scan(ref, Bounds()))
    load(store._connection, ref.name)
    assert list(store.scan(ref, Bounds())) == []


def test_without_an_index_there_is_no_metric(store, ref):
    schema = schema_pb2.CollectionSchema(name=ref.name)
    schema.fields.add(name="id", data_type=DataType.Int64, is_primary_key=True, autoID=True)
    field = schema.fields.add(name="v", data_type=DataType.FloatVector)
    field.type_params.add(key="dim", value="4")
    request = milvus_pb2.CreateCollectionRequest(
        collection_name=ref.name, schema=schema.SerializeToString()
    )
    store._connection.ask("CreateCollection", request, common_pb2.Status)("making")
    assert store.describe(ref.name).vectors == (VectorSpec("v", dim=4),)
    with pytest.raises(ConfigError, match="auto_id"):
        store.write(ref, [write(1)])


def again(attempt, timeout_s=60):
    """Do what a worker does: try again while the error is transient."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return attempt()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.milvus
def test_partitions_of_milvus_are_namespaces():
    store = open_store(StoreSettings(type="milvus", url=engines.milvus()))
    store.version()
    ref = Ref(f"t_{uuid4().hex}", "docs")
    make(store, ref, frozenset({"int"}))
    writes = [write(1, {"n": n}, space) for n, space in enumerate(("", "a", "_default", "b c"))]
    chunks = store.plan_chunks(ref.name, 10)
    assert store.write(ref, writes) == []
    assert set(store.describe(ref.name).namespaces) == {"", "a", "_default", "b c"}
    assert {p.key: p.image for p in scanned(store, ref, chunks)} == held(writes)
    later = store.plan_chunks(ref.name, 10)
    assert {p.key: p.image for p in scanned(store, ref, later)} == held(writes)
    store.drop(ref.name)
    store.close()


@pytest.mark.milvus
def test_binary_vectors_keep_their_bits():
    store = open_store(StoreSettings(type="milvus", url=engines.milvus()))
    store.version()
    ref = Ref(f"t_{uuid4().hex}", "docs")
    spec = VectorSpec("v", dtype="binary", dim=16, metric="hamming")
    store.create(Collection(ref.name, (spec,), frozenset({"int"})))
    one = Write(Key("docs", "", 1), Image({"v": Dense("binary", 16, b"\x81\x7e")}))
    assert store.write(ref, [one]) == []
    assert store.read(ref, [one.key])[0].image == one.image
    assert store.describe(ref.name).vectors[0].metric == "hamming"
    assert store.search(ref, "v", [one.image.vectors["v"]], 1)[0][0].key == one.key
    store.drop(ref.name)
    store.close()


def test_milvus_lite_holds_sparse_and_several_vectors():
    store = open_store(StoreSettings(type="milvus", url=engines.milvus_lite()))
    store.version()
    ref = Ref(f"t_{uuid4().hex}", "docs")
    specs = (SPEC, VectorSpec("w", dim=3, metric="l2"), VectorSpec("s", "sparse", metric="dot"))
    store.create(Collection(ref.name, specs))
    sparse = Sparse(np.array([3, 70_000], "<u4").tobytes(), np.array([0.5, 2], "<f4").tobytes())
    image = Image({"v": vector(), "w": vector(3), "s": sparse})
    assert store.write(ref, [Write(Key("docs", "", "a"), image)]) == []
    assert store.read(ref, [Key("docs", "", "a")])[0].image == image
    assert [spec.metric for spec in store.describe(ref.name).vectors] == ["cosine", "l2", "dot"]
    store.drop(ref.name)
    store.close()


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    with MilvusLite(tmp_path) as server:
        store = open_store(StoreSettings(type="milvus", url=server.url))
        ref = Ref("docs", "docs")
        make(store, ref)
        writes = [write(f"k{at}", {"n": at}) for at in range(50)]
        assert store.write(ref, writes) == []
        server.kill()
        with pytest.raises(TransientError):
            store.read(ref, [writes[0].key])
        server.start()
        again(lambda: load(store._connection, ref.name))
        found = again(lambda: scanned(store, ref, [Bounds()]))
        assert {p.key: p.image for p in found} == held(writes)
        store.close()
