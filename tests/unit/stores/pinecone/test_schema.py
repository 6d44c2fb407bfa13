import pytest

from vecferry.errors import ConfigError
from vecferry.model import Collection, Image, Key, Metric, Point, VectorSpec
from vecferry.ports import Ref, Write
from vecferry.stores.pinecone import PineconeStore
from vecferry.stores.pinecone.creation import creation_body
from vecferry.stores.pinecone.schema import Layout
from vecferry.testing.subjects import create, dense, new_name, vector_of

DENSE = VectorSpec("", dim=8, metric="dot")
SPARSE = VectorSpec("words", "sparse", metric="dot")


def made(*specs: VectorSpec, **options: object) -> Collection:
    return Collection("docs", specs, options=options)


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ((), "0 dense vectors"),
        ((DENSE, VectorSpec("other", dim=8, metric="l2")), "2 dense vectors"),
        ((VectorSpec("", "multi", dim=8, metric="dot"),), "multivectors"),
        ((VectorSpec("", dim=8, metric="l1"),), "the metric l1"),
        ((VectorSpec("", dim=8),), "no metric"),
        ((VectorSpec("", dim=8, dtype="float16", metric="l2"),), "float16"),
        ((VectorSpec("", dim=20_001, metric="l2"),), "20001 dimensions"),
        ((VectorSpec("", "sparse", metric="dot"),), "need a name"),
        ((VectorSpec("", dim=8, metric="cosine"), SPARSE), "dot product alone"),
    ],
)
def test_a_schema_that_pinecone_cannot_hold_is_refused(
    specs: tuple[VectorSpec, ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        creation_body(made(*specs))


def test_an_index_is_serverless_on_aws_where_nothing_else_is_said() -> None:
    assert creation_body(made(DENSE)) == {
        "name": "docs",
        "spec": {"serverless": {"cloud": "aws", "region": "us-east-1"}},
        "vector_type": "dense",
        "metric": "dotproduct",
        "dimension": 8,
    }
    given = creation_body(made(DENSE, cloud="gcp", region="europe-west4"))["spec"]
    assert given == {"serverless": {"cloud": "gcp", "region": "europe-west4"}}


def test_what_another_index_was_made_with_is_kept() -> None:
    spec = {"serverless": {"cloud": "azure", "region": "eastus2", "schema": None}}
    body = creation_body(
        made(
            DENSE,
            spec=spec,
            tags={"team": "search", "vf-sparse": "old"},
            deletion_protection="enabled",
        )
    )
    assert body["spec"] == {"serverless": {"cloud": "azure", "region": "eastus2"}}
    assert body["tags"] == {"team": "search"}
    assert body["deletion_protection"] == "enabled"
    pod = creation_body(made(DENSE, spec={"pod": {"environment": "x"}}))
    assert pod["spec"] == {"serverless": {"cloud": "aws", "region": "us-east-1"}}


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_dense_vector_keeps_its_name_and_metric(store: PineconeStore, metric: Metric) -> None:
    subject = create(store, VectorSpec("body", dim=8, metric=metric))
    found = store.describe(subject.ref.name)
    [spec] = found.vectors
    assert (spec.name, spec.kind, spec.dim, spec.metric) == ("body", "dense", 8, metric)
    assert found.options["spec"] == {"serverless": {"cloud": "aws", "region": "us-east-1"}}
    point = Point(Key("docs", "", "a"), Image({"body": dense(8, 1)}))
    assert subject.put([point]) == []
    assert subject.get(point.key) == [point]
    store.drop(subject.ref.name)


def test_dense_and_sparse_vectors_stand_side_by_side(store: PineconeStore) -> None:
    subject = create(store, DENSE, SPARSE)
    assert [spec.name for spec in store.describe(subject.ref.name).vectors] == ["", "words"]
    both = Point(Key("docs", "", "both"), Image({"": dense(8, 1), "words": vector_of(SPARSE, 1)}))
    one = Point(Key("docs", "", "one"), Image({"": dense(8, 2)}))
    bare = Point(Key("docs", "", "bare"), Image({"words": vector_of(SPARSE, 2)}))
    assert [failure.key for failure in subject.put([both, one, bare])] == [bare.key]
    assert subject.get(both.key, one.key, bare.key) == [both, one, None]
    store.drop(subject.ref.name)


def test_sparse_vectors_that_no_tag_tells_of_are_found_in_a_sample(
    store: PineconeStore, other: PineconeStore
) -> None:
    """As an application makes such an index: dotproduct, and both kinds in its records."""
    name = new_name(store.capabilities)
    store.create(Collection(name, (DENSE,)))
    assert [spec.kind for spec in store.describe(name).vectors] == ["dense"]
    layout = store._schemas.layout(name)
    store._schemas._layouts[name] = Layout(layout.url, layout.dense, SPARSE, layout.metric)
    image = Image({"": dense(8, 1), "words": vector_of(SPARSE, 1)})
    assert store.write(Ref(name, name), [Write(Key(name, "red", "a"), image)]) == []
    found = other.describe(name)
    assert [(spec.name, spec.kind) for spec in found.vectors] == [
        ("", "dense"),
        ("sparse", "sparse"),
    ]
    assert found.namespaces == ("red",)
    store.drop(name)


def test_an_index_of_pods_is_refused(store: PineconeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = {"name": "docs", "spec": {"pod": {"environment": "x"}}, "metric": "cosine"}
    monkeypatch.setattr(store._schemas, "_index", lambda name: pod)
    with pytest.raises(ConfigError, match="serverless"):
        store.describe("docs")


def test_creating_waits_until_the_index_is_ready_and_leaves_no_half_of_one(
    store: PineconeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.stores.pinecone.schema._READY_PAUSE_S", 0.0)
    name = new_name(store.capabilities)
    real = store._schemas._index
    answers = [False, False, True]

    def slow(asked: str) -> object:
        index = real(asked)
        if index is not None and answers:
            index["status"] = {"ready": answers.pop(0)}
        return index

    monkeypatch.setattr(store._schemas, "_index", slow)
    store.create(Collection(name, (DENSE,)))
    assert not answers
    store.drop(name)

    monkeypatch.setattr("vecferry.stores.pinecone.schema._READY_MAX_S", 0.0)
    answers[:] = [False] * 9
    with pytest.raises(ConfigError, match="not ready"):
        store.create(Collection(name, (DENSE,)))
    answers.clear()
    assert name not in store.collections()
