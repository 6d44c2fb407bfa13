import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecferry.errors import RecordError
from vecferry.model import Key
from vecferry.payload import encode_payload
from vecferry.stores.identity import unpack
from vecferry.stores.pinecone.metadata import (
    METADATA_BYTES_MAX,
    encode_metadata,
    read_metadata,
    split_payload,
)
from vecferry.stores.pinecone.places import owned_id

KEY = Key("docs", "red", 7)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def doubled(data: bytes) -> dict[str, object]:
    """Metadata as a service holds it: every number a double."""
    return {
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in json.loads(data).items()
    }


def came_back(payload: bytes, stored: dict[str, object]) -> bytes:
    own = owned_id(KEY, "red")
    key, fields = unpack(read_metadata(stored), own, "docs", lambda key: owned_id(key, "red"))
    assert key == KEY
    return encode_payload(fields)


@given(st.dictionaries(st.text(max_size=6), values, max_size=4))
def test_a_payload_comes_back_from_a_service_of_doubles(payload: dict[str, object]) -> None:
    data = encode_payload(payload)
    metadata = encode_metadata(data, KEY)
    for value in json.loads(metadata).values():
        texts = isinstance(value, list) and value and all(isinstance(v, str) for v in value)
        assert texts or isinstance(value, str | bool | int | float)
    assert came_back(data, doubled(metadata)) == data
    assert came_back(data, orjson.loads(metadata)) == data


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (3, True), (3.0, False), (3.5, True), (-0.0, False), (1e300, True), (2**53, True),
        (2**53 + 1, False), (True, True), (None, False), ("", True), ([], False), (["a"], True),
        ([1], False), ({}, False), (["a", None], False),
    ],
)  # fmt: skip
def test_what_metadata_holds_as_it_is(value: object, kept: bool) -> None:
    split = split_payload(encode_payload({"field": value}))
    assert ("field" in split.kept) is kept
    assert ("field" in split.carried) is not kept


@pytest.mark.parametrize("name", ["", "$or"])
def test_names_that_pinecone_refuses_are_carried(name: str) -> None:
    assert name in split_payload(encode_payload({name: "text"})).carried


def test_what_is_carried_counts_against_the_limit() -> None:
    fits = encode_payload({"text": "x" * (METADATA_BYTES_MAX - 100)})
    assert len(encode_metadata(fits, KEY)) <= METADATA_BYTES_MAX
    for value in ("x" * METADATA_BYTES_MAX, [[0] * (METADATA_BYTES_MAX // 2)]):
        with pytest.raises(RecordError, match=str(METADATA_BYTES_MAX)):
            encode_metadata(encode_payload({"text": value}), KEY)


def test_an_applications_own_whole_numbers_are_integers() -> None:
    found = read_metadata({"year": 2020.0, "ratio": 0.5, "huge": 1e300, "on": True, "tags": ["a"]})
    assert found == {"year": 2020, "ratio": 0.5, "huge": 1e300, "on": True, "tags": ["a"]}
    assert [type(value) for value in found.values()] == [int, float, float, bool, list]
    assert read_metadata(None) == {}
