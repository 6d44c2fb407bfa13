"""Records to bytes and back: Avro, a header before each record that names its schema.

A record is a few bytes that say which schema wrote it, then the body. With
:class:`SingleObjectCodec` these are Avro's single-object header, ``C3 01`` and
the schema's fingerprint, and a reader needs nothing but the released schemas
that Vecferry ships. :class:`~vecferry.log.registry.RegistryCodec` writes the
Confluent header instead.

Threads may share a codec.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

from fastavro import schemaless_reader, schemaless_writer

from vecferry import schemas
from vecferry.errors import RecordError
from vecferry.log import wire
from vecferry.log.event_wire import EventReader, write_event
from vecferry.payload import decode_payload, encode_payload
from vecferry.record import ControlRecord, Dead, Event, Hint
from vecferry.schemas import Name, Schema

SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"

_HEADER_BYTES = 10
_EVENT = schemas.load("event")
_T = TypeVar("_T")


class Codec(ABC):
    """Encodes and decodes the four kinds of records.

    **Guarantees** of every codec: what is decoded equals what was encoded, the
    vectors bit by bit; a record that was written by an older release reads as
    one of today; ``decode_*`` raises RecordError on a truncated record, on
    bytes behind the record, on an unknown schema, and on a kind of record that
    this release does not know; ``encode_*`` raises RecordError on a vector
    whose bytes do not fit its shape.
    """

    def __init__(self) -> None:
        self._events = EventReader()

    @abstractmethod
    def header(self, name: Name) -> bytes:
        """Return what goes before a record of the current schema."""

    @abstractmethod
    def schema_of(self, name: Name, data: bytes) -> tuple[Schema, int]:
        """Return the schema that wrote a record, and where its body starts.

        It is ``schemas.load(name)`` itself when the current one wrote it.

        Raises:
            RecordError: The header is not one, or names a schema that cannot
                be found.
        """

    def encode_hint(self, hint: Hint) -> bytes:
        """Return a hint as a record's value."""
        return self._encode("hint", wire.hint_fields(hint))

    def decode_hint(self, data: bytes) -> Hint:
        """Read what :meth:`encode_hint` wrote."""
        return self._decode("hint", data, wire.hint_of)

    def encode_event(self, event: Event) -> bytes:
        """Return an event as a record's value.

        Raises:
            RecordError: A vector's bytes do not fit its dtype and shape.
        """
        return write_event(self.header("event"), event)

    def decode_event(self, data: bytes) -> Event:
        """Read what :meth:`encode_event` wrote."""
        written, start = self.schema_of("event", data)
        event = self._events.read(data, start) if written is _EVENT else None
        return event or self._decode("event", data, wire.event_of)

    def encode_dead(self, dead: Dead) -> bytes:
        """Return a dead letter as a record's value."""
        return self._encode("dead", dead._asdict())

    def decode_dead(self, data: bytes) -> Dead:
        """Read what :meth:`encode_dead` wrote."""
        return self._decode("dead", data, lambda fields: Dead(**fields))

    def encode_control(self, record: ControlRecord) -> bytes:
        """Return a control record as a record's value; its ``offset`` is not part of it.

        Raises:
            RecordError: The body holds what JSON cannot say.
        """
        fields = {
            "kind": record.kind,
            "term": record.term,
            "name": record.name,
            "body": encode_payload(dict(record.body)),
            "at_ms": record.at_ms,
        }
        return self._encode("control", fields)

    def decode_control(self, data: bytes, offset: int) -> ControlRecord:
        """Read what :meth:`encode_control` wrote and the log keeps at ``offset``."""

        def build(fields: dict[str, Any]) -> ControlRecord:
            body = decode_payload(fields.pop("body"))
            return ControlRecord(**fields, body=body, offset=offset)

        return self._decode("control", data, build)

    def _encode(self, name: Name, fields: dict[str, Any]) -> bytes:
        out = BytesIO()
        out.write(self.header(name))
        schemaless_writer(out, schemas.load(name), fields)
        return out.getvalue()

    def _decode(self, name: Name, data: bytes, build: Callable[[dict[str, Any]], _T]) -> _T:
        written, start = self.schema_of(name, data)
        current = schemas.load(name)
        body = BytesIO(data)
        body.seek(start)
        try:
            fields: Any = schemaless_reader(body, written, None if written is current else current)
        except Exception as error:  # whatever the bytes do to the reader, they are no record
            raise RecordError(
                f"a {name} record of {len(data)} bytes is truncated or damaged "
                f"({type(error).__name__} at byte {body.tell()})"
            ) from error
        if body.tell() != len(data):
            raise RecordError(
                f"a {name} record of {len(data)} bytes ends at byte {body.tell()}: "
                "what follows is not part of it"
            )
        return build(fields)


class SingleObjectCodec(Codec):
    """Avro's single-object encoding: ``C3 01``, the schema's CRC-64-AVRO fingerprint, the body."""

    def __init__(self) -> None:
        super().__init__()
        self._headers = {name: SINGLE_OBJECT + schemas.fingerprint(name) for name in schemas.NAMES}
        self._known = {
            name: {
                SINGLE_OBJECT + fingerprint: schema
                for fingerprint, schema in schemas.by_fingerprint(name).items()
            }
            for name in schemas.NAMES
        }

    def header(self, name: Name) -> bytes:
        """Return the ten bytes before a record of the current schema."""
        return self._headers[name]

    def schema_of(self, name: Name, data: bytes) -> tuple[Schema, int]:
        """Return the schema that the fingerprint names, and 10."""
        schema = self._known[name].get(data[:_HEADER_BYTES])
        if schema is None:
            raise RecordError(_why_unknown(name, data))
        return schema, _HEADER_BYTES


def _why_unknown(name: Name, data: bytes) -> str:
    if len(data) < _HEADER_BYTES:
        return f"a {name} record of {len(data)} bytes is truncated: its header alone takes 10"
    if data.startswith(CONFLUENT):
        return (
            f"a {name} record has the Confluent header and no registry is set: "
            "give schema_registry_url under [log]"
        )
    if not data.startswith(SINGLE_OBJECT):
        return (
            f"a record of {len(data)} bytes is not a {name} record: it starts with {data[:2].hex()}"
        )
    return (
        f"a {name} record was written with the schema {data[2:_HEADER_BYTES].hex()}, which this "
        "release does not know: a newer one wrote it, upgrade this one"
    )
