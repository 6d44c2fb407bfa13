"""The Avro of an event, by hand: every row and every image passes here.

fastavro takes two to five times as long for a record of so many small fields,
because it looks at each one anew. Here what repeats from record to record (the
layout of a vector, the fields behind the hint's offset) is remembered whole.
The bytes are the same, and a test holds every event against fastavro's.

The layout is the current ``event.avsc``. Whatever is not in the shape that
:func:`write_event` gives it is left to fastavro, which reads all that Avro allows.
"""

from functools import lru_cache
from typing import NamedTuple

from vecferry import schemas
from vecferry.log.wire import check_vector
from vecferry.model import BITS, Dense, Dtype, Image, Multi, Sparse, Vector
from vecferry.record import Event, EventKind

_INT64 = 1 << 63


def write_event(header: bytes, event: Event) -> bytes:
    """Return the header and the event's body.

    Raises:
        RecordError: A vector's bytes do not fit its dtype and shape.
        OverflowError: A number does not fit into 64 bits.
    """
    key, image = event.key, event.image
    parts = [header, _KIND_BYTES[event.kind], _long(len(key)), key]
    if image is None:
        parts.append(b"\x00")
    else:
        parts.append(b"\x02")
        if image.vectors:
            parts.append(_long(len(image.vectors)))
            for name, vector in image.vectors.items():
                _write_vector(parts, name, vector)
        parts += (b"\x00", _long(len(image.payload)), image.payload)
    parts += (_long(event.term), _long(event.hint_offset), _write_rest(*event[5:]))
    return b"".join(parts)


class EventReader:
    """Reads what :func:`write_event` wrote; threads may share one."""

    def __init__(self) -> None:
        # The layout of a record's nth vector is nearly always that of the last
        # record's. A race between threads costs a longer look, nothing else.
        self._layouts = [_NO_LAYOUT] * 4

    def read(self, data: bytes, start: int) -> Event | None:
        """Return the event whose body starts at ``start``; None for fastavro to judge."""
        try:
            kind, at = _read_long(data, start)
            key, at = _read_bytes(data, at)
            branch, at = data[at], at + 1
            image: Image | None = None
            if branch == 2:
                image, at = self._read_image(data, at)
            elif branch:
                return None
            term, at = _read_long(data, at)
            hint_offset, at = _read_long(data, at)
            return Event(_KINDS[kind], key, image, term, hint_offset, *_read_rest(data[at:]))
        except (_NotOurs, LookupError, UnicodeDecodeError):
            return None

    def _read_image(self, data: bytes, at: int) -> tuple[Image, int]:
        count, at = _read_long(data, at)
        vectors: dict[str, Vector] = {}
        if count:
            for index in range(count):
                layout = self._layouts[index & 3]
                if data.startswith(layout.prefix, at):
                    begin = at + len(layout.prefix)
                    at = begin + layout.size
                    vectors[layout.name] = Dense(layout.dtype, layout.dim, data[begin:at])
                else:
                    at = self._read_vector(data, at, index, vectors)
            if len(vectors) != count or data[at]:
                raise _NotOurs
            at += 1
        payload, at = _read_bytes(data, at)
        return Image(vectors, payload), at

    def _read_vector(self, data: bytes, at: int, index: int, vectors: dict[str, Vector]) -> int:
        begin = at
        raw, at = _read_bytes(data, at)
        name = raw.decode()
        kind = data[at]
        dtype = _DTYPES[data[at + 1]]
        dim, at = _read_long(data, at + 2)
        rows, at = _read_long(data, at)
        indices, at = _read_bytes(data, at)
        values, at = _read_bytes(data, at)
        if dim < 0 or rows < 0 or name in vectors:
            raise _NotOurs
        vector: Vector
        if kind == _SPARSE:
            vector = Sparse(indices, values)
        elif kind == _MULTI:
            vector = Multi(dtype, dim, rows, values)
        elif kind == _DENSE and not rows and not indices:
            vector = Dense(dtype, dim, values)
        else:
            raise _NotOurs
        check_vector(name, vector)
        if kind == _DENSE and values:
            prefix = data[begin : at - len(values)]
            self._layouts[index & 3] = _Layout(prefix, name, dtype, dim, len(values))
        vectors[name] = vector
        return at


class _Layout(NamedTuple):
    prefix: bytes
    name: str
    dtype: Dtype
    dim: int
    size: int


class _NotOurs(Exception):  # noqa: N818 - not an error, a way out
    pass


def _write_vector(parts: list[bytes], name: str, vector: Vector) -> None:
    if isinstance(vector, Dense):
        data = vector.data
        parts += (_dense_prefix(name, vector.dtype, vector.dim, len(data)), data)
        return
    check_vector(name, vector)
    if isinstance(vector, Sparse):
        kind, dtype, dim, rows = _SPARSE, "float32", 0, 0
        indices, data = vector.indices, vector.values
    else:
        kind, dtype, dim, rows = _MULTI, vector.dtype, vector.dim, vector.rows
        indices, data = b"", vector.data
    parts += (_text(name), bytes((kind, _DTYPE_BYTES[dtype])), _long(dim), _long(rows))
    parts += (_long(len(indices)), indices, _long(len(data)), data)


@lru_cache(256)
def _dense_prefix(name: str, dtype: Dtype, dim: int, size: int) -> bytes:
    if size != (dim * BITS[dtype] + 7) // 8:
        check_vector(name, Dense(dtype, dim, bytes(size)))
    head = _text(name) + bytes((_DENSE, _DTYPE_BYTES[dtype])) + _long(dim)
    return head + b"\x00\x00" + _long(size)


@lru_cache(256)
def _write_rest(*rest: int | str | bytes) -> bytes:
    return b"".join(
        _long(value)
        if isinstance(value, int)
        else _text(value)
        if isinstance(value, str)
        else _long(len(value)) + value
        for value in rest
    )


@lru_cache(256)
def _read_rest(data: bytes) -> tuple[int, str, str, int, int, bytes, str]:
    number, at = _read_long(data, 0)
    token, at = _read_bytes(data, at)
    chunk, at = _read_bytes(data, at)
    opened, at = _read_long(data, at)
    rows, at = _read_long(data, at)
    digest, at = _read_bytes(data, at)
    note, at = _read_bytes(data, at)
    if at != len(data):
        raise _NotOurs
    return number, token.decode(), chunk.decode(), opened, rows, digest, note.decode()


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size = data[at]
    if size & 0x81:  # negative, or longer than a byte
        size, at = _read_long(data, at)
        if size < 0:
            raise _NotOurs
    else:
        size, at = size >> 1, at + 1
    end = at + size
    if end > len(data):
        raise _NotOurs
    return data[at:end], end


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    if value >> 64:
        raise _NotOurs
    return value >> 1 ^ -(value & 1), at


def _spell_long(number: int) -> bytes:
    if not -_INT64 <= number < _INT64:
        raise OverflowError(f"{number} does not fit into 64 bits")
    value = number << 1 ^ number >> 63
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _long(number: int) -> bytes:
    return _SMALL[number] if 0 <= number < 8192 else _spell_long(number)


def _text(text: str) -> bytes:
    data = text.encode()
    return _long(len(data)) + data


def _symbols(name: str) -> list[str]:
    return list(schemas.enums("event")[name])


_SMALL = [_spell_long(number) for number in range(8192)]
_KIND_BYTES = {
    EventKind(symbol): _spell_long(index)
    for index, symbol in enumerate(_symbols("EventKind"))
    if symbol != "UNKNOWN"
}
_KINDS = {index: EventKind(symbol) for index, symbol in enumerate(_symbols("EventKind")) if index}
_DTYPE_BYTES = {symbol: index << 1 for index, symbol in enumerate(_symbols("Dtype"))}
_DTYPES: dict[int, Dtype] = {_DTYPE_BYTES[dtype]: dtype for dtype in BITS}
_DENSE, _SPARSE, _MULTI = (
    _symbols("VectorKind").index(kind) << 1 for kind in ("dense", "sparse", "multi")
)
_NO_LAYOUT = _Layout(b"\xff" * 16, "", "float32", 0, 0)
