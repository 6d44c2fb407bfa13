r"""Operations on a payload's fields, by path: rename, drop, keep, cast, set, and conditions.

A path leads through objects at its dots; ``\.`` is a dot of a name. Errors name
the path and the kinds of values, never a value.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from vecferry.errors import RecordError
from vecferry.payload import decode_payload, encode_payload
from vecferry.transform_settings import Condition, JsonType

Path = tuple[str, ...]
Payload = dict[str, Any]

_NOTHING = object()
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def parse_path(text: str) -> Path:
    """Split a path at its dots."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", text))


def rename(payload: Payload, names: Mapping[Path, Path]) -> None:
    """Move fields, all at once; an object that is emptied by it goes, too.

    Raises:
        RecordError: Something is at a new place already: it would be lost.
    """
    taken = [
        (new, value) for old, new in names.items() if (value := _take(payload, old)) is not _NOTHING
    ]
    for old in names:
        _prune(payload, old[:-1])
    for new, value in taken:
        if _get(payload, new) is not _NOTHING:
            raise RecordError(
                f"a field cannot be renamed to {_spell(new)}: the point has one of that name"
            )
        put(payload, new, value)


def drop(payload: Payload, paths: Iterable[Path]) -> None:
    """Leave fields out; the objects that they were in stay."""
    for path in paths:
        _take(payload, path)


def keep(payload: Payload, paths: Iterable[Path]) -> Payload:
    """Return a payload that has these fields and no others."""
    kept: Payload = {}
    for path in sorted(paths, key=len):  # an outer object before what is within it
        value = _get(payload, path)
        if value is not _NOTHING and _get(kept, path) is _NOTHING:
            put(kept, path, value)
    return kept


def put(payload: Payload, path: Path, value: Any) -> None:
    """Set a field, making the objects on the way to it.

    Raises:
        RecordError: Something else than an object is on the way.
    """
    inner: Any = payload
    for depth, name in enumerate(path[:-1], 1):
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecordError(
                f"{_spell(path)} cannot be set: {_spell(path[:depth])} is {_kind(inner)}, not an object"
            )
    inner[path[-1]] = value


def fresh(value: Any) -> Any:
    """Return a JSON value of its own, so that no two points share a list."""
    return decode_payload(encode_payload({"": value}))[""]


def cast(payload: Payload, path: Path, wanted: JsonType) -> None:
    """Change a field's type, and that of each element where it is a list; null stays null.

    Raises:
        RecordError: The value would change: a fraction, a text that is no number.
    """
    value = _get(payload, path)
    if value is _NOTHING:
        return
    one = _CASTS[wanted]
    made = [
        _cast_one(one, each, path, wanted)
        for each in (value if isinstance(value, list) else [value])
    ]
    put(payload, path, made if isinstance(value, list) else made[0])


def matches(payload: Payload, path: Path, condition: Condition) -> bool:
    """Tell whether a field fulfils a condition; one that is absent fulfils ``exists = false`` alone."""
    value = _get(payload, path)
    if value is _NOTHING:
        return condition.model_fields_set == {"exists"} and condition.exists is False
    return all(
        _CONDITIONS[word](value, getattr(condition, word)) for word in condition.model_fields_set
    )


def _get(payload: Payload, path: Path) -> Any:
    inner: Any = payload
    for name in path:
        if not isinstance(inner, dict) or name not in inner:
            return _NOTHING
        inner = inner[name]
    return inner


def _take(payload: Payload, path: Path) -> Any:
    inner = _get(payload, path[:-1])
    return inner.pop(path[-1], _NOTHING) if isinstance(inner, dict) else _NOTHING


def _prune(payload: Payload, path: Path) -> None:
    while path and _get(payload, path) == {}:
        _take(payload, path)
        path = path[:-1]


def _spell(path: Path) -> str:
    return repr(".".join(name.replace(".", "\\.") for name in path))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a float"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object"


# --- casts: each returns _NOTHING for what it cannot say without a change ---


def _cast_one(one: Callable[[Any], Any], value: Any, path: Path, wanted: JsonType) -> Any:
    made = None if value is None else one(value)
    if made is _NOTHING:
        raise RecordError(f"{_spell(path)} is {_kind(value)} that cannot become {wanted} as it is")
    return made


def _to_int(value: Any) -> Any:
    match value:
        case bool() | int():
            return int(value)
        case float() if math.isfinite(value) and value.is_integer():
            return int(value)
        case str() if _INTEGER.fullmatch(value):
            return int(value)
    return _NOTHING


def _to_float(value: Any) -> Any:
    try:
        match value:
            case float():
                return value
            case bool() | int() if float(value) == value:
                return float(value)
            case str() if _NUMBER.fullmatch(value) and math.isfinite(made := float(value)):
                return made
    except OverflowError:
        pass
    return _NOTHING


def _to_text(value: Any) -> Any:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return orjson.dumps(value).decode()
    return _NOTHING


def _to_bool(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else _NOTHING
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value, _NOTHING)
    return _NOTHING


_CASTS: Mapping[JsonType, Callable[[Any], Any]] = {
    "int": _to_int,
    "float": _to_float,
    "text": _to_text,
    "bool": _to_bool,
}


# --- conditions ---


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, list) and isinstance(wanted, list | tuple):
        return len(value) == len(wanted) and all(map(_equal, value, wanted))
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(
            _equal(value[name], wanted[name]) for name in value
        )
    return bool(value == wanted)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, bound: Any) -> bool:
        if isinstance(value, bool) or isinstance(value, str) != isinstance(bound, str):
            return False
        return isinstance(value, int | float | str) and compare(value, bound)

    return holds


_CONDITIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": _equal,
    "one_of": lambda value, wanted: any(_equal(value, each) for each in wanted),
    "contains": lambda value, wanted: (
        isinstance(value, list) and any(_equal(each, wanted) for each in value)
    ),
    "at_least": _ordered(lambda value, bound: value >= bound),
    "above": _ordered(lambda value, bound: value > bound),
    "at_most": _ordered(lambda value, bound: value <= bound),
    "below": _ordered(lambda value, bound: value < bound),
    "exists": lambda _, wanted: bool(wanted),
}
