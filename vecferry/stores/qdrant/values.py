"""Payloads between canonical JSON and Qdrant's ``Value`` maps.

``Value`` keeps int64 apart from double and null from missing, as JSON does here.
What it cannot hold, integers beyond int64 and what is nested deeper than a
server's parser goes, is told apart for ``_vf_x``.
"""

import math
from collections.abc import Mapping
from typing import Any

from vecferry.errors import RecordError
from vecferry.payload import decode_payload, has_long_digits

NESTING_MAX = 24
"""Lists and objects within each other. A server's parser stops at 100 messages, and
an object is three of them."""

_INT64 = 2**63


def split_payload(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that Qdrant can hold, and those that it cannot.

    Raises:
        RecordError: The bytes are not a JSON object.
    """
    payload = decode_payload(data)
    if not _is_suspect(data):
        return payload, {}
    carried = {name: value for name, value in payload.items() if not _fits(value, NESTING_MAX)}
    kept = {name: value for name, value in payload.items() if name not in carried}
    return kept, carried


def _is_suspect(data: bytes) -> bool:
    # a look at the bytes spares a walk through nearly every payload
    return data.count(b"{") + data.count(b"[") > NESTING_MAX or has_long_digits(data)


def _fits(value: Any, nesting: int) -> bool:
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    if isinstance(value, dict):
        return nesting > 0 and all(_fits(inner, nesting - 1) for inner in value.values())
    if isinstance(value, list):
        return nesting > 0 and all(_fits(inner, nesting - 1) for inner in value)
    return True


def fill_payload(fields: Any, payload: Mapping[str, Any]) -> None:
    """Write a payload into a ``map<string, Value>``.

    Raises:
        RecordError: A number is NaN or infinite, or a text is not Unicode.
    """
    try:
        for name, value in payload.items():
            _fill(fields[name], value)
    except (ValueError, TypeError) as error:
        raise RecordError(f"a payload field cannot be written: {type(error).__name__}") from error


def _fill(message: Any, value: Any) -> None:
    if isinstance(value, str):
        message.string_value = value
    elif value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        message.integer_value = value
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise RecordError(f"a payload number is {value}")
        message.double_value = value
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        for name, inner in value.items():
            _fill(message.struct_value.fields[name], inner)
    else:
        values = message.list_value
        values.SetInParent()
        for inner in value:
            _fill(values.values.add(), inner)


def read_payload(fields: Any) -> dict[str, Any]:
    """Return a ``map<string, Value>`` as JSON values."""
    return {name: _read(value) for name, value in fields.items()}


def _read(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return read_payload(message.struct_value.fields)
    if kind == "list_value":
        return [_read(inner) for inner in message.list_value.values]
    if kind is None or kind == "null_value":
        return None
    return getattr(message, kind)
