"""Writing, durably: each request is one statement, and so one transaction.

The columns go over as binary arrays, from which one INSERT … ON CONFLICT makes the rows,
with the deletes beside it. Next to a COPY into a staging table that spares a table, two
round trips and a second copy of every row.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vecferry.errors import RecordError
from vecferry.model import Dense, Key
from vecferry.ports import Failure, Write
from vecferry.stores.pgvector.connect import Connection
from vecferry.stores.pgvector.errors import OutOfTimeError
from vecferry.stores.pgvector.read import joined, key_arrays
from vecferry.stores.pgvector.rows import Row, insert_columns, pack
from vecferry.stores.pgvector.table import Place, Table, quote
from vecferry.stores.pgvector.vectors import encode_vectors

REQUEST_BYTES = 16_000_000
_ROWS_MAX = 250
"""More gains nothing, and an HNSW index takes some milliseconds a row."""


class _Request(NamedTuple):
    rows: list[Row]
    gone: list[Place]


def write(connection: Connection, table: Table, writes: Sequence[Write]) -> list[Failure]:
    """Upsert and delete; return when it is committed, with what the table cannot hold.

    Raises:
        RecordError: Postgres refuses some row of a request, and so the request.
    """
    failures: list[Failure] = []
    rows: list[Row] = []
    gone: list[Place] = []
    places: dict[Place, Key] = {}
    for key, image, _version in writes:
        try:
            place = table.place(key)
        except RecordError as error:
            if image is not None:  # what cannot be there need not be deleted
                failures.append(Failure(key, str(error)))
            continue
        other = places.setdefault(place, key)
        if other != key:
            failures.append(Failure(key, f"{key} and {other} have the same id {place.id!r}"))
            continue
        if image is None:
            gone.append(place)
            continue
        try:
            rows.append(pack(table, key, image))
        except RecordError as error:
            failures.append(Failure(key, str(error)))
    # in one order everywhere, so that two writers wait for each other and never deadlock
    rows.sort(key=lambda row: row.place)
    for request in _requests(rows, sorted(gone)):
        _send(connection, table, request)
    return failures


def _requests(rows: list[Row], gone: list[Place]) -> Iterator[_Request]:
    start, size = 0, 0
    for at, row in enumerate(rows):
        size += _weigh(row)
        if size > REQUEST_BYTES or at - start >= _ROWS_MAX:
            yield _Request(rows[start:at], gone)
            start, size, gone = at, _weigh(row), []
    if gone or start < len(rows):
        yield _Request(rows[start:], gone)


def _weigh(row: Row) -> int:
    vectors = sum(
        len(vector.data) if isinstance(vector, Dense) else 8 * len(vector.indices)
        for vector in row.vectors
        if vector is not None and not hasattr(vector, "rows")
    )
    return 64 + vectors + len(row.payload) + sum(len(cell or "") for cell in row.cells)


def _send(connection: Connection, table: Table, request: _Request) -> None:
    arguments: list[object] = []
    statement = ""
    if request.gone:
        arguments += key_arrays(table, request.gone)
        statement = f"DELETE FROM {table.quoted} AS t {joined(table, 1, 'USING', 'WHERE')}"  # noqa: S608
    if request.rows:
        insert = _insert(connection, table, len(arguments) + 1)
        statement = f"WITH gone AS ({statement}) {insert}" if statement else insert
        arguments += _arrays(table, request.rows)
    doing = f"writing {len(request.rows)} and deleting {len(request.gone)} points of {table.name!r}"
    try:
        connection.fetch(statement, *arguments, doing=doing, writes=True)
    except OutOfTimeError:
        if len(request.rows) < 2:
            raise
        half = len(request.rows) // 2
        _send(connection, table, _Request(request.rows[:half], request.gone))
        _send(connection, table, _Request(request.rows[half:], []))


def _insert(connection: Connection, table: Table, first: int) -> str:
    """Return the statement that makes rows of arrays; their numbers begin at ``first``."""
    names = insert_columns(table)
    schema = quote(connection.product().schema)
    kinds = [table.key_type]
    kinds += ["text"] * (table.spaces + table.keeps_ids)
    kinds += ["varbit" if one.type == "bit" else f"{schema}.{one.type}" for one in table.vectors]
    casts = ["" for _ in kinds]
    written = [column for column in table.columns if not column.computed]
    casts += [f"::{column.type}" for column in written]
    casts += ["::jsonb", ""] if table.carries else []
    kinds += ["text"] * (len(casts) - len(kinds))
    arrays = ", ".join(f"${first + at}::{kind}[]" for at, kind in enumerate(kinds))
    cells = [f"c{at}" for at in range(len(names))]
    values = ", ".join(f"s.{cell}{cast}" for cell, cast in zip(cells, casts, strict=True))
    rest = [name for name in names if name not in table.key_columns]
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in rest)
    return (
        f"INSERT INTO {table.quoted} ({', '.join(names)}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - quoted
        f"SELECT {values} FROM unnest({arrays}) AS s({', '.join(cells)}) "
        f"ON CONFLICT ({', '.join(table.key_columns)}) DO UPDATE SET {changes}"
    )


def _arrays(table: Table, rows: Sequence[Row]) -> list[list[object]]:
    arrays: list[list[object]] = key_arrays(table, [row.place for row in rows])
    if table.keeps_ids:
        arrays.append([row.stored for row in rows])
    for at, column in enumerate(table.vectors):
        arrays.append(list(encode_vectors(column, [row.vectors[at] for row in rows])))
    cells = sum(not column.computed for column in table.columns)
    arrays += [[row.cells[at] for row in rows] for at in range(cells)]
    if table.carries:
        arrays += [[row.payload for row in rows], [row.carried for row in rows]]
    return arrays
