"""The private classes against the client's own: the same bytes, both ways."""

import numpy as np
import pytest
from qdrant_client import grpc as qdrant

from vecferry.stores.qdrant import wire

FLOATS = np.array([1.5, -0.0, 3e38, 1e-45, 7.0], "<f4")


def client_vectors() -> dict[str, qdrant.Vector]:
    dense = qdrant.DenseVector(data=FLOATS.tolist())
    return {
        "dense": qdrant.Vector(dense=dense),
        "sparse": qdrant.Vector(
            sparse=qdrant.SparseVector(
                values=FLOATS.tolist(), indices=[0, 1, 300, 70_000, 2**32 - 1]
            )
        ),
        "multi": qdrant.Vector(multi_dense=qdrant.MultiDenseVector(vectors=[dense, dense])),
        "flat": qdrant.Vector(data=FLOATS.tolist(), vectors_count=1),
    }


def client_request() -> qdrant.UpsertPoints:
    return qdrant.UpsertPoints(
        collection_name="docs",
        wait=True,
        points=[
            qdrant.PointStruct(
                id=qdrant.PointId(num=2**64 - 1),
                vectors=qdrant.Vectors(vectors=qdrant.NamedVectors(vectors=client_vectors())),
                payload={"a": qdrant.Value(integer_value=-1), "b": qdrant.Value(double_value=1.0)},
            ),
            qdrant.PointStruct(
                id=qdrant.PointId(uuid="0f9c2a44-3a7b-4c0e-9d63-2f1b8c5e7a10"),
                vectors=qdrant.Vectors(vector=client_vectors()["dense"]),
            ),
        ],
    )


def private_request() -> object:
    request = wire.UpsertPoints(collection_name="docs", wait=True)
    first = request.points.add()
    first.id.num = 2**64 - 1
    data = FLOATS.tobytes()
    vectors = first.vectors.vectors.vectors
    vectors["dense"].dense.data = data
    vectors["sparse"].sparse.values = data
    vectors["sparse"].sparse.indices.extend([0, 1, 300, 70_000, 2**32 - 1])
    for _ in range(2):
        vectors["multi"].multi_dense.vectors.add().data = data
    vectors["flat"].data = data
    vectors["flat"].vectors_count = 1
    first.payload["a"].integer_value = -1
    first.payload["b"].double_value = 1.0
    second = request.points.add()
    second.id.uuid = "0f9c2a44-3a7b-4c0e-9d63-2f1b8c5e7a10"
    second.vectors.vector.dense.data = data
    return request


def test_a_request_is_byte_identical_to_the_clients_own():
    ours = private_request().SerializeToString(deterministic=True)
    assert ours == client_request().SerializeToString(deterministic=True)


def test_each_side_reads_the_others_bytes():
    parsed = qdrant.UpsertPoints.FromString(private_request().SerializeToString())
    assert parsed == client_request()
    back = wire.UpsertPoints.FromString(client_request().SerializeToString())
    assert back.points[1].vectors.vector.dense.data == FLOATS.tobytes()


def test_empty_vectors_are_the_same_too():
    assert (
        wire.Vector(dense={}).SerializeToString()
        == qdrant.Vector(dense=qdrant.DenseVector(data=[])).SerializeToString()
    )


def test_every_repeated_float_of_a_vector_is_bytes():
    for name in ("DenseVector", "SparseVector", "Vector", "VectorOutput"):
        theirs = qdrant.points_pb2.DESCRIPTOR.message_types_by_name[name]
        ours = getattr(wire, name, None)
        pool = wire.private_pool()
        ours = pool.FindMessageTypeByName(f"qdrant.{name}")
        for field in theirs.fields:
            mine = ours.fields_by_name[field.name]
            assert mine.number == field.number
            if field.type == field.TYPE_FLOAT:
                assert mine.type == mine.TYPE_BYTES, f"{name}.{field.name}"
            else:
                assert mine.type == field.type, f"{name}.{field.name}"


def test_the_clients_own_classes_stay_what_they_are():
    with pytest.raises(TypeError):
        qdrant.DenseVector(data=FLOATS.tobytes().decode("latin-1"))


def test_the_deep_form_leaves_payload_entries_undecoded():
    point = qdrant.RetrievedPoint(
        id=qdrant.PointId(num=1), payload={"a": qdrant.Value(string_value="x")}
    )
    reply = qdrant.ScrollResponse(result=[point])
    deep = wire.DeepScrollResponse.FromString(reply.SerializeToString())
    assert list(deep.result[0].payload) == [b'\n\x01a\x12\x03"\x01x']
    assert deep.result[0].id.num == 1
