"""A property takes what it gives back as it is, and everything else is carried."""

from typing import Any

import pytest
from weaviate.proto.v1 import batch_pb2, properties_pb2

from vecferry.errors import HaltError
from vecferry.payload import encode_payload
from vecferry.stores.weaviate.values import fill_properties, holds, read_value, split_payload

HELD = {
    "text": ["", "a\u0000b", "日本"],
    "int": [0, -5, 2**53, -(2**53)],
    "number": [0.0, 3.0, 0.1, 1e300],
    "boolean": [True, False],
    "date": ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123456789Z"],
    "uuid": ["00000000-0000-0000-0000-000000000005"],
    "text[]": [["a", ""]],
    "int[]": [[1, 2]],
    "number[]": [[1.0, 0.5]],
    "boolean[]": [[True, False]],
    "date[]": [["2024-01-02T03:04:05Z"]],
    "uuid[]": [["00000000-0000-0000-0000-000000000005"]],
}
CARRIED = {
    "text": [1, None, ["a"]],
    "int": [3.0, True, 2**53 + 1, "1", None],
    "number": [3, -0.0, True, "1"],
    "boolean": [1, "true", None],
    "date": [
        "2024-01-02",
        "2024-01-02T03:04:05+00:00",
        "2024-01-02T03:04:05.10Z",
        "2024-13-02T03:04:05Z",
    ],
    "uuid": ["6F9619FF-8B86-D011-B42D-00C04FC964FF", "x"],
    "text[]": [[], ["a", None], "a"],
    "int[]": [[1, 2.0], [True]],
    "number[]": [[1, 2.0], [-0.0]],
    "object": [{"a": 1}],
    "geoCoordinates": [{"latitude": 1.0, "longitude": 2.0}],
    "phoneNumber": ["1"],
}


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in HELD for v in HELD[k]])
def test_a_value_of_a_property_s_type_is_held(kind: str, value: Any) -> None:
    assert holds(kind, value)
    split = split_payload(encode_payload({"a": value, "b": 1}), {"a": kind})
    assert split.kept == {"a": value}
    assert split.carried == {"b": 1}


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in CARRIED for v in CARRIED[k]])
def test_a_value_that_would_come_back_otherwise_is_carried(kind: str, value: Any) -> None:
    assert not holds(kind, value)


def test_lists_are_written_with_their_type() -> None:
    message = batch_pb2.BatchObject.Properties()
    fill_properties(message, {"i": [1, 2], "n": [0.5], "t": ["x"], "b": [True], "one": 1})
    assert list(message.int_array_properties[0].values) == [1, 2]
    assert message.number_array_properties[0].values_bytes == b"\0\0\0\0\0\0\xe0\x3f"
    assert list(message.text_array_properties[0].values) == ["x"]
    assert list(message.boolean_array_properties[0].values) == [True]
    assert dict(message.non_ref_properties) == {"one": 1}


def test_every_kind_of_value_that_the_protocol_has_is_read() -> None:
    kinds = properties_pb2.Value.DESCRIPTOR.oneofs_by_name["kind"].fields
    for field in kinds:
        value = properties_pb2.Value()
        if field.message_type is not None:
            getattr(value, field.name).SetInParent()
        elif field.name != "null_value":
            setattr(value, field.name, field.default_value)
        if field.name != "null_value":
            read_value(value)


def test_nothing_at_all_is_not_a_value() -> None:
    with pytest.raises(HaltError):
        read_value(properties_pb2.Value())


def test_objects_places_and_empty_lists_are_read_as_json() -> None:
    value = properties_pb2.Value()
    value.object_value.fields["a"].int_value = 5
    value.object_value.fields["gone"].null_value = 0
    assert read_value(value) == {"a": 5}
    place = properties_pb2.Value(
        geo_value=properties_pb2.GeoCoordinate(latitude=1.5, longitude=0.0)
    )
    assert read_value(place) == {"latitude": 1.5, "longitude": 0.0}
    assert read_value(properties_pb2.Value(list_value=properties_pb2.ListValue())) == []
