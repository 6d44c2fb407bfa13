import pytest

from vecferry.errors import ConfigError
from vecferry.model import Image, Key, Point, VectorSpec
from vecferry.stores.pinecone import PineconeStore
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject, create, dense, vector_of


def test_the_best_of_all_namespaces_are_found(subject: Subject) -> None:
    points = [subject.point(f"id {n}", namespace=("red", "blue")[n % 2]) for n in range(20)]
    subject.put(points)
    query = points[7].image.vectors[""]
    [hits] = subject.store.search(subject.ref, "", [query], 5)
    assert hits[0].key == points[7].key
    assert [hit.score for hit in hits] == sorted(hit.score for hit in hits), "squared distances"
    assert len({hit.key.namespace for hit in hits}) == 2


def test_sparse_vectors_are_searched_by_their_own(store: PineconeStore) -> None:
    spec = VectorSpec("words", "sparse", metric="dot")
    subject = create(store, spec)
    points = [Point(Key("docs", "", n), Image({"words": vector_of(spec, n)})) for n in range(5)]
    subject.put(points)
    [hits] = store.search(subject.ref, "words", [vector_of(spec, 3)], 2)
    assert hits[0].key == points[3].key
    store.drop(subject.ref.name)


def test_a_vector_that_is_not_there_is_named(subject: Subject) -> None:
    with pytest.raises(ConfigError, match="no vector 'body'"):
        subject.store.search(subject.ref, "body", [dense(8, 1)], 5)


def test_a_search_sees_what_this_store_wrote(server: PineconeServer, subject: Subject) -> None:
    server.script(lag_s=0.3)
    point = subject.point("a")
    subject.put([point])
    [hits] = subject.store.search(subject.ref, "", [point.image.vectors[""]], 1)
    assert [hit.key for hit in hits] == [point.key]
