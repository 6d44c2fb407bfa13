"""What a store tells beforehand of an image is what becomes of it."""

import struct

import pytest

from vecferry.model import Dense, Id, Image, Key, Multi, Sparse, VectorSpec
from vecferry.payload import decode_payload, encode_payload
from vecferry.ports import FitPart, Store, Write
from vecferry.testing.subjects import LOGICAL, Subject, create

PAYLOADS: dict[str, dict[str, object]] = {
    "plain": {"a": 1, "b": "x", "c": [1, 2], "d": {"e": None}},
    "beyond 64 bits": {"a": 2**70, "b": "x"},
    "beyond doubles": {"a": 2**53 + 1},
    "reserved": {"_vf_mine": 1, "b": "x"},
    "deep": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]], "b": "x"},
    "null": {"a": None},
    "mixed": {"a": [1, "x", None]},
}
IDS: list[Id] = [7, -7, 2**64 - 1, "seven"]


def foretell(store: Store, subject: Subject, key: Key, image: Image) -> dict[str, str]:
    if not isinstance(store, FitPart):
        pytest.skip("this store tells nothing beforehand")
    return {
        fit.field: fit.rating for fit in store.fit(store.describe(subject.ref.name), key, image)
    }


def back_again(store: Store, subject: Subject, key: Key, image: Image) -> Image | None:
    """Return what is read after writing, None where it was refused."""
    if store.write(subject.ref, [Write(key, image)]):
        return None
    (point,) = store.read(subject.ref, [key])
    return None if point is None else point.image


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("number", IDS, ids=str)
def test_a_payload_comes_back_unless_the_store_said_otherwise(
    store: Store, shared: Subject, name: str, number: Id
) -> None:
    key = Key(LOGICAL, "", number)
    image = Image(shared.point(0).image.vectors, encode_payload(PAYLOADS[name]))
    told = foretell(store, shared, key, image)
    found = back_again(store, shared, key, image)
    if "dropped" in told.values():
        assert found is None or found != image
        return
    assert found is not None
    before, after = decode_payload(image.payload), decode_payload(found.payload)
    for field, value in before.items():
        if told.get(f"payload.{field}", "exact") in ("exact", "carried", "widened"):
            assert after.get(field) == value, field


@pytest.mark.parametrize("norm", [1.0, 2.0], ids=["unit", "longer"])
def test_a_cosine_vector_keeps_its_bits_unless_the_store_said_otherwise(
    store: Store, norm: float
) -> None:
    if "cosine" not in store.capabilities.metrics:
        pytest.skip("no cosine")
    name = store.capabilities.unnamed_vector
    subject = create(store, VectorSpec(name, dim=4, metric="cosine"))
    vector = Dense("float32", 4, struct.pack("<4f", 0.5 * norm, 0.5 * norm, 0.5 * norm, 0.5 * norm))
    key, image = Key(LOGICAL, "", 1), Image({name: vector})
    try:
        told = foretell(store, subject, key, image)
        found = back_again(store, subject, key, image)
    finally:
        store.drop(subject.ref.name)
    assert found is not None
    kept = found.vectors[name] == vector
    assert kept == (f"vectors.{name}" not in told)
    assert told.get(f"vectors.{name}", "lossy") == "lossy"


def test_vectors_that_no_collection_of_the_kind_takes_are_told(
    store: Store, shared: Subject
) -> None:
    key = Key(LOGICAL, "", 2**20)
    (name, vector), *others = shared.point(0).image.vectors.items()
    assert isinstance(vector, Dense)
    nan = struct.pack(f"<{vector.dim}f", *([float("nan")] * vector.dim))
    wrong: list[Dense | Multi | Sparse] = [
        Dense("float32", vector.dim + 1, b"\0" * 4 * (vector.dim + 1)),
        vector._replace(data=nan),
    ]
    for bad in wrong:
        image = Image({name: bad, **dict(others)})
        assert foretell(store, shared, key, image)[f"vectors.{name}"] == "dropped"
        assert store.write(shared.ref, [Write(key, image)])
