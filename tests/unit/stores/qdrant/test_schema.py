import grpc
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.model import Collection, VectorSpec
from vecferry.ports import Store
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.creation import creation_requests
from vecferry.stores.qdrant.schema import plain, read_collection

EXISTS = "/qdrant.Collections/CollectionExists"
LIST = "/qdrant.Collections/List"


def exists(answer: bool) -> object:
    return qdrant.CollectionExistsResponse(result=qdrant.CollectionExists(exists=answer))


def info(**params: object) -> object:
    config = qdrant.CollectionConfig(
        params=qdrant.CollectionParams(**params),  # type: ignore[arg-type]
        hnsw_config=qdrant.HnswConfigDiff(m=16, ef_construct=100),
    )
    return qdrant.CollectionInfo(config=config)


def one(distance: int, **more: object) -> object:
    params = qdrant.VectorParams(size=4, distance=distance, **more)  # type: ignore[arg-type]
    return info(vectors_config=qdrant.VectorsConfig(params=params))


def test_the_store_has_every_part_of_the_port(store):
    assert isinstance(store, Store)


@pytest.mark.parametrize(
    ("distance", "metric"),
    [("Cosine", "cosine"), ("Euclid", "l2"), ("Dot", "dot"), ("Manhattan", "l1")],
)
def test_the_metric_is_read(distance, metric):
    collection = read_collection("docs", one(qdrant.Distance.Value(distance)))
    assert collection.vectors[0].metric == metric


def test_every_distance_that_the_vendor_has_is_known():
    known = {qdrant.Distance.Value(name) for name in ("Cosine", "Euclid", "Dot", "Manhattan")}
    assert set(qdrant.Distance.values()) == known | {qdrant.Distance.UnknownDistance}


def test_a_metric_that_is_not_known_is_not_guessed():
    assert read_collection("docs", one(99)).vectors[0].metric is None


@pytest.mark.parametrize(
    ("datatype", "dtype"),
    [
        ("Default", "float32"),
        ("Float32", "float32"),
        ("Float16", "float16"),
        ("Uint8", "uint8"),
        ("Turbo8", "float32"),
    ],
)
def test_the_dtype_follows_the_datatype(datatype, dtype):
    described = read_collection(
        "docs", one(qdrant.Distance.Dot, datatype=qdrant.Datatype.Value(datatype))
    )
    assert described.vectors[0].dtype == dtype
    assert ("datatype" in described.vectors[0].index) == (datatype == "Turbo8")


def test_every_datatype_that_the_vendor_has_is_known():
    known = {"Default", "Float32", "Float16", "Uint8", "Turbo4", "Turbo8", "Turbo16"}
    assert set(qdrant.Datatype.keys()) == known


def test_names_kinds_and_indexes_are_described():
    vectors = qdrant.VectorParamsMap(
        map={
            "text": qdrant.VectorParams(
                size=8, distance=qdrant.Distance.Cosine, hnsw_config=qdrant.HnswConfigDiff(m=64)
            ),
            "colbert": qdrant.VectorParams(
                size=2,
                distance=qdrant.Distance.Dot,
                multivector_config=qdrant.MultiVectorConfig(
                    comparator=qdrant.MultiVectorComparator.MaxSim
                ),
            ),
        }
    )
    sparse = qdrant.SparseVectorConfig(
        map={"bm25": qdrant.SparseVectorParams(modifier=qdrant.Modifier.Idf)}
    )
    described = read_collection(
        "docs",
        info(
            vectors_config=qdrant.VectorsConfig(params_map=vectors),
            sparse_vectors_config=sparse,
            shard_number=3,
        ),
    )
    assert [(spec.name, spec.kind, spec.dim) for spec in described.vectors] == [
        ("colbert", "multi", 2),
        ("text", "dense", 8),
        ("bm25", "sparse", 0),
    ]
    text = described.vector("text")
    assert text is not None
    assert text.index == {"type": "hnsw", "m": 64, "ef_construct": 100}, "the vector's own wins"
    bm25 = described.vector("bm25")
    assert bm25 is not None
    assert bm25.index == {"modifier": "Idf"}
    assert described.options["shard_number"] == 3
    assert described.id_types == {"int", "uuid"}


def test_shards_by_user_keys_are_refused_because_an_id_can_be_in_several():
    custom = one(qdrant.Distance.Dot)
    custom.config.params.sharding_method = qdrant.ShardingMethod.Custom  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="user-defined keys"):
        read_collection("docs", custom)


def test_a_missing_collection_names_the_nearest(server, store):
    server.reply(EXISTS, exists(False))
    names = [qdrant.CollectionDescription(name=name) for name in ("other", "docs")]
    server.reply(LIST, qdrant.ListCollectionsResponse(collections=names))
    with pytest.raises(ConfigError, match="did you mean 'docs'"):
        store.describe("dosc")
    with pytest.raises(ConfigError, match="docs, other"):
        store.describe("zzzzzzzz")


def test_a_collection_that_has_gone_halts_the_hot_paths(server, store):
    server.reply(EXISTS, exists(False))
    server.reply(LIST, qdrant.ListCollectionsResponse())
    with pytest.raises(HaltError):
        store._schemas.layout("docs")


def test_a_layout_is_asked_for_once(server, store, dense_info):
    server.collection(dense_info)
    for _ in range(3):
        store._schemas.layout("docs")
    assert len(server.of("/qdrant.Collections/Get")) == 1
    store._schemas.layout("docs", fresh=True)
    assert len(server.of("/qdrant.Collections/Get")) == 2


def test_counting_is_exact(server, store):
    server.reply("/qdrant.Points/Count", wire.CountResponse(result={"count": 7}))
    assert store.count("docs") == 7
    [request] = server.of("/qdrant.Points/Count")
    assert wire.CountPoints.FromString(request).exact


def test_creating_what_exists_is_refused(server, store):
    server.reply(EXISTS, exists(True))
    with pytest.raises(ConfigError, match="exists"):
        store.create(Collection("docs", (VectorSpec("", dim=4, metric="dot"),)))
    assert not server.of("/qdrant.Collections/Create")


def test_half_a_collection_is_taken_away_again(server, store):
    server.reply(EXISTS, exists(False), exists(True))
    done = qdrant.CollectionOperationResponse(result=True)
    server.reply("/qdrant.Collections/Create", done)
    server.reply("/qdrant.Collections/Delete", done)
    server.fail("/qdrant.Points/CreateFieldIndex", grpc.StatusCode.UNAVAILABLE)
    options = {"payload_schema": {"title": {"type": "Keyword"}}}
    with pytest.raises(TransientError):
        store.create(Collection("docs", (VectorSpec("", dim=4, metric="dot"),), options=options))
    assert server.of("/qdrant.Collections/Delete")


def test_dropping_what_is_not_there_is_fine(server, store):
    server.reply(EXISTS, exists(False))
    store.drop("docs")
    assert not server.of("/qdrant.Collections/Delete")


FULL = Collection(
    "docs",
    (
        VectorSpec(
            "text",
            dtype="float16",
            dim=8,
            metric="l1",
            index={
                "type": "hnsw",
                "m": 24,
                "on_disk": True,
                "vectors_on_disk": True,
                "quantization": {"scalar": {"type": "Int8", "quantile": 0.5}},
                "M": 99,
            },
        ),
        VectorSpec("colbert", kind="multi", dim=2, metric="cosine"),
        VectorSpec("bm25", kind="sparse", metric="dot", index={"modifier": "Idf"}),
    ),
    options={
        "shard_number": 2,
        "optimizers": {"indexing_threshold": 0},
        "payload_schema": {
            "n": {"type": "Integer", "integer_index_params": {"lookup": True}},
            "t": {"type": "Text", "text_index_params": {"stopwords": {"custom": ["a", "b"]}}},
        },
    },
)


def test_a_created_collection_is_described_as_it_was_asked_for():
    create, [index, text] = creation_requests(FULL)
    params = plain(create.vectors_config.params_map)["map"]
    assert params["text"] == {
        "size": 8,
        "distance": "Manhattan",
        "datatype": "Float16",
        "on_disk": True,
        "hnsw_config": {"m": 24, "on_disk": True},
        "quantization_config": {"scalar": {"type": "Int8", "quantile": 0.5}},
    }
    assert "multivector_config" in params["colbert"]
    assert plain(create.sparse_vectors_config) == {"map": {"bm25": {"modifier": "Idf"}}}
    assert create.shard_number == 2
    assert create.optimizers_config.indexing_threshold == 0
    assert index.field_type == qdrant.FieldType.FieldTypeInteger
    assert index.field_index_params.integer_index_params.lookup
    assert index.wait
    assert plain(text.field_index_params) == {
        "text_index_params": {"stopwords": {"custom": ["a", "b"]}}
    }


def test_another_vendors_words_are_left_out():
    index = {"type": "HNSW", "m": 7, "metric_type": "IP"}
    create, _ = creation_requests(
        Collection("docs", (VectorSpec("", dim=2, metric="dot", index=index),))
    )
    assert not create.vectors_config.params.HasField("hnsw_config")


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        ((), "no vectors"),
        ((VectorSpec("", dim=2),), "no metric"),
        ((VectorSpec("", dim=2, metric="hamming"),), "metric hamming"),
        ((VectorSpec("", dim=2, metric="dot", dtype="bfloat16"),), "bfloat16"),
        ((VectorSpec("", dim=0, metric="dot"),), "0 dimensions"),
        ((VectorSpec("", kind="sparse"),), "need a name"),
        ((VectorSpec("", dim=2, metric="dot"), VectorSpec("b", dim=2, metric="dot")), "unnamed"),
    ],
)
def test_what_qdrant_cannot_hold_is_refused_before_anything_is_made(vectors, reason):
    with pytest.raises(ConfigError, match=reason):
        creation_requests(Collection("docs", vectors))


def test_an_index_of_unknown_type_is_refused():
    options = {"payload_schema": {"n": {"type": "Quaternion"}}}
    with pytest.raises(ConfigError, match="unknown type"):
        creation_requests(
            Collection("docs", (VectorSpec("", dim=2, metric="dot"),), options=options)
        )
