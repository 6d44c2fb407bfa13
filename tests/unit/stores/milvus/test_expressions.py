"""A value in a filter expression stays a value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecferry.ports import Bounds
from vecferry.stores.milvus import expressions
from vecferry.stores.milvus.expressions import INT_MIN


def unquoted(text):
    """Read a literal as both servers do: a backslash takes the next character."""
    assert text[0] == text[-1] == '"'
    inner = text[1:-1]
    assert not re.search(r'(?<!\\)(\\\\)*"', inner)
    assert "\n" not in inner
    names = {"n": "\n", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: names.get(found[1], found[1]), inner)


@given(st.text())
def test_every_string_comes_back_from_its_literal(text):
    assert unquoted(expressions.literal(text)) == text


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ('"] or true or id in ["', r'"\"] or true or id in [\""'),
        ("a\nb", r'"a\nb"'),
        ("ü", '"ü"'),
        (-5, "-5"),
        (INT_MIN, "(-9223372036854775807 - 1)"),
    ],
)
def test_a_value_is_spelled_so_that_it_stays_a_value(value, spelled):
    assert expressions.literal(value) == spelled


def test_the_smallest_integer_is_matched_without_being_spelled():
    assert expressions.any_of("id", [1, 2]) == "id in [1,2]"
    assert expressions.any_of("id", [INT_MIN]) == "id < -9223372036854775807"
    assert expressions.any_of("id", [INT_MIN, 7]) == "id in [7] or id < -9223372036854775807"


def test_bounds_without_a_low_begin_at_the_smallest_key():
    assert expressions.start_of(Bounds(), True) == INT_MIN
    assert expressions.start_of(Bounds(), False) == ""
    assert expressions.start_of(Bounds("", "12", None), True) == 12
    assert expressions.start_of(Bounds("", "12", None), False) == "12"
