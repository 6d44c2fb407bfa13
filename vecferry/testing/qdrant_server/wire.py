"""gRPC messages to the JSON of the REST API and back, so that both run the same code.

Most messages have the fields of their JSON. What differs is in ``_SPECIAL``; an
enum's value is its name in snake case.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError

_RENAMED = {
    "with_vectors": "with_vector",
    "shard_key_selector": "shard_key",
    "sparse_vectors_config": "sparse_vectors",
    "vectors_config": "vectors",
    "datetime_range": "range",
    "turboquant": "turbo",
}
_WITHOUT_MEANING = {"collection_name", "read_consistency", "timeout", "ordering", "wait"}
"""A single node that applies at once is consistent; the callers take the name and wait."""

_NO_REQUESTS = {"CreateAlias", "LookupLocation"}
"""Parts of a request that name a collection and mean it."""


def require_known(message: Any) -> None:
    """Refuse a message with a field that this version of the protocol does not know.

    Raises:
        BadInputError: It has one.
    """
    if len(UnknownFieldSet(message)):
        raise BadInputError(f"unknown field in {message.DESCRIPTOR.name}")


def json_of(message: Any) -> Any:
    """Spell a message as the REST API would.

    Raises:
        BadInputError: It has a field that this version of the protocol does not know.
    """
    require_known(message)
    special = _SPECIAL.get(message.DESCRIPTOR.name)
    return special(message) if special is not None else fields_of(message)


def fields_of(message: Any) -> dict[str, Any]:
    """Spell the set fields of a message, by name."""
    descriptor = message.DESCRIPTOR
    request = "collection_name" in descriptor.fields_by_name
    request = request and descriptor.name not in _NO_REQUESTS
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if request and field.name in _WITHOUT_MEANING:
            continue
        name = _RENAMED.get(field.name, field.name)
        if name in found:
            raise BadInputError(f"{descriptor.name} says `{name}` twice")
        found[name] = _value(field, value)
    return found


def _value(field: Any, value: Any) -> Any:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        return {key: _value(inner, value[key]) for key in value}
    if field.is_repeated:
        return [_single(field, one) for one in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return json_of(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_name(field.enum_type, value)
    return value


def enum_name(enum: Any, number: int) -> str:
    """Spell a value of an enum as the REST API does."""
    value = enum.values_by_number.get(number)
    if value is None or value.name.startswith("Unknown"):
        raise BadInputError(f"{enum.name} has no value {number} that says something")
    name: str = value.name
    if enum.name == "Distance":
        return name
    name = name.removeprefix("FieldType")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _oneof(message: Any, name: str) -> tuple[str, Any]:
    which = message.WhichOneof(name)
    if which is None:
        raise BadInputError(f"{message.DESCRIPTOR.name} is empty")
    return which, getattr(message, which)


def _point_id(message: Any) -> Any:
    return _oneof(message, "point_id_options")[1]


def python_of(message: Any) -> Any:
    """Return what a ``Value`` holds."""
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        fields = message.struct_value.fields
        return {key: python_of(fields[key]) for key in fields}
    if kind == "list_value":
        return [python_of(one) for one in message.list_value.values]
    if kind is None:
        require_known(message)
    return None if kind in (None, "null_value") else getattr(message, kind)


def fill_value(message: Any, value: Any) -> None:
    """Write a Python value into a ``Value``."""
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        message.integer_value = value
    elif isinstance(value, int | float):
        message.double_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, Mapping):
        message.struct_value.SetInParent()
        for key, one in value.items():
            fill_value(message.struct_value.fields[key], one)
    else:
        message.list_value.SetInParent()
        for one in value:
            fill_value(message.list_value.values.add(), one)


def _condition(message: Any) -> Any:
    which, inner = _oneof(message, "condition_one_of")
    if which in ("field", "filter"):
        return json_of(inner)
    if which == "has_vector":
        return {which: inner.has_vector}
    if which == "has_id":
        return {which: [_point_id(one) for one in inner.has_id]}
    return {which: json_of(inner)}


_MATCHES = {
    "keyword": "value",
    "integer": "value",
    "boolean": "value",
    "keywords": "any",
    "integers": "any",
    "except_keywords": "except",
    "except_integers": "except",
}


def _match(message: Any) -> Any:
    which, value = _oneof(message, "match_value")
    if which.endswith("keywords"):
        value = list(value.strings)
    elif which.endswith("integers"):
        value = list(value.integers)
    return {_MATCHES.get(which, which): value}


def _selector(message: Any) -> Any:
    which, value = _oneof(message, "selector_options")
    if which == "enable":
        return value
    names = list(value.names if hasattr(value, "names") else value.fields)
    return {"exclude": names} if which == "exclude" else names


def _points_selector(message: Any) -> Any:
    which, value = _oneof(message, "points_selector_one_of")
    return {which: json_of(value)}


def _inner(oneof: str) -> Callable[[Any], Any]:
    def read(message: Any) -> Any:
        _, value = _oneof(message, oneof)
        return json_of(value) if hasattr(value, "DESCRIPTOR") else value

    return read


def _setting(message: Any) -> Any:
    which, value = _oneof(message, "variant")
    if which == "value":
        return value
    return enum_name(message.DESCRIPTOR.fields_by_name["setting"].enum_type, value)


def vector_of(message: Any) -> Any:
    """Spell a ``Vector`` or ``VectorInput``: a list, a list of lists, a sparse one, an id."""
    oneof = "variant" if message.DESCRIPTOR.name == "VectorInput" else "vector"
    which = message.WhichOneof(oneof)
    if which is None:
        return _vector_before_oneof(message)
    value = getattr(message, which)
    if which == "id":
        return _point_id(value)
    if which not in ("dense", "sparse", "multi_dense"):
        raise NotImplementedHereError(f"`{which}` as a vector is not implemented")
    return json_of(value)


def _vector_before_oneof(message: Any) -> Any:
    """Read the fields that clients used before the oneof was there."""
    if message.DESCRIPTOR.name == "VectorInput":
        raise BadInputError("VectorInput is empty")
    data = message.data[:]
    if message.HasField("indices"):
        return {"indices": message.indices.data[:], "values": data}
    if message.HasField("vectors_count"):
        if not message.vectors_count or len(data) % message.vectors_count:
            raise BadInputError("Wrong input: vectors_count does not divide the data")
        dim = len(data) // message.vectors_count
        return [data[at : at + dim] for at in range(0, len(data), dim)]
    return data


def _timestamp(message: Any) -> str:
    text: str = message.ToDatetime(UTC).isoformat()
    return text


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "PointId": _point_id,
    "PointsIdsList": lambda message: [_point_id(one) for one in message.ids],
    "Value": python_of,
    "Timestamp": _timestamp,
    "Condition": _condition,
    "Match": _match,
    "WithPayloadSelector": _selector,
    "WithVectorsSelector": _selector,
    "PointsSelector": _points_selector,
    "VectorsSelector": lambda message: list(message.names),
    "Vector": vector_of,
    "VectorInput": vector_of,
    "DenseVector": lambda message: message.data[:],
    "SparseVector": lambda message: {
        "indices": message.indices[:],
        "values": message.values[:],
    },
    "MultiDenseVector": lambda message: [one.data[:] for one in message.vectors],
    "StartFrom": _inner("value"),
    "ShardKey": _inner("key"),
    "VectorsConfig": _inner("config"),
    "VectorsConfigDiff": _inner("config"),
    "VectorParamsMap": lambda message: fields_of(message).get("map", {}),
    "VectorParamsDiffMap": lambda message: fields_of(message).get("map", {}),
    "SparseVectorConfig": lambda message: fields_of(message).get("map", {}),
    "MultiVectorConfig": lambda message: {"comparator": "max_sim"},
    "MaxOptimizationThreads": _setting,
    "BinaryQuantizationQueryEncoding": _setting,
    "Disabled": lambda message: "Disabled",
}


def fill(message: Any, body: Mapping[str, Any]) -> None:
    """Write JSON into a message that has its fields; null ones stay unset."""
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in body.items():
        if value is None:
            continue
        field = fields[name]
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            inner = getattr(message, name)
            for key, one in value.items():
                if kind.fields_by_name["value"].message_type.name == "Value":
                    fill_value(inner[key], one)
                else:
                    inner[key].SetInParent()
                    fill(inner[key], one)
        elif kind is not None:
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif field.type == FieldDescriptor.TYPE_ENUM:
            setattr(message, name, _enum_number(field.enum_type, value))
        else:
            setattr(message, name, value)


def _enum_number(enum: Any, name: str) -> int:
    for value in enum.values:
        if not value.name.startswith("Unknown") and enum_name(enum, value.number) == name:
            number: int = value.number
            return number
    raise BadInputError(f"{enum.name} has no value {name!r}")
