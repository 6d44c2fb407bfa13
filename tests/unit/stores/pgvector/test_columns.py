import math
from typing import Any

import pytest
from hypothesis import given

from vecferry.payload import decode_payload, encode_payload
from vecferry.stores.pgvector.columns import (
    Column,
    cell_of,
    is_exact,
    json_text,
    selected,
    value_of,
)
from vecferry.testing.strategies import json_values


def column(type: str, base: str = "") -> Column:
    array = type.endswith("[]")
    return Column("n", type, base or type.removesuffix("[]"), array)


INT4, REAL = column("integer", "int4"), column("real", "float4")
MONEY, WHOLE = column("numeric(6,2)", "numeric"), column("numeric(4,0)", "numeric")
MOMENT = column("timestamp with time zone", "timestamptz")
SHORT, FIXED = column("character varying(3)", "varchar"), column("character(3)", "bpchar")


@pytest.mark.parametrize(
    ("where", "value", "cell"),
    [
        (INT4, 2**31 - 1, "2147483647"),
        (INT4, 2**31, None),
        (INT4, True, None),
        (INT4, 1.0, None),
        (INT4, "1", None),
        (column("bool"), True, "true"),
        (column("bool"), 1, None),
        (REAL, 0.5, "0.5"),
        (REAL, 0.1, None),
        (REAL, 1e300, None),
        (REAL, 1, None),
        (column("float8"), 0.1, "0.1"),
        (column("float8"), -0.0, "-0.0"),
        (column("float8"), "NaN", "NaN"),
        (column("float8"), "nan", None),
        (MONEY, "1.10", "1.10"),
        (MONEY, "1.1", None),
        (MONEY, "-0.00", None),
        (MONEY, "10000.00", None),
        (MONEY, 1.1, None),
        (WHOLE, 9999, "9999"),
        (WHOLE, 10000, None),
        (WHOLE, "NaN", "NaN"),
        (column("numeric"), "0.10", "0.10"),
        (column("numeric"), "1e5", None),
        (column("numeric"), "007", None),
        (column("text"), "a\0b", None),
        (column("text"), 'é"\\', 'é"\\'),
        (SHORT, "日本語", "日本語"),
        (SHORT, "four", None),
        (FIXED, "ab", "ab"),
        (FIXED, "ab ", None),
        (MOMENT, "2024-02-29T10:00:00+00:00", "2024-02-29T10:00:00+00:00"),
        (MOMENT, "2024-02-29T10:00:00.5+00:00", "2024-02-29T10:00:00.5+00:00"),
        (MOMENT, "2024-02-29T10:00:00.50+00:00", None),
        (MOMENT, "2024-02-29T10:00:00Z", None),
        (MOMENT, "2024-02-30T10:00:00+00:00", None),
        (column("timestamp(0) without time zone", "timestamp"), "2024-02-29T10:00:00", None),
        (column("date"), "2024-02-29", "2024-02-29"),
        (column("date"), "2023-02-29", None),
        (
            column("uuid"),
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        )
        * 1
        + ("6f9619ff-8b86-d011-b42d-00cf4fc964ff",),
        (column("uuid"), "6F9619FF-8B86-D011-B42D-00CF4FC964FF", None),
        (column("bytea"), "\\x00ff", "\\x00ff"),
        (column("bytea"), "\\x0", None),
        (column("inet"), "10.0.0.1/8", "10.0.0.1/8"),
        (column("inet"), 5, None),
        (column("jsonb"), {"a": [1, 2.5]}, '{"a":[1,2.5]}'),
        (column("jsonb"), {"a": -0.0}, None),
        (column("json"), {"a": -0.0}, '{"a":-0.0}'),
        (column("json"), "nul \0", '"nul \\u0000"'),
        (column("text[]"), ["a", None, 'b"\\'], '{"a",NULL,"b\\"\\\\"}'),
        (column("text[]"), [], "{}"),
        (column("text[]"), "a", None),
        (column("integer[]", "int4"), [[1, 2], [3, 4]], '{{"1","2"},{"3","4"}}'),
        (column("integer[]", "int4"), [[1, 2], [3]], None),
        (column("integer[]", "int4"), [1, [2]], None),
        (column("integer[]", "int4"), [[], []], None),
        (column("integer[]", "int4"), [1.0], None),
    ],
)
def test_a_value_has_a_cell_only_where_it_comes_back(
    where: Column, value: Any, cell: str | None
) -> None:
    assert cell_of(where, value) == cell


def test_cells_become_values() -> None:
    assert value_of(WHOLE, "12345678901234567890") == 12345678901234567890
    assert value_of(WHOLE, "NaN") == "NaN"
    assert value_of(MONEY, "1.10") == "1.10"
    assert value_of(column("float8"), math.inf) == "Infinity"
    assert value_of(column("float8[]"), [1.0, None, -math.inf]) == [1.0, None, "-Infinity"]
    assert value_of(column("jsonb"), '{"a": 1.0}') == {"a": 1.0}
    assert value_of(column("jsonb[]"), ['{"a": 1}', None]) == [{"a": 1}, None]
    assert value_of(INT4, None) is None


def test_a_column_is_selected_in_a_form_that_loses_nothing() -> None:
    assert selected(INT4, '"n"') == '"n"'
    assert selected(MONEY, '"n"') == '"n"::text'
    assert selected(MOMENT, '"n"') == "to_json(\"n\")#>>'{}'"
    assert selected(column("numeric[]"), '"n"') == '"n"::text[]'


def test_only_types_whose_spelling_is_known_are_made_anew() -> None:
    exact = ("integer", "int4"), ("jsonb", ""), ("date", ""), ("text[]", "")
    assert all(is_exact(column(*one)) for one in exact)
    assert not any(is_exact(column(one)) for one in ("inet", "interval", "numeric[]"))


def as_jsonb(value: Any) -> Any:
    """What jsonb makes of a value: every number in decimal digits, no sign of a zero."""
    if isinstance(value, dict):
        return {name: as_jsonb(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return list(map(as_jsonb, value))
    if isinstance(value, float):
        if value == 0:
            return 0.0
        text = repr(value)
        return int(value) if "e+" in text else float(text)
    return value


@given(json_values)
def test_what_jsonb_is_given_comes_back_bit_for_bit(value: Any) -> None:
    text = json_text(value)
    if text is None:
        return
    assert "\\u0000" not in text
    read = decode_payload(b'{"v":%s}' % text.encode())["v"]
    spelled = encode_payload({"v": value})
    assert encode_payload({"v": read}) == spelled
    assert encode_payload({"v": as_jsonb(read)}) == spelled
