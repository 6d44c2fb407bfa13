"""Payloads nested deeper than protobuf's parser goes.

Python's parser refuses messages within each other beyond a hundred, which a
payload of some thirty nested objects reaches; Qdrant stores more when they come
over REST. Such a page is parsed again with its payload entries left as bytes,
and these are decoded here: slow, rare, and complete.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from vecferry.errors import RecordError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NULL, _DOUBLE, _INTEGER, _STRING, _BOOL, _STRUCT, _LIST = range(1, 8)
"""The field numbers of ``Value``."""


def read_deep_payload(entries: Iterable[bytes]) -> dict[str, Any]:
    """Return the payload whose map entries these wire bytes are.

    Raises:
        RecordError: It is nested deeper than Python goes, or is damaged.
    """
    try:
        return _read_map(entries)
    except RecursionError as error:
        raise RecordError("a payload is nested deeper than can be read") from error
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise RecordError("a payload is damaged") from error


def _read_map(entries: Iterable[bytes]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for entry in entries:
        name, value = "", None
        for number, inner in _fields(entry):
            if number == 1:
                name = inner.decode()
            elif number == 2:
                value = _read_value(inner)
        payload[name] = value
    return payload


def _read_value(data: bytes) -> Any:
    value: Any = None
    for number, inner in _fields(data):
        if number == _STRING:
            value = inner.decode()
        elif number == _INTEGER:
            value = inner - 2**64 if inner >= 2**63 else inner
        elif number == _DOUBLE:
            value = struct.unpack("<d", inner)[0]
        elif number == _BOOL:
            value = bool(inner)
        elif number == _STRUCT:
            value = _read_map(entry for field, entry in _fields(inner) if field == 1)
        elif number == _LIST:
            value = [_read_value(item) for field, item in _fields(inner) if field == 1]
        elif number == _NULL:
            value = None
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if size is None:
            if kind != _BYTES:
                raise IndexError(f"wire type {kind}")
            size, at = _varint(data, at)
        if at + size > len(data):
            raise IndexError("truncated")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
