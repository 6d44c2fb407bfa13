"""Which rows a transaction changed: the messages of ``pgoutput``, as far as keys go.

The forms are those of PostgreSQL's documentation, "Logical Replication Message Formats",
version 1 of the protocol. Values are texts, as Postgres spells them.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vecferry.errors import HaltError

_SKIPPED = b"BOYM"  # Begin, Origin, Type, Message


class Changed(NamedTuple):
    """What one message says.

    Attributes:
        relations: Schema and table of each that is meant.
        rows: The row before (False) and after (True) with what is known of its values, by
            column; none where the whole table was emptied.
        end: Where the log is after a COMMIT, in Postgres' spelling; else empty.
    """

    relations: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[bool, Mapping[str, str]], ...] = ()
    end: str = ""


class _Relation(NamedTuple):
    name: tuple[str, str]
    columns: tuple[str, ...]


class Decoder:
    """Reads the messages of one peek in their order: a table is described before its rows."""

    def __init__(self) -> None:
        self._relations: dict[int, _Relation] = {}

    def decode(self, message: bytes) -> Changed:
        """Return what a message says.

        Raises:
            HaltError: It is none that is known: a change would be overlooked.
        """
        kind, reader = message[:1], _Reader(message)
        if kind and kind in _SKIPPED:
            return Changed()
        if kind == b"R":
            self._describe(reader)
            return Changed()
        if kind == b"C":
            reader.skip(9)  # flags, where the COMMIT begins
            high, low = reader.number(4), reader.number(4)
            return Changed(end=f"{high:X}/{low:X}")
        if kind and kind in b"IUD":
            return self._rows(reader)
        if kind == b"T":
            count, _ = reader.number(4), reader.number(1)
            return Changed(tuple(self._relation(reader).name for _ in range(count)))
        raise HaltError(f"Postgres' log holds a message of an unknown kind {kind!r}")

    def _describe(self, reader: "_Reader") -> None:
        number, schema, name = reader.number(4), reader.text(), reader.text()
        reader.skip(1)  # the replica identity
        columns = []
        for _ in range(reader.number(2)):
            reader.skip(1)  # whether it is of the key
            columns.append(reader.text())
            reader.skip(8)  # its type
        # an empty schema is pg_catalog, where nothing of a user's is
        self._relations[number] = _Relation((schema, name), tuple(columns))

    def _relation(self, reader: "_Reader") -> _Relation:
        number = reader.number(4)
        found = self._relations.get(number)
        if found is None:
            raise HaltError(
                f"Postgres' log has a row of the table {number}, which it never described"
            )
        return found

    def _rows(self, reader: "_Reader") -> Changed:
        relation, rows = self._relation(reader), []
        while reader.rest:  # K or O for what was, N for what is
            rows.append((reader.take(1) == b"N", reader.row(relation.columns)))
        return Changed((relation.name,), tuple(rows))


class _Reader:
    """A place in a message."""

    def __init__(self, message: bytes) -> None:
        self._message, self._at = message, 1

    @property
    def rest(self) -> int:
        return len(self._message) - self._at

    def skip(self, count: int) -> None:
        self._at += count

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def take(self, size: int) -> bytes:
        part = self._message[self._at : self._at + size]
        if len(part) != size:
            raise HaltError(f"a message of {len(self._message)} bytes in Postgres' log is damaged")
        self._at += size
        return part

    def text(self) -> str:
        end = self._message.find(b"\0", self._at)
        text = self.take(max(end - self._at, 0)).decode()
        self._at += 1
        return text

    def row(self, columns: tuple[str, ...]) -> dict[str, str]:
        values = {}
        for at in range(self.number(2)):
            kind = self.take(1)
            if kind == b"t":
                values[columns[at]] = self.take(self.number(4)).decode()
            elif kind not in b"nu":  # null, or a long value that did not change
                raise HaltError(f"Postgres' log holds a value of an unknown kind {kind!r}")
        return values
