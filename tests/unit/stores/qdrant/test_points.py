from uuid import UUID

import numpy as np
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Image, Key, Point, Sparse, VectorSpec
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.points import fill_point, native_id, read_id, read_point

ONE = np.array([1, 2], "<f4").tobytes()
UNNAMED = {"": VectorSpec("", dim=2)}
NAMED = {"a": VectorSpec("a", dim=2), "s": VectorSpec("s", kind="sparse")}


def through(key: Key, image: Image, layout) -> Point:
    """Write a point, read it as a server would send it."""
    written = wire.PointStruct()
    fill_point(written, key, image, layout)
    theirs = qdrant.PointStruct.FromString(written.SerializeToString())
    sent = wire.RetrievedPoint()
    sent.id.MergeFromString(theirs.id.SerializeToString())
    for name, value in theirs.payload.items():
        sent.payload[name].MergeFromString(value.SerializeToString())
    sent.vectors.MergeFromString(theirs.vectors.SerializeToString())
    return read_point(sent, "docs", layout)[1]


@pytest.mark.parametrize("identifier", [0, 2**64 - 1, -5, 2**64, "5", "", UUID(int=9), "ü\0"])
@pytest.mark.parametrize("namespace", ["", "tenant"])
def test_a_point_comes_back_under_its_key(identifier, namespace):
    key = Key("docs", namespace, identifier)
    image = Image({"": Dense("float32", 2, ONE)}, b'{"a":1,"b":1.0,"c":null}')
    assert through(key, image, UNNAMED) == Point(key, image)


def test_what_qdrant_cannot_hold_is_carried_and_comes_back():
    payload = b'{"_vf_id":"mine","big":123456789012345678901234567890,"u64":9223372036854775808}'
    image = Image({"": Dense("float32", 2, ONE)}, payload)
    assert through(Key("docs", "", 1), image, UNNAMED).image.payload == payload


def test_named_and_sparse_vectors_come_back():
    sparse = Sparse(np.array([3], "<u4").tobytes(), np.array([0.5], "<f4").tobytes())
    image = Image({"a": Dense("float32", 2, ONE), "s": sparse})
    assert through(Key("docs", "", 1), image, NAMED).image == image


def test_a_point_without_vectors_still_says_so():
    message = wire.PointStruct()
    fill_point(message, Key("docs", "", 1), Image({}), NAMED)
    assert message.vectors.HasField("vectors"), "a server refuses a point that says nothing"
    assert through(Key("docs", "", 1), Image({}), NAMED).image.vectors == {}


def test_a_uuid_in_another_spelling_is_the_same_key():
    message = wire.PointId(uuid="0F9C2A44-3A7B-4C0E-9D63-2F1B8C5E7A10")
    assert read_id(message) == UUID("0f9c2a44-3a7b-4c0e-9d63-2f1b8c5e7a10")
    assert native_id(Key("docs", "", read_id(message))) == read_id(message)


def test_a_point_without_our_field_is_under_its_native_id():
    message = wire.RetrievedPoint(id={"num": 7})
    message.payload["_vf_id"].integer_value = 3
    message.vectors.vector.dense.data = ONE
    _, point = read_point(message, "docs", UNNAMED)
    assert point == Point(
        Key("docs", "", 7), Image({"": Dense("float32", 2, ONE)}, b'{"_vf_id":3}')
    )


def test_an_unknown_vector_is_refused_by_name():
    image = Image({"b": Dense("float32", 2, ONE)})
    with pytest.raises(RecordError, match="no vector 'b'"):
        fill_point(wire.PointStruct(), Key("docs", "", 1), image, NAMED)


def test_a_vector_that_was_not_described_halts():
    message = wire.RetrievedPoint(id={"num": 7})
    message.vectors.vectors.vectors["new"].dense.data = ONE
    with pytest.raises(HaltError, match="plan again"):
        read_point(message, "docs", NAMED)
