"""What only a real server shows: refusals in a batch, tenants, classes that others made."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from vecferry.errors import ConfigError, HaltError, UnknownOutcome
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec
from vecferry.payload import decode_payload
from vecferry.ports import Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.weaviate import WeaviateStore, connect
from vecferry.stores.weaviate.layout import Layout
from vecferry.testing import engines
from vecferry.testing.subjects import dense, vector_of

SPEC = VectorSpec("default", dim=8, metric="cosine")


@pytest.fixture(scope="module")
def url() -> str:
    return engines.weaviate()[0]


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[WeaviateStore]:
    opened = connect(StoreSettings(type="weaviate", url=url, grpc_url=engines.weaviate()[1]))
    yield opened
    opened.close()


@pytest.fixture
def name(store: WeaviateStore) -> Iterator[str]:
    drawn = f"Only_{uuid.uuid4().hex[:12]}"
    yield drawn
    store.drop(drawn)


def points(number: int, namespace: str = "") -> list[Point]:
    return [
        Point(Key("docs", namespace, UUID(int=n)), Image({"default": dense(8, n)}, b'{"n":%d}' % n))
        for n in range(number)
    ]


def put(store: WeaviateStore, name: str, found: list[Point]) -> list[Any]:
    return store.write(Ref(name, "docs"), [Write(one.key, one.image) for one in found])


def made(url: str, name: str, **schema: Any) -> None:
    body = {"class": name, "vectorizer": "none", **schema}
    httpx.post(f"{url}/v1/schema", json=body).raise_for_status()


def test_a_bad_object_of_a_batch_fails_alone(
    store: WeaviateStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = [{"name": "n", "dataType": ["int"]}]
    store.create(Collection(name, (SPEC,), options={"properties": properties}))
    right = points(5)
    # a layout that calls the property a text lets the server see what we refuse to send
    lie = Layout.of(store.describe(name))._replace(types={"n": "text"})
    monkeypatch.setattr(store._schemas, "layout", lambda *_, **__: lie)
    bad = right[2]._replace(image=right[2].image._replace(payload=b'{"n":"a text"}'))
    (failure,) = put(store, name, [*right[:2], bad, *right[3:]])
    assert failure.key == bad.key
    assert "422" in failure.reason
    monkeypatch.undo()
    found = store.read(Ref(name, "docs"), [one.key for one in right])
    assert found == [*right[:2], None, *right[3:]]


def test_a_good_object_that_is_not_taken_is_tried_again(
    store: WeaviateStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = [{"name": "n", "dataType": ["int"]}]
    store.create(Collection(name, (SPEC,), options={"properties": properties}))
    lie = Layout.of(store.describe(name))._replace(types={"n": "text"})
    monkeypatch.setattr(store._schemas, "layout", lambda *_, **__: lie)
    monkeypatch.setattr(store._connection, "validate", lambda *_: 200)
    (one,) = points(1)
    one = one._replace(image=one.image._replace(payload=b'{"n":"a text"}'))
    with pytest.raises(UnknownOutcome):
        put(store, name, [one])


def test_multivectors_and_vectors_without_a_name_are_searched(
    store: WeaviateStore, url: str, name: str
) -> None:
    rows = VectorSpec("rows", "multi", dim=8, metric="dot")
    store.create(Collection(name, (SPEC, rows)))
    found = [
        Point(one.key, Image({**one.image.vectors, "rows": vector_of(rows, n)}))
        for n, one in enumerate(points(20))
    ]
    assert put(store, name, found) == []
    ref = Ref(name, "docs")
    assert store.read(ref, [one.key for one in found]) == found
    (hits,) = store.search(ref, "rows", [found[3].image.vectors["rows"]], 5)
    assert len(hits) == 5
    (hits,) = store.search(ref, "default", [found[3].image.vectors["default"]], 5, exact=False)
    assert hits[0].key == found[3].key
    store.drop(name)
    made(url, name)
    assert put(store, name, points(20)) == []
    (hits,) = store.search(ref, "default", [found[3].image.vectors["default"]], 5)
    assert hits[0].key == found[3].key
    with pytest.raises(ConfigError, match="no vector 'x'"):
        store.search(ref, "x", [], 1)


def test_a_class_that_went_meanwhile_stops_the_worker(store: WeaviateStore, name: str) -> None:
    store.create(Collection(name, (SPEC,)))
    assert put(store, name, points(2)) == []
    httpx.delete(f"{store._connection.base}/v1/schema/{name}").raise_for_status()
    with pytest.raises(HaltError, match=name):
        put(store, name, points(2))
    with pytest.raises(HaltError, match=name):
        store.read(Ref(name, "docs"), [points(1)[0].key])


def test_tenants_are_namespaces(store: WeaviateStore, name: str) -> None:
    options = {"multiTenancyConfig": {"enabled": True}}
    store.create(Collection(name, (SPEC,), options=options))
    found = points(5, "red") + points(5, "blue")
    found += [Point(Key("docs", "blue", 5), found[0].image)]
    assert put(store, name, found) == []
    (refused,) = put(store, name, points(1))
    assert refused.key == Key("docs", "", UUID(int=0))
    described = store.describe(name)
    assert described.namespaces == ("blue", "red")
    assert store.count(name) == 11
    ref = Ref(name, "docs")
    assert store.read(ref, [one.key for one in found]) == found
    assert store.read(ref, [Key("docs", "nobody", UUID(int=1))]) == [None]
    parts = store.plan_chunks(name, 4)
    late = points(3, "amber")
    assert put(store, name, late) == []
    seen = [one for part in parts for page in store.scan(ref, part) for one in page]
    assert len(parts) > 1
    assert sorted(map(str, seen)) == sorted(map(str, found + late))
    whole = [one.key for page in store.scan(ref, store.plan_chunks(name, 99)[0]) for one in page]
    for at in (0, 4, 9):
        rest = store.scan(ref, store.plan_chunks(name, 99)[0], after=whole[at])
        assert [one.key for page in rest for one in page] == whole[at + 1 :]
    deleted = [Write(found[0].key, None), Write(Key("docs", "nobody", 1), None)]
    assert store.write(ref, deleted) == []
    assert store.read(ref, [found[0].key, found[5].key]) == [None, found[5]]


def test_ids_come_in_order_from_several_shards(store: WeaviateStore, url: str, name: str) -> None:
    made(url, name, shardingConfig={"desiredCount": 4})
    found = [
        Point(Key("docs", "", uuid.uuid4()), Image({"default": dense(8, n)})) for n in range(100)
    ]
    assert put(store, name, found) == []
    parts = store.plan_chunks(name, 30)
    seen = [one for part in parts for page in store.scan(Ref(name, "docs"), part) for one in page]
    assert seen == sorted(found, key=lambda one: one.key.id)
    assert store.count(name) == 100


def test_a_class_that_others_made_is_read_by_its_types(
    store: WeaviateStore, url: str, name: str
) -> None:
    nested = {"dataType": ["object"], "nestedProperties": [{"name": "a", "dataType": ["int"]}]}
    kinds = (
        "text",
        "int",
        "number",
        "boolean",
        "date",
        "uuid",
        "geoCoordinates",
        "int[]",
        "text[]",
    )
    properties: list[dict[str, Any]] = [
        {"name": f"p{at}", "dataType": [kind]} for at, kind in enumerate(kinds)
    ]
    made(url, name, properties=[*properties, {"name": "o", **nested}])
    assert store.describe(name).vectors[0].dim == 0
    values: list[Any] = ["x", 5, 3.5, True, "2024-01-02T03:04:05Z", str(UUID(int=7))]
    values += [{"latitude": 1.5, "longitude": 2.5}, [1, 2], ["a", "b"]]
    payload = {f"p{at}": value for at, value in enumerate(values)} | {"o": {"a": 1}}
    body = {"class": name, "id": str(UUID(int=3)), "properties": payload, "vector": [0.5] * 4}
    httpx.post(f"{url}/v1/objects", json=body).raise_for_status()
    key = Key("docs", "", UUID(int=3))
    (found,) = store.read(Ref(name, "docs"), [key])
    assert found is not None
    assert decode_payload(found.image.payload) == payload
    assert store.describe(name).vectors[0].dim == 4
    assert store.write(Ref(name, "docs"), [Write(key, found.image)]) == []
    assert store.read(Ref(name, "docs"), [key]) == [found]
    text = httpx.get(f"{url}/v1/objects/{name}/{key.id}").json()["properties"]
    assert text["p1"] == 5, "what a property holds is a property, and can be searched"


def test_where_no_object_says_a_vector_s_size_the_first_one_does(
    store: WeaviateStore, url: str, name: str
) -> None:
    made(url, name)
    right = points(3)
    wrong = Point(Key("docs", "", 9), Image({"default": Dense("float32", 2, b"\0\0\x80?" * 2)}))
    (failure,) = put(store, name, [*right, wrong])
    assert failure.key == wrong.key
    assert store.count(name) == 3, "Weaviate would keep the object"
    (failure,) = put(store, name, [wrong])
    assert "dimensions" in failure.reason


@pytest.mark.parametrize("kind", ["blob", "itself"])
def test_what_cannot_be_moved_is_said(store: WeaviateStore, url: str, name: str, kind: str) -> None:
    made(url, name)
    body = {"name": "p", "dataType": [name if kind == "itself" else kind]}
    httpx.post(f"{url}/v1/schema/{name}/properties", json=body).raise_for_status()
    with pytest.raises(ConfigError, match="cannot move"):
        store.describe(name)


def test_indexes_are_made_as_they_are_asked_for(store: WeaviateStore, name: str) -> None:
    graph = replace(
        SPEC, index={"type": "hnsw", "m": 8, "ef_construct": 64, "quantisation": "scalar"}
    )
    flat = VectorSpec(
        "flat", dim=4, metric="hamming", index={"type": "flat", "quantisation": "binary"}
    )
    store.create(Collection(name, (graph, flat)))
    one, other = (spec.index for spec in store.describe(name).vectors)
    assert (one["type"], one["maxConnections"], one["efConstruction"]) == ("hnsw", 8, 64)
    assert one["sq"]["enabled"]  # type: ignore[index]
    assert other["type"] == "flat"
    assert other["bq"]["enabled"]  # type: ignore[index]


@pytest.mark.parametrize(
    "collection",
    [
        Collection("docs", (SPEC,)),
        Collection("Docs", (replace(SPEC, metric=None),)),
        Collection("Docs", (replace(SPEC, dtype="int8"),)),
        Collection("Docs", (replace(SPEC, dim=0),)),
        Collection("Docs", (replace(SPEC, name="a b"),)),
        Collection("Docs", (VectorSpec("words", "sparse", metric="dot"),)),
    ],
)
def test_what_weaviate_cannot_hold_is_not_made(
    store: WeaviateStore, collection: Collection
) -> None:
    with pytest.raises(ConfigError):
        store.create(collection)
