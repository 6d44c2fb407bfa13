"""Payloads as canonical JSON: one payload, one spelling.

Sorted keys, no spaces, integers of any size apart from floats (``3`` is not
``3.0``), the shortest float that reads back the same bits, no NaN, UTF-8.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import orjson

from vecferry.errors import RecordError

# dates and dataclasses are not JSON: their spelling would be our invention
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


def encode_payload(payload: dict[str, Any]) -> bytes:
    """Return the canonical bytes of a payload.

    Raises:
        RecordError: It holds NaN, an infinity, or what JSON cannot say.
    """
    try:
        data = orjson.dumps(payload, option=_OPTIONS)
    except TypeError:  # integers beyond 64 bits, deep nesting, foreign types
        return _encode_slowly(payload)
    if b"null" in data:  # orjson writes NaN as null, and null must stay null
        _refuse_nan(payload, "")
    return data


def decode_payload(data: bytes) -> dict[str, Any]:
    """Return the payload; integers keep every digit.

    Raises:
        RecordError: The bytes are not a JSON object.
    """
    try:
        value = _load_slowly(data) if has_long_digits(data) else orjson.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"a payload of {len(data)} bytes is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RecordError(f"a payload is a {type(value).__name__}, not an object")
    return value


def has_long_digits(data: bytes) -> bool:
    """Whether somewhere 19 digits stand together, as an integer beyond 64 bits needs.

    orjson makes a float of such an integer. (Ten times faster than a regular expression.)
    """
    return _LONG_NUMBER in data.translate(_ZEROS)


def _load_slowly(data: bytes) -> Any:
    return json.loads(data.decode(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _encode_slowly(payload: dict[str, Any]) -> bytes:
    try:
        return b"".join(_spell(payload))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"a payload cannot be written as JSON: {error}") from error


def _spell(value: Any) -> Iterator[bytes]:
    # the same spelling as orjson's, so that it does not depend on what stands beside a value
    if isinstance(value, dict):
        separator = b"{"
        for name in sorted(value):
            if not isinstance(name, str):
                raise TypeError(f"a name is a {type(name).__name__}, not a text")
            yield separator + orjson.dumps(name) + b":"
            yield from _spell(value[name])
            separator = b","
        yield b"}" if value else b"{}"
    elif isinstance(value, list | tuple):
        separator = b"["
        for inner in value:
            yield separator
            yield from _spell(inner)
            separator = b","
        yield b"]" if value else b"[]"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield b"%d" % value
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a value is {value}")
        yield orjson.dumps(float(value))
    else:
        yield orjson.dumps(value, option=_OPTIONS)


def _refuse_nan(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_nan(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _refuse_nan(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"the payload field {path!r} is {value}, which JSON cannot hold")
