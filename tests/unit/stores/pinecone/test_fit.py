"""What `fit` does not name comes back bit by bit; what it calls dropped is refused."""

import numpy as np
import pytest

from vecferry.model import Collection, Dense, Image, Key, Sparse, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import FitPart, Write
from vecferry.stores.pinecone import PineconeStore
from vecferry.testing.subjects import create, dense, vector_of

DENSE = VectorSpec("", dim=8, metric="dot")
SPARSE = VectorSpec("words", "sparse", metric="dot")
BOTH = Collection("docs", (DENSE, SPARSE))
ZEROS = Dense("float32", 8, bytes(32))
SMALL = Dense("int8", 8, bytes(range(8)))

CASES = {
    "all of it": (
        Key("docs", "", "a"),
        Image({"": dense(8, 1), "words": vector_of(SPARSE, 1)}),
        {},
    ),
    "an integer id": (Key("docs", "", 5), Image({"": dense(8, 1)}), {"id": "carried"}),
    "a namespace": (Key("docs", "Grün", "a"), Image({"": dense(8, 1)}), {}),
    "a long one": (Key("docs", "x" * 600, "a"), Image({"": dense(8, 1)}), {"id": "dropped"}),
    "small numbers": (Key("docs", "", "a"), Image({"": SMALL}), {"vectors.": "widened"}),
    "zeros": (Key("docs", "", "a"), Image({"": ZEROS}), {"vectors.": "dropped"}),
    "no dense one": (
        Key("docs", "", "a"),
        Image({"words": vector_of(SPARSE, 1)}),
        {"vectors.": "dropped"},
    ),
    "a stranger": (
        Key("docs", "", "a"),
        Image({"": dense(8, 1), "x": dense(8, 1)}),
        {"vectors.x": "dropped"},
    ),
    "awkward fields": (
        Key("docs", "", "a"),
        Image(
            {"": dense(8, 1)},
            encode_payload(
                {"kept": 1, "null": None, "$x": "a", "_vf_y": "b", "far": 2**60, "f": 3.0}
            ),
        ),
        {
            "payload.null": "carried",
            "payload.$x": "carried",
            "payload._vf_y": "carried",
            "payload.far": "carried",
            "payload.f": "carried",
        },
    ),
    "too much": (
        Key("docs", "", "a"),
        Image({"": dense(8, 1)}, encode_payload({"text": "x" * 41_000})),
        {"payload": "dropped"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_rating_is_what_happens(store: PineconeStore, case: str) -> None:
    key, image, wanted = CASES[case]
    fits = store.fit(BOTH, key, image)
    assert {fit.field: fit.rating for fit in fits} == wanted
    assert all(fit.reason for fit in fits)
    subject = create(store, DENSE, SPARSE)
    refused = store.write(subject.ref, [Write(key, image)])
    assert bool(refused) is ("dropped" in wanted.values())
    [found] = subject.get(key)
    if refused:
        assert found is None
    elif "widened" not in wanted.values():
        assert found is not None
        assert (found.key, found.image) == (key, image)
    store.drop(subject.ref.name)


def test_an_empty_sparse_vector_is_an_absent_one(store: PineconeStore) -> None:
    image = Image({"": dense(8, 1), "words": Sparse(b"", b"")})
    subject = create(store, DENSE, SPARSE)
    assert store.write(subject.ref, [Write(Key("docs", "", "a"), image)]) == []
    [found] = subject.get(Key("docs", "", "a"))
    assert found is not None
    assert list(found.image.vectors) == [""]
    store.drop(subject.ref.name)


def test_the_store_has_the_part(store: PineconeStore) -> None:
    assert isinstance(store, FitPart)
    widened = Image({"": SMALL})
    assert np.frombuffer(SMALL.data, "i1").any()
    assert store.fit(BOTH, Key("docs", "", "a"), widened)[0].rating == "widened"
