"""Points as the official client sees them, over REST and over gRPC alike."""

import uuid
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

DIM = 8

FIELD = models.FieldCondition


def point(number: int, **payload: Any) -> models.PointStruct:
    vector = np.random.default_rng(number).random(DIM, dtype="f4")
    given = payload or {"n": number, "half": number / 2, "parity": ["even", "odd"][number % 2]}
    return models.PointStruct(id=number, vector=vector.tolist(), payload=given)


def ids(records: Any) -> list[Any]:
    return [record.id for record in records]


def must(*conditions: Any) -> models.Filter:
    return models.Filter(must=list(conditions))


def test_points_come_back_as_they_were(client: QdrantClient, plain: str) -> None:
    found = client.retrieve(plain, [7, 3, 99, 7], with_vectors=True)

    assert ids(found) == [7, 3]
    assert found[0].payload == {"n": 7, "half": 3.5, "parity": "odd"}
    assert isinstance(found[1].payload["n"], int)
    assert np.float32(found[0].vector).tobytes() == np.float32(point(7).vector).tobytes()


def test_every_kind_of_id_and_of_payload_is_kept(client: QdrantClient, plain: str) -> None:
    payload = {"i": (1 << 63) - 1, "f": 2.0, "z": None, "l": [1, 1.5, {"x": []}], "": "ü", "o": {}}
    other = str(uuid.uuid4())
    for key in ((1 << 64) - 1, other):
        client.upsert(
            plain, [models.PointStruct(id=key, vector=[1.0] * DIM, payload=payload)], wait=True
        )

    found = client.retrieve(plain, [(1 << 64) - 1, other])
    assert ids(found) == [(1 << 64) - 1, other]
    for record in found:
        assert record.payload == payload
        assert isinstance(record.payload["f"], float)


def test_scrolling_page_by_page_sees_every_point_once_in_order(
    client: QdrantClient, plain: str
) -> None:
    seen, offset = [], None
    while True:
        page, offset = client.scroll(plain, limit=7, offset=offset, with_payload=["n"])
        seen += page
        if offset is None:
            break

    assert ids(seen) == list(range(20))
    assert [record.payload for record in seen] == [{"n": number} for number in range(20)]
    assert all(record.vector is None for record in seen)


def test_scrolling_selects_by_filter_and_orders_by_an_indexed_field(
    client: QdrantClient, plain: str
) -> None:
    client.create_payload_index(plain, "n", models.PayloadSchemaType.INTEGER)
    odd = must(FIELD(key="parity", match=models.MatchValue(value="odd")))

    page, following = client.scroll(
        plain,
        scroll_filter=odd,
        order_by=models.OrderBy(key="n", direction=models.Direction.DESC),
        limit=3,
    )

    assert ids(page) == [19, 17, 15]
    assert following is None


@pytest.mark.parametrize(
    ("condition", "number"),
    [
        (FIELD(key="parity", match=models.MatchValue(value="odd")), 10),
        (FIELD(key="n", match=models.MatchAny(any=[1, 2, 77])), 2),
        (FIELD(key="n", match=models.MatchExcept(**{"except": [1, 2]})), 18),
        (FIELD(key="half", range=models.Range(gt=1.0, lte=2.0)), 2),
        (models.HasIdCondition(has_id=[4, 5, 500]), 2),
        (models.IsEmptyCondition(is_empty=models.PayloadField(key="none")), 20),
        (models.Filter(must_not=[models.HasIdCondition(has_id=[1])]), 19),
    ],
    ids=str,
)
def test_a_filter_counts_what_it_matches(
    client: QdrantClient, plain: str, condition: Any, number: int
) -> None:
    assert client.count(plain, count_filter=must(condition)).count == number


def test_search_finds_the_nearest_within_a_filter(client: QdrantClient, plain: str) -> None:
    query = np.float32(point(3).vector)
    even = must(FIELD(key="parity", match=models.MatchValue(value="even")))
    scores = {number: float(query @ np.float32(point(number).vector)) for number in range(0, 20, 2)}
    wanted = sorted(scores, key=lambda number: -scores[number])[:4]

    found = client.query_points(
        plain,
        query=query.tolist(),
        query_filter=even,
        limit=4,
        search_params=models.SearchParams(exact=True),
        with_vectors=True,
    ).points

    assert ids(found) == wanted
    assert [one.score for one in found] == pytest.approx([scores[one] for one in wanted], rel=1e-5)
    assert len(found[0].vector) == DIM


def test_a_point_searched_by_its_id_does_not_find_itself(client: QdrantClient, plain: str) -> None:
    found = client.query_points(plain, query=3, limit=20).points

    assert len(found) == 19
    assert 3 not in ids(found)


def test_searches_of_one_batch_are_answered_in_order(client: QdrantClient, plain: str) -> None:
    requests = [
        models.QueryRequest(query=point(number).vector, limit=2, with_payload=True)
        for number in (1, 2)
    ]

    found = client.query_batch_points(plain, requests)

    alone = [client.query_points(plain, query=one.query, limit=2).points for one in requests]
    assert [ids(one.points) for one in found] == [ids(one) for one in alone]


def test_prefetched_searches_are_fused(client: QdrantClient, plain: str) -> None:
    prefetch = [models.Prefetch(query=point(number).vector, limit=5) for number in (1, 2)]

    found = client.query_points(
        plain, prefetch=prefetch, query=models.FusionQuery(fusion=models.Fusion.RRF), limit=20
    ).points

    assert 5 <= len(found) <= 10


def test_named_sparse_and_multivectors_are_kept_and_searched(
    client: QdrantClient, name: str
) -> None:
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    dot = models.Distance.DOT
    client.create_collection(
        name,
        vectors_config={
            "d": models.VectorParams(size=2, distance=models.Distance.EUCLID),
            "u": models.VectorParams(size=2, distance=dot, datatype=models.Datatype.UINT8),
            "h": models.VectorParams(size=2, distance=dot, datatype=models.Datatype.FLOAT16),
            "m": models.VectorParams(size=2, distance=dot, multivector_config=multi),
        },
        sparse_vectors_config={"s": models.SparseVectorParams()},
    )
    vector = {
        "d": [1.0, 2.0],
        "u": [0.0, 255.0],
        "h": [0.5, 0.25],
        "m": [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]],
        "s": models.SparseVector(indices=[7, 1000], values=[1.0, -2.0]),
    }
    client.upsert(name, [models.PointStruct(id=1, vector=vector)])
    client.upsert(name, [models.PointStruct(id=2, vector={"d": [5.0, 5.0]})])

    assert client.retrieve(name, [1], with_vectors=True)[0].vector == vector
    assert client.retrieve(name, [2], with_vectors=True)[0].vector == {"d": [5.0, 5.0]}
    some = client.retrieve(name, [1], with_vectors=["u", "s"])[0].vector
    assert some == {"u": vector["u"], "s": vector["s"]}
    sparse = models.SparseVector(indices=[1000], values=[-1.0])
    assert client.query_points(name, query=sparse, using="s").points[0].score == 2.0
    assert ids(client.query_points(name, query=[[1.0, 1.0]], using="m").points) == [1]
    assert ids(client.query_points(name, query=[5.0, 4.0], using="d").points) == [2, 1]


def test_cosine_vectors_are_kept_at_unit_length(client: QdrantClient, name: str) -> None:
    client.create_collection(
        name, vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE)
    )
    client.upsert(name, [models.PointStruct(id=1, vector=[3.0, 4.0])])

    assert client.retrieve(name, [1], with_vectors=True)[0].vector == pytest.approx([0.6, 0.8])


def test_payloads_are_merged_replaced_trimmed_and_cleared(client: QdrantClient, plain: str) -> None:
    client.set_payload(plain, {"z": 1}, points=[1])
    client.set_payload(plain, {"in": {"side": 2}}, points=[2])
    client.set_payload(plain, {"more": 3}, points=[2], key="in")
    client.overwrite_payload(plain, {"only": True}, points=[3])
    client.delete_payload(plain, ["half", "parity"], points=[4])
    client.clear_payload(plain, models.PointIdsList(points=[5]))
    client.set_payload(plain, {"late": 1}, points=must(FIELD(key="n", range=models.Range(gte=18))))

    found = {one.id: one.payload for one in client.retrieve(plain, [1, 2, 3, 4, 5, 17, 18, 19])}
    assert found[1] == {"n": 1, "half": 0.5, "parity": "odd", "z": 1}
    assert found[2]["in"] == {"side": 2, "more": 3}
    assert found[3] == {"only": True}
    assert found[4] == {"n": 4}
    assert found[5] == {}
    assert ["late" in found[number] for number in (17, 18, 19)] == [False, True, True]


def test_points_are_deleted_by_id_and_by_filter(client: QdrantClient, plain: str) -> None:
    client.delete(plain, models.PointIdsList(points=[0, 1, 777]))
    odd = must(FIELD(key="parity", match=models.MatchValue(value="odd")))
    client.delete(plain, models.FilterSelector(filter=odd))

    assert ids(client.scroll(plain, limit=20)[0]) == list(range(2, 20, 2))


def test_vectors_are_updated_and_deleted_alone(client: QdrantClient, name: str) -> None:
    params = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection(name, vectors_config={"a": params, "b": params})
    both = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    client.upsert(name, [models.PointStruct(id=1, vector=both, payload={"p": 1})])

    client.update_vectors(name, [models.PointVectors(id=1, vector={"a": [2.0, 2.0]})])
    found = client.retrieve(name, [1], with_vectors=True)[0]
    assert found.vector == {"a": [2.0, 2.0], "b": [0.0, 1.0]}
    assert found.payload == {"p": 1}
    client.delete_vectors(name, ["b"], points=[1])
    assert client.retrieve(name, [1], with_vectors=True)[0].vector == {"a": [2.0, 2.0]}


def test_a_batch_of_writes_is_applied_in_order(client: QdrantClient, plain: str) -> None:
    operations = [
        models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        models.UpsertOperation(upsert=models.PointsList(points=[point(1, again=True)])),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"z": 1}, points=[1])),
        models.OverwritePayloadOperation(
            overwrite_payload=models.SetPayload(payload={"o": 1}, points=[2])
        ),
        models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["n"], points=[3])),
        models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[4])),
        models.UpdateVectorsOperation(
            update_vectors=models.UpdateVectors(
                points=[models.PointVectors(id=5, vector=[1.0] * DIM)]
            )
        ),
    ]

    results = client.batch_update_points(plain, operations)

    assert [one.status for one in results] == [models.UpdateStatus.COMPLETED] * len(operations)
    found = client.retrieve(plain, [1, 2, 3, 4, 5], with_vectors=True)
    assert [one.payload for one in found[:2]] == [{"again": True, "z": 1}, {"o": 1}]
    assert "n" not in found[2].payload
    assert found[3].payload == {}
    assert found[4].vector == [1.0] * DIM


@pytest.mark.parametrize(
    ("mode", "payloads"),
    [
        (models.UpdateMode.UPSERT, [{"new": 1}, {"new": 1}]),
        (models.UpdateMode.INSERT_ONLY, [{"old": 1}, {"new": 1}]),
        (models.UpdateMode.UPDATE_ONLY, [{"new": 1}]),
    ],
)
def test_an_upsert_keeps_to_its_mode(
    client: QdrantClient, plain: str, mode: models.UpdateMode, payloads: list[Any]
) -> None:
    client.upsert(plain, [point(1, old=1)])
    client.upsert(plain, [point(1, new=1), point(50, new=1)], update_mode=mode)

    assert [one.payload for one in client.retrieve(plain, [1, 50])] == payloads


def test_an_update_filter_holds_for_points_that_exist(client: QdrantClient, plain: str) -> None:
    only = must(FIELD(key="n", range=models.Range(lt=2)))
    client.upsert(plain, [point(1, new=1), point(2, new=1)], update_filter=only)

    assert ["new" in one.payload for one in client.retrieve(plain, [1, 2])] == [True, False]


def test_without_waiting_a_write_is_only_acknowledged(client: QdrantClient, plain: str) -> None:
    assert client.upsert(plain, [point(1)], wait=False).status == "acknowledged"
    assert client.upsert(plain, [point(1)], wait=True).status == "completed"


def test_a_sample_and_slices_of_the_points(client: QdrantClient, plain: str) -> None:
    random = models.SampleQuery(sample=models.Sample.RANDOM)
    found = ids(client.query_points(plain, query=random, limit=5).points)
    assert len(set(found)) == 5
    seen: list[Any] = []
    for index in range(3):
        part = models.SliceCondition(slice=models.Slice(total=3, index=index))
        seen += ids(client.scroll(plain, scroll_filter=must(part), limit=20)[0])
    assert sorted(seen) == list(range(20))
