"""Payload fields by path: each operation, what it refuses, and what it never tells."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vecferry.errors import RecordError
from vecferry.mapping import fields
from vecferry.mapping.fields import parse_path
from vecferry.payload import encode_payload
from vecferry.testing.strategies import json_values, payloads
from vecferry.transform_settings import Condition

names = st.text(st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=5)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)


def renamed(payload: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    fields.rename(payload, {parse_path(old): parse_path(new)})
    return payload


def holds(payload: dict[str, Any], path: str, **condition: Any) -> bool:
    return fields.matches(payload, parse_path(path), Condition(**condition))


def test_a_path_leads_through_objects_at_its_dots() -> None:
    assert parse_path("a") == ("a",)
    assert parse_path("a.b.c") == ("a", "b", "c")
    assert parse_path("a\\.b.c") == ("a.b", "c")


# --- rename ---


def test_a_field_is_renamed_into_and_out_of_an_object() -> None:
    assert renamed({"a": 1, "z": 0}, "a", "meta.a") == {"z": 0, "meta": {"a": 1}}
    assert renamed({"meta": {"a": 1, "b": 2}}, "meta.a", "a") == {"meta": {"b": 2}, "a": 1}


def test_an_object_that_a_rename_empties_goes() -> None:
    assert renamed({"m": {"n": {"a": 1}}}, "m.n.a", "a") == {"a": 1}


def test_an_absent_field_is_not_renamed() -> None:
    assert renamed({"b": 1}, "a", "c") == {"b": 1}
    assert renamed({"b": 1}, "b.c", "c") == {"b": 1}


def test_two_fields_swap_their_names() -> None:
    payload = {"a": 1, "b": 2}
    fields.rename(payload, {("a",): ("b",), ("b",): ("a",)})
    assert payload == {"a": 2, "b": 1}


def test_a_rename_onto_another_field_is_refused_and_tells_no_value() -> None:
    with pytest.raises(RecordError, match="renamed to 'b'") as refused:
        renamed({"a": "hidden", "b": "private"}, "a", "b")
    assert "hidden" not in str(refused.value)
    assert "private" not in str(refused.value)


def test_a_rename_below_what_is_no_object_is_refused() -> None:
    with pytest.raises(RecordError, match=r"'b' is a text, not an object"):
        renamed({"a": 1, "b": "text"}, "a", "b.c")


@given(payloads, paths, paths, json_values)
def test_renamed_there_and_back_is_the_identity(
    payload: dict[str, Any], old: tuple[str, ...], new: tuple[str, ...], value: Any
) -> None:
    assume(old[: len(new)] != new[: len(old)])  # neither is within the other
    assume(new[0] not in payload)
    try:
        fields.put(payload, old, value)
    except RecordError:
        assume(False)
    assume(new[0] not in payload or new[0] == old[0])
    before = copy.deepcopy(payload)
    fields.rename(payload, {old: new})
    assert encode_payload(payload) != encode_payload(before)
    fields.rename(payload, {new: old})
    assert encode_payload(payload) == encode_payload(before)


# --- drop, keep, set ---


def test_dropped_fields_are_gone_and_their_objects_stay() -> None:
    payload = {"a": {"b": 1}, "c": 2, "d": 3}
    fields.drop(payload, [("a", "b"), ("c",), ("missing", "too")])
    assert payload == {"a": {}, "d": 3}


def test_kept_fields_are_all_that_is_left() -> None:
    payload = {"a": {"b": 1, "c": 2}, "d": 3}
    assert fields.keep(payload, [("a", "b"), ("x",)]) == {"a": {"b": 1}}
    assert fields.keep(payload, [("a", "b"), ("a",)]) == {"a": {"b": 1, "c": 2}}
    assert fields.keep(payload, []) == {}


def test_a_set_value_replaces_what_was_there() -> None:
    payload: dict[str, Any] = {"a": 1}
    fields.put(payload, ("a",), [1])
    fields.put(payload, ("b", "c"), None)
    assert payload == {"a": [1], "b": {"c": None}}


@given(json_values)
def test_a_fresh_value_is_equal_and_another_one(value: Any) -> None:
    made = fields.fresh(value)
    assert encode_payload({"": made}) == encode_payload({"": value})
    if isinstance(value, dict | list) and value:
        assert made is not value


# --- cast ---


@pytest.mark.parametrize(
    ("wanted", "before", "after"),
    [
        ("int", 3.0, 3),
        ("int", "-12", -12),
        ("int", True, 1),
        ("int", "123456789012345678901234567890", 123456789012345678901234567890),
        ("float", 3, 3.0),
        ("float", "1.5e3", 1500.0),
        ("float", False, 0.0),
        ("text", 3, "3"),
        ("text", 1.0, "1.0"),
        ("text", True, "true"),
        ("bool", "false", False),
        ("bool", 1, True),
        ("bool", 0.0, False),
        ("int", None, None),
        ("int", ["1", 2.0, None], [1, 2, None]),
    ],
)
def test_a_cast_changes_the_type_and_keeps_the_value(wanted: Any, before: Any, after: Any) -> None:
    payload = {"f": before}
    fields.cast(payload, ("f",), wanted)
    assert encode_payload(payload) == encode_payload({"f": after})


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("int", 1.5),
        ("int", "1.0"),
        ("int", "secret"),
        ("int", 1e400),
        ("int", {}),
        ("float", 2**53 + 1),
        ("float", 10**400),
        ("float", "nan"),
        ("float", "1e999"),
        ("text", {"a": 1}),
        ("text", [[]]),
        ("bool", 2),
        ("bool", "yes"),
        ("int", ["1", "secret"]),
    ],
)
def test_a_cast_that_would_change_the_value_is_refused(wanted: Any, value: Any) -> None:
    payload = {"f": value}
    with pytest.raises(
        RecordError, match=rf"'f' is an? \w+ that cannot become {wanted}"
    ) as refused:
        fields.cast(payload, ("f",), wanted)
    assert "secret" not in str(refused.value)


def test_an_absent_field_is_not_cast() -> None:
    payload: dict[str, Any] = {}
    fields.cast(payload, ("f",), "int")
    assert payload == {}


# --- conditions ---


def test_equals_holds_numbers_by_value_and_tells_true_from_one() -> None:
    assert holds({"f": 1}, "f", equals=1.0)
    assert not holds({"f": 1}, "f", equals=True)
    assert not holds({"f": True}, "f", equals=1)
    assert not holds({"f": {"a": [True]}}, "f", equals={"a": [1]})
    assert holds({"f": {"a": [2.0]}}, "f", equals={"a": [2]})
    assert holds({"f": {"g": "x"}}, "f.g", equals="x")


def test_one_of_contains_and_ranges() -> None:
    assert holds({"f": "a"}, "f", one_of=["a", "b"])
    assert not holds({"f": "c"}, "f", one_of=["a", "b"])
    assert holds({"f": ["a"]}, "f", contains="a")
    assert not holds({"f": "a"}, "f", contains="a")
    assert holds({"f": 5}, "f", at_least=5, below=6.5)
    assert not holds({"f": 5}, "f", above=5)
    assert not holds({"f": "5"}, "f", at_least=1)
    assert not holds({"f": True}, "f", at_least=0)
    assert not holds({"f": None}, "f", at_most=0)
    assert holds({"f": "2024-05"}, "f", at_least="2024", at_most="2024-12")


def test_an_absent_field_fulfils_nothing_but_that_it_is_absent() -> None:
    assert holds({}, "f", exists=False)
    assert not holds({}, "f", exists=True)
    assert not holds({}, "f", equals=1)
    assert not holds({}, "f", exists=False, equals=1)
    assert holds({"f": None}, "f", exists=True)
    assert not holds({"f": None}, "f", exists=False)
