"""Collections, indexes, aliases and mistakes, over REST and over gRPC alike."""

from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

DIM = 8


def refused(error: Exception) -> tuple[Any, str]:
    if isinstance(error, UnexpectedResponse):
        return error.status_code, error.content.decode()
    assert isinstance(error, grpc.RpcError)
    return error.code(), str(error.details())


def test_a_collection_is_made_described_listed_and_deleted(client: QdrantClient, name: str) -> None:
    vectors = {
        "a": models.VectorParams(
            size=DIM,
            distance=models.Distance.COSINE,
            hnsw_config=models.HnswConfigDiff(m=4),
            on_disk=True,
        ),
        "m": models.VectorParams(
            size=3,
            distance=models.Distance.MANHATTAN,
            datatype=models.Datatype.FLOAT16,
            multivector_config=models.MultiVectorConfig(
                comparator=models.MultiVectorComparator.MAX_SIM
            ),
        ),
    }
    sparse = {"s": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    assert not client.collection_exists(name)
    client.create_collection(
        name,
        vectors_config=vectors,
        sparse_vectors_config=sparse,
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.5)
        ),
        metadata={"owner": {"team": 7}},
    )

    assert client.collection_exists(name)
    assert name in [one.name for one in client.get_collections().collections]
    config = client.get_collection(name).config
    assert config.params.vectors == vectors
    assert config.params.sparse_vectors == sparse
    assert config.optimizer_config.indexing_threshold == 0
    assert config.quantization_config.scalar.quantile == 0.5
    assert config.metadata == {"owner": {"team": 7}}
    client.delete_collection(name)
    assert not client.collection_exists(name)


def test_payload_indexes_come_and_go(client: QdrantClient, plain: str) -> None:
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    client.create_payload_index(plain, "parity", tenant)
    client.create_payload_index(plain, "half", models.PayloadSchemaType.FLOAT)

    schema = client.get_collection(plain).payload_schema
    assert schema["parity"].params == tenant
    assert (schema["half"].data_type, schema["half"].points) == ("float", 20)
    hits = client.facet(plain, "parity", exact=True).hits
    assert {hit.value: hit.count for hit in hits} == {"even": 10, "odd": 10}
    client.delete_payload_index(plain, "half")
    assert set(client.get_collection(plain).payload_schema) == {"parity"}


def test_an_alias_stands_for_its_collection(client: QdrantClient, plain: str) -> None:
    first, second = f"{plain}-first", f"{plain}-second"
    create = models.CreateAlias(collection_name=plain, alias_name=first)
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    assert client.count(first).count == 20
    rename = models.RenameAlias(old_alias_name=first, new_alias_name=second)
    client.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])
    client.upsert(second, [models.PointStruct(id=20, vector=[1.0] * DIM)])

    assert client.count(plain).count == 21
    assert [one.alias_name for one in client.get_collection_aliases(plain).aliases] == [second]
    assert (second, plain) in [
        (one.alias_name, one.collection_name) for one in client.get_aliases().aliases
    ]
    delete = models.DeleteAlias(alias_name=second)
    client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=delete)])
    assert not client.collection_exists(second)


def test_parameters_of_a_collection_change_and_its_points_stay(
    client: QdrantClient, plain: str
) -> None:
    client.update_collection(
        plain,
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=123),
        hnsw_config=models.HnswConfigDiff(m=5),
        vectors_config={"": models.VectorParamsDiff(on_disk=True)},
    )

    config = client.get_collection(plain).config
    assert config.optimizer_config.indexing_threshold == 123
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (5, 100)
    assert config.params.vectors.on_disk
    assert client.count(plain).count == 20


def test_parameters_that_are_refused_leave_the_collection_as_it_was(
    client: QdrantClient, plain: str
) -> None:
    before = client.get_collection(plain).config
    with pytest.raises((UnexpectedResponse, grpc.RpcError)):
        client.update_collection(
            plain, vectors_config={"other": models.VectorParamsDiff(on_disk=True)}
        )

    assert client.get_collection(plain).config == before
    assert client.count(plain).count == 20


MISTAKES: dict[str, tuple[Any, Any, Any, str]] = {
    "no collection": (
        lambda client, name: client.count("no-such-collection"),
        *(404, grpc.StatusCode.NOT_FOUND, "Collection `no-such-collection` doesn't exist!"),
    ),
    "a name that is taken": (
        lambda client, name: client.create_collection(
            name, vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT)
        ),
        *(409, grpc.StatusCode.ALREADY_EXISTS, "already exists"),
    ),
    "a wrong dimension": (
        lambda client, name: client.upsert(name, [models.PointStruct(id=1, vector=[1.0])]),
        *(400, grpc.StatusCode.INVALID_ARGUMENT, "expected dim: 8, got 1"),
    ),
    "a vector that does not exist": (
        lambda client, name: client.retrieve(name, [1], with_vectors=["other"]),
        *(400, grpc.StatusCode.INVALID_ARGUMENT, "Not existing vector name"),
    ),
    "a point that does not exist": (
        lambda client, name: client.set_payload(name, {"a": 1}, points=[1, 12345]),
        *(404, grpc.StatusCode.NOT_FOUND, "No point with id 12345"),
    ),
    "an order without an index": (
        lambda client, name: client.scroll(name, order_by="n"),
        *(400, grpc.StatusCode.INVALID_ARGUMENT, "No range index"),
    ),
    "a recommendation": (
        lambda client, name: client.query_points(
            name, query=models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
        ),
        *(501, grpc.StatusCode.UNIMPLEMENTED, "`recommend`"),
    ),
    "groups": (
        lambda client, name: client.query_points_groups(name, group_by="parity", query=[1.0] * DIM),
        *(501, grpc.StatusCode.UNIMPLEMENTED, "roups"),
    ),
    "a shard key": (
        lambda client, name: client.upsert(
            name, [models.PointStruct(id=1, vector=[1.0] * DIM)], shard_key_selector="eu"
        ),
        *(501, grpc.StatusCode.UNIMPLEMENTED, "`shard_key`"),
    ),
    "a formula": (
        lambda client, name: client.query_points(
            name, query=models.FormulaQuery(formula=models.SumExpression(sum=["$score", 1.0]))
        ),
        *(501, grpc.StatusCode.UNIMPLEMENTED, "`formula`"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_as_qdrant_answers_it_and_what_is_missing_by_name(
    client: QdrantClient, plain: str, mistake: str
) -> None:
    act, status, code, text = MISTAKES[mistake]

    with pytest.raises((UnexpectedResponse, grpc.RpcError)) as caught:
        act(client, plain)

    got, message = refused(caught.value)
    assert got in (status, code)
    assert text in message
    assert client.count(plain).count == 20
