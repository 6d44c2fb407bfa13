import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import grpc as qdrant

from vecferry.errors import RecordError
from vecferry.payload import encode_payload
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.deep import read_deep_payload
from vecferry.stores.qdrant.values import NESTING_MAX, fill_payload, read_payload, split_payload

SETTINGS = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


def message_of(payload: dict[str, object]) -> object:
    message = wire.RetrievedPoint()
    fill_payload(message.payload, payload)
    return message


@SETTINGS
@given(st.dictionaries(TEXT, JSON))
def test_every_payload_comes_back_with_its_types(payload):
    message = wire.RetrievedPoint.FromString(message_of(payload).SerializeToString())
    # compared as canonical bytes: 1 is not 1.0, and not true
    assert encode_payload(read_payload(message.payload)) == encode_payload(payload)


@SETTINGS
@given(st.dictionaries(TEXT, JSON))
def test_both_decoders_agree(payload):
    data = message_of(payload).SerializeToString()
    entries = wire.DeepGetResponse(result=[]).result.add()
    entries.MergeFromString(data)
    assert encode_payload(read_deep_payload(entries.payload)) == encode_payload(payload)


def test_the_values_are_what_the_vendors_client_reads():
    data = message_of({"a": 1, "b": 1.0, "c": None, "d": [], "e": {}}).SerializeToString()
    fields = qdrant.RetrievedPoint.FromString(data).payload
    kinds = {name: value.WhichOneof("kind") for name, value in fields.items()}
    assert kinds == {
        "a": "integer_value",
        "b": "double_value",
        "c": "null_value",
        "d": "list_value",
        "e": "struct_value",
    }


def test_null_is_not_missing():
    assert read_payload(message_of({"a": None}).payload) == {"a": None}


@pytest.mark.parametrize("fits", [2**63 - 1, -(2**63), 2**53 + 1])
def test_an_int64_is_kept(fits):
    assert split_payload(encode_payload({"a": [fits]})) == ({"a": [fits]}, {})


@pytest.mark.parametrize("beyond", [2**63, -(2**63) - 1, 2**64, 10**40])
def test_an_integer_beyond_int64_is_carried_with_its_whole_field(beyond):
    payload = {"a": {"b": [beyond, 1]}, "c": 5}
    assert split_payload(encode_payload(payload)) == ({"c": 5}, {"a": {"b": [beyond, 1]}})


def nested(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_what_is_nested_too_deep_for_a_server_is_carried():
    payload = {"ok": nested(NESTING_MAX), "deep": nested(NESTING_MAX + 1)}
    kept, carried = split_payload(encode_payload(payload))
    assert (set(kept), set(carried)) == ({"ok"}, {"deep"})


def test_the_deepest_payload_that_is_kept_can_be_parsed():
    value: object = 1
    for _ in range(NESTING_MAX):
        value = {"a": value}
    request = wire.UpsertPoints()
    fill_payload(request.points.add().payload, {"a": value})
    assert qdrant.UpsertPoints.FromString(request.SerializeToString())


@pytest.mark.parametrize("data", [b"[1]", b"{", b'{"a":' + b"[" * 100_000])
def test_what_is_not_a_payload_is_refused(data):
    with pytest.raises(RecordError):
        split_payload(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_refused(value):
    with pytest.raises(RecordError):
        message_of({"a": [value]})


def test_a_text_that_is_not_unicode_is_refused():
    with pytest.raises(RecordError):
        message_of({"a": "\ud800"})
