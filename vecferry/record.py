"""The records of the log: hints, events, dead letters and control records.

These are what the program handles; ``schemas/*.avsc`` is what the wire holds
and ``log/codec.py`` goes from one to the other.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from vecferry.model import Image


class HintKind(StrEnum):
    """What a hint says of its keys."""

    INTENT = "INTENT"
    DONE = "DONE"
    FILTER_INTENT = "FILTER_INTENT"
    FILTER_KEYS = "FILTER_KEYS"
    FILTER_DONE = "FILTER_DONE"
    BEAT = "BEAT"


class Hint(NamedTuple):
    """These keys may have changed.

    Attributes:
        kind: INTENT before the write, DONE after it; a BEAT passes through.
        request: Names the request, so that DONE finds its INTENT.
        keys: Canonical key bytes, all of the record's partition.
        verb: ``upsert``, ``delete`` or ``unknown``.
        position: Where the source says to read after; empty where it does not.
        at_ms: The writer's clock, Unix milliseconds; for people only.
        number: A BEAT's number, else -1.
        token: A BEAT's token, else empty.
        scope: The collection that a filter write may touch, for a RESCAN should
            it die unresolved; else empty.
    """

    kind: HintKind
    request: str = ""
    keys: tuple[bytes, ...] = ()
    verb: str = "unknown"
    position: str = ""
    at_ms: int = 0
    number: int = -1
    token: str = ""
    scope: str = ""


class EventKind(StrEnum):
    """The kinds of records in ``events``; the design tells each one's meaning."""

    EPOCH = "EPOCH"
    IMAGE = "IMAGE"
    DELETE = "DELETE"
    BEAT = "BEAT"
    OPEN = "OPEN"
    ROW = "ROW"
    CLOSE = "CLOSE"
    END = "END"
    RESUME = "RESUME"


class Event(NamedTuple):
    """One record of ``events``. Which fields are set depends on the kind.

    Attributes:
        kind: See :class:`EventKind`.
        key: Canonical key bytes of IMAGE, DELETE and ROW; empty for markers.
        image: Of IMAGE and ROW.
        term: The right under which it was written; -1 for ROW, OPEN, CLOSE.
        hint_offset: The hint that IMAGE or DELETE answers, else -1.
        number: A BEAT's number, else -1.
        token: A BEAT's token, else empty.
        chunk: The chunk's id, for OPEN, ROW and CLOSE.
        opened: The offset of the chunk's OPEN in this partition, for ROW and CLOSE.
        rows: How many rows the window holds in all partitions, for CLOSE.
        digest: Sum modulo 2**128 of the rows' digests, 16 bytes little-endian, for CLOSE.
        note: For people: the key range of an OPEN.
    """

    kind: EventKind
    key: bytes = b""
    image: Image | None = None
    term: int = -1
    hint_offset: int = -1
    number: int = -1
    token: str = ""
    chunk: str = ""
    opened: int = -1
    rows: int = -1
    digest: bytes = b""
    note: str = ""


class Dead(NamedTuple):
    """A record that could not be captured or applied, with all that is needed to try again.

    Attributes:
        topic, partition, offset: Where it came from.
        key, value: The raw record; ``value`` may be empty when it was too large.
        reason: What failed, for people; no payload, no vector.
        error: The class of the error.
        role: Who gave up: capture, snapshot or apply.
        at_ms: When, Unix milliseconds.
    """

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    reason: str
    error: str
    role: str
    at_ms: int


class ControlRecord(NamedTuple):
    """One record of ``control``.

    Attributes:
        kind: claim, process, chunks, chunk, certificate, diverged, rescan, ...
        term: The writer's term; 0 where the kind has none.
        name: What is replaced by a later record of the same kind, term and name.
        body: JSON values.
        offset: Where it lies; -1 before it is written. A claim's offset is its term.
        at_ms: When it was written, Unix milliseconds.
    """

    kind: str
    term: int
    name: str
    body: Mapping[str, object]
    offset: int = -1
    at_ms: int = 0
