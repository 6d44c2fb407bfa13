"""Payloads: one payload, one spelling."""

import contextlib
import datetime
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.errors import RecordError
from vecferry.payload import decode_payload, encode_payload
from vecferry.testing import strategies

QUICK = settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
HUGE = 2**64 + 1


def types(value):
    if isinstance(value, dict):
        return {name: types(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [types(inner) for inner in value]
    return (type(value), repr(value))  # repr tells -0.0 from 0.0


@given(strategies.payloads)
@QUICK
def test_a_payload_comes_back_with_every_type_and_bit(payload):
    found = decode_payload(encode_payload(payload))
    assert types(found) == types(payload)


@given(strategies.payloads)
@QUICK
def test_reading_and_writing_again_gives_the_same_bytes(payload):
    data = encode_payload(payload)
    assert encode_payload(decode_payload(data)) == data


@given(strategies.payloads)
@QUICK
def test_the_order_of_names_does_not_matter(payload):
    turned = dict(reversed(list(payload.items())))
    assert encode_payload(turned) == encode_payload(payload)


@given(strategies.payloads)
@QUICK
def test_a_huge_number_beside_it_does_not_change_the_spelling_of_a_value(payload):
    # a number beyond 64 bits takes another way through the code
    apart = encode_payload({"a": payload})
    beside = encode_payload({"a": payload, "b": HUGE})
    assert beside == apart[:-1] + b',"b":%d}' % HUGE


@given(st.binary(max_size=40))
@QUICK
def test_any_bytes_are_an_object_or_a_record_error(data):
    for some in (data, b'{"a":' + data + b"}", b'{"a":12345678901234567890123,' + data + b"}"):
        with contextlib.suppress(RecordError):
            assert isinstance(decode_payload(some), dict)


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ({}, b"{}"),
        ({"b": 1, "a": [1.0, None, True]}, b'{"a":[1.0,null,true],"b":1}'),
        ({"n": 2**53 + 1}, b'{"n":9007199254740993}'),
        ({"n": -(2**63)}, b'{"n":-9223372036854775808}'),
        ({"n": HUGE}, b'{"n":18446744073709551617}'),
        ({"x": 0.1, "n": HUGE}, b'{"n":18446744073709551617,"x":0.1}'),
        ({"x": -0.0}, b'{"x":-0.0}'),
        ({"é": "\u2028\x01"}, '{"é":"\u2028\\u0001"}'.encode()),
        ({"e": {}, "l": [], "n": HUGE}, b'{"e":{},"l":[],"n":18446744073709551617}'),
    ],
)
def test_the_spelling_is_the_one_that_is_documented(payload, data):
    assert encode_payload(payload) == data
    assert types(decode_payload(data)) == types(payload)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("beside", [{}, {"n": HUGE}])
def test_what_json_has_no_number_for_is_refused(bad, beside):
    with pytest.raises(RecordError, match=r"nan|inf"):
        encode_payload({"a": {"b": [0.5, bad]}, **beside})


def test_the_refusal_of_nan_names_the_field_and_not_its_neighbours():
    with pytest.raises(RecordError, match=r"'a\.b\[1\]'") as caught:
        encode_payload({"a": {"b": ["confidential", math.nan]}})
    assert "confidential" not in str(caught.value)


def test_null_stays_null_and_missing_stays_missing():
    assert decode_payload(encode_payload({"a": None})) == {"a": None}
    assert decode_payload(encode_payload({})) == {}


@pytest.mark.parametrize(
    "payload",
    [
        {"a": "\ud800"},
        {"\udfff": 1},
        {1: "a"},
        {"a": {None: 1}},
        {"a": {1, 2}},
        {"a": b"bytes"},
        {"a": datetime.datetime(2024, 1, 1)},
        {"a": 10**5000},
    ],
)
@pytest.mark.parametrize("beside", [{}, {"n": HUGE}])
def test_what_json_cannot_say_is_refused(payload, beside):
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        encode_payload(payload | beside)


@pytest.mark.parametrize("value", [1e15, 1e16, 1e17, 1.5e300, 5e-324, 1e-7, 123456789.125, -0.0])
def test_a_float_is_spelled_alike_with_and_without_a_huge_number_beside_it(value):
    apart, beside = encode_payload({"x": value}), encode_payload({"n": HUGE, "x": value})
    assert beside.endswith(apart[1:])
    assert types(decode_payload(beside)["x"]) == types(value)


def test_nesting_that_never_ends_is_refused():
    endless = {}
    endless["a"] = endless
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        encode_payload(endless)


def test_deep_nesting_comes_back():
    value = 1
    for _ in range(300):  # deeper than the fast writer goes
        value = [value]
    assert decode_payload(encode_payload({"a": value})) == {"a": value}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity,"n":12345678901234567890123}',
        b'{"a":"\xff"}',
        b'{"n":12345678901234567890123,"a":"\xff"}',
        b'{"n":12345678901234567890123,"a":' + b"[" * 100_000,
    ],
)
def test_what_is_not_a_json_object_is_refused(data):
    with pytest.raises(RecordError, match="a payload"):
        decode_payload(data)
