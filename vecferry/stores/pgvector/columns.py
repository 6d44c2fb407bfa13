"""Columns as payload fields: a value for each cell, and a cell for each value.

Numbers, truth values, texts and JSON are themselves. Every other type is the text
that Postgres writes for it (with the session's fixed habits: ISO dates, UTC, hex):
a numeric with a fraction, a timestamp, a uuid, bytes, a range. Such a text goes back
by Postgres' own reading of it. An array is a list of its elements' values.

A value that a column cannot hold exactly is None here, and the row carries it.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np

from vecferry.payload import decode_payload, encode_payload

_INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_TEXTS = ("text", "varchar", "bpchar")
_JSON = ("json", "jsonb")
_MOMENTS = ("timestamptz", "timestamp")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_NATIVE = (*_INTEGERS, "float4", "float8", "bool", "text", "varchar")


class Column(NamedTuple):
    """A column that is a field of the payload.

    Attributes:
        name: Of the column and the field.
        type: As a statement spells it, such as ``numeric(10,2)`` or ``text[]``.
        base: The type's own name, such as ``int4``; of an array, of its elements.
        array: Whether it is one.
        not_null: Whether it needs a value.
        computed: Whether the database makes the value itself.
    """

    name: str
    type: str
    base: str
    array: bool = False
    not_null: bool = False
    computed: bool = False

    @property
    def size(self) -> int:
        """The number in the type's brackets: characters, or digits; 0 where there is none."""
        found = re.search(r"\((\d+)", self.type)
        return int(found[1]) if found else 0

    @property
    def scale(self) -> int | None:
        """A numeric's digits behind the point, None where it takes any number of them."""
        found = re.search(r"\(\d+,(-?\d+)\)", self.type)
        return int(found[1]) if found else None


def selected(column: Column, quoted: str) -> str:
    """Return the expression that reads a column in the form that :func:`value_of` takes."""
    if column.base in _NATIVE:
        return quoted
    if column.array:
        return f"{quoted}::text[]"
    if column.base in _MOMENTS:  # with a T in the middle, as RFC 3339 has it
        return f"to_json({quoted})#>>'{{}}'"
    return f"{quoted}::text"


def value_of(column: Column, cell: Any) -> Any:
    """Return the payload's value of a cell."""
    if isinstance(cell, list):
        return [value_of(column, inner) for inner in cell]
    if cell is None:
        return None
    if column.base in _JSON:
        return decode_payload(b'{"v":%s}' % cell.encode())["v"]
    if isinstance(cell, float) and not math.isfinite(cell):
        return _not_finite(cell)
    if column.base == "numeric" and column.scale == 0 and cell not in _NOT_FINITE:
        return int(cell)
    return cell


def _not_finite(cell: float) -> str:
    if math.isnan(cell):
        return "NaN"
    return "Infinity" if cell > 0 else "-Infinity"


def cell_of(column: Column, value: Any) -> str | None:
    """Return the text that Postgres reads as exactly this value, or None where there is none."""
    if column.array:
        return _array(column, value) if isinstance(value, list) else None
    text = _spell(column, value)
    return None if text is None or "\0" in text else text


def _spell(column: Column, value: Any) -> str | None:
    if column.base in _JSON:
        return json_text(value) if column.base == "jsonb" else _json(value)
    if column.base in _INTEGERS:
        limit = _INTEGERS[column.base]
        return str(value) if _is_whole(value) and -limit <= value < limit else None
    if column.base == "bool":
        return {True: "true", False: "false"}[value] if isinstance(value, bool) else None
    if column.base in ("float4", "float8"):
        return _float(column.base, value)
    if column.base == "numeric" and column.scale == 0:
        fits = _is_whole(value) and len(str(abs(value))) <= column.size
        return str(value) if fits or value in _NOT_FINITE[:1] else None
    if not isinstance(value, str):
        return None
    if column.base in _TEXTS:
        return value if _fits(column, value) else None
    check = _SPELLINGS.get(column.base)
    return value if check is None or check(column, value) else None


def is_exact(column: Column) -> bool:
    """Whether it is known which texts Postgres gives back as they were written."""
    return column.base in (*_NATIVE, *_TEXTS, *_JSON) or (
        column.base in _SPELLINGS and not column.array
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fits(column: Column, value: str) -> bool:
    if column.base == "bpchar":  # filled up with spaces, and read without them
        return len(value) <= (column.size or 1) and not value.endswith(" ")
    return not column.size or len(value) <= column.size


def _float(base: str, value: Any) -> str | None:
    if isinstance(value, str):
        return value if value in _NOT_FINITE else None
    if not isinstance(value, float):
        return None
    if base == "float4":
        with np.errstate(over="ignore"):
            if float(np.float32(value)) != value:
                return None
    return repr(value)


def _json(value: Any) -> str:
    return encode_payload({"v": value})[len(b'{"v":') : -1].decode()


def _numeric(column: Column, value: str) -> bool:
    if value in _NOT_FINITE[:1]:
        return True
    found = re.fullmatch(r"-?(0|[1-9]\d*)(?:\.(\d+))?", value)
    if found is None or re.fullmatch(r"-[0.]+", value):
        return False
    if column.scale is None:
        return True
    return len(found[2] or "") == column.scale and len(found[1]) <= column.size - column.scale


def _moment(column: Column, value: str) -> bool:
    zone = r"\+00:00" if column.base == "timestamptz" else ""
    pattern = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{{0,5}}[1-9])?{zone}"
    if "(" in column.type or not re.fullmatch(pattern, value):
        return False
    return _reads(datetime.fromisoformat, value)


def _reads(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


_SPELLINGS: Mapping[str, Callable[[Column, str], bool]] = {
    "numeric": _numeric,
    "timestamptz": _moment,
    "timestamp": _moment,
    "date": lambda _, value: (
        bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value)) and _reads(date.fromisoformat, value)
    ),
    "uuid": lambda _, value: bool(
        re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
    ),
    "bytea": lambda _, value: bool(re.fullmatch(r"\\x([0-9a-f]{2})*", value)),
}
"""The texts of a type that Postgres gives back letter by letter."""


def _array(column: Column, value: list[Any]) -> str | None:
    parts = []
    for inner in value:
        if inner is None:
            parts.append("NULL")
            continue
        if isinstance(inner, list):  # an empty inner list has no form in an array
            text = _array(column, inner) if inner else None
            if text is None:
                return None
            parts.append(text)
            continue
        text = cell_of(column._replace(array=False, type=column.type.removesuffix("[]")), inner)
        if text is None:
            return None
        parts.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    if len({_shape(inner) for inner in value}) > 1:
        return None
    return "{" + ",".join(parts) + "}"


def _shape(value: Any) -> tuple[int, ...]:
    """Return the lengths of nested lists: those of an array are all the same."""
    if not isinstance(value, list):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def json_text(value: Any) -> str | None:
    """Return the JSON text that jsonb gives back as this very value, or None.

    jsonb has no NUL in texts and no minus zero, and writes a number beyond 1e16 with
    all its digits, so that a float becomes an integer.
    """
    text = _json(value)
    if _SUSPICIOUS.search(text) and not _survives(value):
        return None
    return text


_SUSPICIOUS = re.compile(r"\\u0000|-0\.0|\de\d|\de\+")


def _survives(value: Any) -> bool:
    if isinstance(value, dict):
        return all("\0" not in name and _survives(inner) for name, inner in value.items())
    if isinstance(value, list):
        return all(map(_survives, value))
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        minus_zero = value == 0 and math.copysign(1, value) < 0
        return not minus_zero and abs(value) < 1e16
    return True
