import pytest
from google.protobuf.message import DecodeError
from qdrant_client import grpc as qdrant

from vecferry.errors import HaltError, RecordError
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.deep import read_deep_payload
from vecferry.stores.qdrant.points import read_point
from vecferry.stores.qdrant.scan import Page


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested_list(levels: int) -> bytes:
    """The wire bytes of a Value: a one in so many lists."""
    value = b"\x18\x01"
    for _ in range(levels):
        value = field(7, field(1, value))
    return value


def page(levels: int) -> bytes:
    entry = field(1, b"deep") + field(2, nested_list(levels))
    point = field(1, b"\x08\x05") + field(2, entry)
    return field(2, point)


def test_a_page_with_a_payload_too_deep_for_the_parser_is_read_all_the_same():
    data = page(200)
    with pytest.raises(DecodeError):
        wire.ScrollResponse.FromString(data)
    [message] = Page.parse(data).messages
    _, point = read_point(message, "docs", {})
    assert point.key.id == 5
    assert point.image.payload == b'{"deep":' + b"[" * 200 + b"1" + b"]" * 200 + b"}"


def test_a_page_that_is_damaged_halts():
    with pytest.raises(HaltError, match="damaged"):
        Page.parse(b"\xff\xff\xff")


def test_a_payload_deeper_than_python_goes_is_one_records_trouble():
    entry = field(1, b"deep") + field(2, nested_list(3_000))
    with pytest.raises(RecordError, match="deeper"):
        read_deep_payload([entry])


@pytest.mark.parametrize("cut", [1, 3, 8, 10])
def test_a_truncated_entry_is_said_to_be_damaged(cut):
    payload = {"name": qdrant.Value(string_value="text")}
    [entry] = (
        wire.DeepScrollResponse.FromString(
            qdrant.ScrollResponse(
                result=[qdrant.RetrievedPoint(payload=payload)]
            ).SerializeToString()
        )
        .result[0]
        .payload
    )
    with pytest.raises(RecordError, match="damaged"):
        read_deep_payload([entry[:cut]])
