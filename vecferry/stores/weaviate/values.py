"""Payloads between canonical JSON and Weaviate's properties.

A field becomes a property where the class declares one of that name whose type
gives the very value back; all others are carried in ``_vf_x``.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from vecferry.errors import HaltError
from vecferry.payload import decode_payload

_WHOLE_MAX = 2**53
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{0,8}[1-9])?Z")


class Split(NamedTuple):
    """A payload's fields that properties hold as they are, and the others."""

    kept: dict[str, Any]
    carried: dict[str, Any]


def split_payload(data: bytes, types: Mapping[str, str]) -> Split:
    """Tell the fields of a payload apart.

    Raises:
        RecordError: The bytes are not a JSON object.
    """
    kept: dict[str, Any] = {}
    carried: dict[str, Any] = {}
    for name, value in decode_payload(data).items():
        fits = name in types and holds(types[name], value)
        (kept if fits else carried)[name] = value
    return Split(kept, carried)


def holds(kind: str, value: Any) -> bool:
    """Whether a property of that data type gives the very value back."""
    if kind.endswith("[]"):
        one = _HOLDS.get(kind[:-2])
        return bool(one and isinstance(value, list) and value and all(map(one, value)))
    one = _HOLDS.get(kind)
    return one is not None and one(value)


def _int(value: Any) -> bool:
    # they travel as doubles
    return type(value) is int and -_WHOLE_MAX <= value <= _WHOLE_MAX


def _number(value: Any) -> bool:
    return type(value) is float and not (value == 0 and math.copysign(1, value) < 0)


def _date(value: Any) -> bool:
    # another spelling of the same moment would come back as this one
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    try:
        return datetime.fromisoformat(match[1]).year > 0
    except ValueError:
        return False


def _uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


_HOLDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "int": _int,
    "number": _number,
    "boolean": lambda value: isinstance(value, bool),
    "date": _date,
    "uuid": _uuid,
}


def fill_properties(message: Any, fields: Mapping[str, Any]) -> None:
    """Write fields that :func:`holds` let through into ``BatchObject.Properties``."""
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(value, list):
            plain[name] = value
        elif isinstance(value[0], bool):
            message.boolean_array_properties.add(prop_name=name, values=value)
        elif isinstance(value[0], int):
            message.int_array_properties.add(prop_name=name, values=value)
        elif isinstance(value[0], float):
            data = np.array(value, "<f8").tobytes()
            message.number_array_properties.add(prop_name=name, values_bytes=data)
        else:
            message.text_array_properties.add(prop_name=name, values=value)
    message.non_ref_properties.update(plain)


def read_properties(message: Any) -> dict[str, Any]:
    """Return a ``Properties`` as a payload's values; what is null is not there."""
    return {
        name: read_value(value)
        for name, value in message.fields.items()
        if value.WhichOneof("kind") != "null_value"
    }


def read_value(value: Any) -> Any:
    """Return one ``Value`` as JSON's.

    Raises:
        HaltError: It is of a kind that this Vecferry does not know.
    """
    kind = value.WhichOneof("kind")
    inner: Any = getattr(value, kind) if kind else None
    if kind in _PLAIN:
        return inner
    if kind == "object_value":
        return read_properties(inner)
    if kind == "list_value":
        return _read_list(inner)
    if kind in ("geo_value", "phone_value"):
        return {field.name: found for field, found in inner.ListFields()} | (
            {"latitude": inner.latitude, "longitude": inner.longitude} if kind[0] == "g" else {}
        )
    raise HaltError(f"Weaviate gave a value of the kind {kind}, which is not known here")


_PLAIN = {
    f"{kind}_value" for kind in ("number", "bool", "date", "uuid", "int", "blob", "text", "string")
}


def _read_list(message: Any) -> list[Any]:
    kind = message.WhichOneof("kind")
    if kind is None:
        return []
    values = getattr(message, kind).values
    if kind == "object_values":
        return [read_properties(value) for value in values]
    if kind in ("int_values", "number_values"):
        found: list[Any] = np.frombuffer(values, "<i8" if kind[0] == "i" else "<f8").tolist()
        return found
    return list(values)
