"""Reading everything: pages in the order of the primary key, each one statement.

Every comparison of keys is Postgres' own, in the column's own collation, so that the
index serves it and the order is the same everywhere. What is committed before a page is
read is in that page or behind it: a key that stays is never missed.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from vecferry.model import Key, Point
from vecferry.ports import Bounds, Since
from vecferry.stores.pgvector.connect import Connection
from vecferry.stores.pgvector.rows import place_of, read_keys, read_rows, selection
from vecferry.stores.pgvector.table import Table, quote

PAGE_BYTES = 4_000_000
_FIRST_PAGE = 128
_PAGE_ROWS_MAX = 4_096
_KEYS_PAGE = 10_000

_WALK_MAX = 1_000_000
"""Up to here every key is counted to cut exact chunks; beyond, a sample tells."""

_SAMPLE_A_CHUNK = 32
_SAMPLE_MAX = 100_000


def count(connection: Connection, table: Table) -> int:
    """Return the exact number of rows."""
    sql = f"SELECT count(*) FROM {table.quoted}"  # noqa: S608 - quoted
    [row] = connection.fetch(sql, doing=f"counting {table.name!r}", patient=True)
    return int(row[0])


def plan_chunks(connection: Connection, table: Table, points: int) -> list[Bounds]:
    """Cut the table by its key into parts of about ``points`` rows; the ends are open."""
    points, total = max(points, 1), count(connection, table)
    parts = -(-total // points)
    if parts <= 1:
        return [Bounds()]
    key = quote(table.key)
    if total <= _WALK_MAX:
        source, step = table.quoted, points
    else:
        wanted = min(parts * _SAMPLE_A_CHUNK, _SAMPLE_MAX)
        # row by row: the rows of one page often have neighbouring keys
        share = min(100.0, 200.0 * wanted / total)
        source, step = f"{table.quoted} TABLESAMPLE BERNOULLI ({share})", 2 * wanted // parts
    sql = f"""
        SELECT DISTINCT {key} AS cut FROM (
            SELECT {key}, row_number() OVER (ORDER BY {key}) - 1 AS at FROM {source}
        ) AS rows WHERE at % $1 = 0 AND at > 0 ORDER BY 1
    """  # noqa: S608 - quoted
    rows = connection.fetch(sql, step, doing=f"cutting {table.name!r}", patient=True)
    edges = [None, *(str(row["cut"]) for row in rows), None]
    return [Bounds("", low, high) for low, high in pairwise(edges)]


class Part(NamedTuple):
    """What of a table a scan reads.

    Attributes:
        bounds: The port's.
        after: The key behind which it goes on.
        since: Where only newer rows are wanted.
    """

    bounds: Bounds
    after: Key | None = None
    since: Since | None = None


def scan(connection: Connection, table: Table, logical: str, part: Part) -> Iterator[list[Point]]:
    """Yield the points of one part in pages of about four megabytes."""
    cursor = Cursor(connection, table, part)
    for page in cursor.pages(selection(table), _FIRST_PAGE):
        points = read_rows(table, page, logical)
        cursor.resize(points)
        yield points


def scan_keys(
    connection: Connection, table: Table, logical: str, part: Part
) -> Iterator[list[Key]]:
    """As :func:`scan`, of the keys alone."""
    cursor = Cursor(connection, table, part)
    for page in cursor.pages(selection(table, keys_only=True), _KEYS_PAGE):
        yield read_keys(table, page, logical)


class Cursor:
    """A place in a part of a table, in the order of its primary key."""

    def __init__(self, connection: Connection, table: Table, part: Part) -> None:
        self._connection = connection
        self._table = table
        self._bounds = part.bounds
        self._since = None if part.since is None else _newer(table, part.since)
        self._last = None if part.after is None else table.place(part.after)
        self._rows = _FIRST_PAGE

    def pages(self, selected: str, rows: int) -> Iterator[list[Any]]:
        """Yield pages of records until there are no more."""
        self._rows = rows
        while True:
            sql, arguments = self._statement(selected)
            doing = f"scanning {self._table.name!r}"
            records = self._connection.fetch(sql, *arguments, doing=doing)
            if not records:
                return
            self._last = place_of(self._table, records[-1])
            yield records

    def resize(self, points: Sequence[Point]) -> None:
        """Let the next page weigh what it should, by what this one weighed."""
        weight = sum(weigh(point) for point in points)
        fitting = PAGE_BYTES * len(points) // max(1, weight)
        self._rows = max(1, min(_PAGE_ROWS_MAX, fitting, 4 * self._rows))

    def _statement(self, selected: str) -> tuple[str, list[object]]:
        table, arguments, conditions = self._table, list[object](), list[str]()
        names = [f"t.{name}" for name in table.key_columns]
        kinds = (table.key_type, "text")[: len(names)]

        def given(value: object, kind: str) -> str:
            arguments.append(value)
            return f"${len(arguments)}::{kind}"

        if self._last is not None:
            values = ", ".join(map(given, self._last, kinds))
            conditions.append(f"({', '.join(names)}) > ({values})")
        elif self._bounds.low is not None:
            conditions.append(f"{names[0]} >= {given(_edge(table, self._bounds.low), kinds[0])}")
        if self._bounds.high is not None:
            conditions.append(f"{names[0]} < {given(_edge(table, self._bounds.high), kinds[0])}")
        if self._since is not None:
            column, moment, kind = self._since
            conditions.append(f"({column} >= {given(moment, kind)} OR {column} IS NULL)")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        limit = given(self._rows, "bigint")
        sql = (
            f"SELECT {selected} FROM {table.quoted} AS t {where} "  # noqa: S608 - quoted
            f"ORDER BY {', '.join(names)} LIMIT {limit}"
        )
        return sql, arguments


def _newer(table: Table, since: Since) -> tuple[str, object, str] | None:
    """Return the column, the value and its type to compare with, None where all must be read.

    That is where the field is no column of a type with an order of times: then no condition
    would tell which rows have the field at all.
    """
    column = next((one for one in table.columns if one.name == since.field), None)
    if column is None or column.array:
        return None
    if column.base == "timestamptz":
        return f"t.{quote(column.name)}", since.moment, "timestamptz"
    if column.base in ("int4", "int8"):
        return f"t.{quote(column.name)}", min(max(since.number, -(2**63)), 2**63 - 1), "bigint"
    return None


def _edge(table: Table, text: str) -> int | UUID | str:
    if table.kind == "int":
        return int(text)
    return UUID(text) if table.kind == "uuid" else text


def weigh(point: Point) -> int:
    """Return about how many bytes a point takes."""
    vectors = sum(
        len(getattr(vector, "data", b"")) or len(getattr(vector, "values", b"")) * 2
        for vector in point.image.vectors.values()
    )
    return 64 + vectors + len(point.image.payload)
