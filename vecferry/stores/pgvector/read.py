"""Reading single points, from the primary."""

from collections.abc import Sequence

from vecferry.errors import RecordError
from vecferry.model import Key, Point
from vecferry.stores.pgvector.connect import Connection
from vecferry.stores.pgvector.rows import place_of, read_rows, selection
from vecferry.stores.pgvector.table import Place, Table

_KEYS_MAX = 2_048


def read(
    connection: Connection, table: Table, logical: str, keys: Sequence[Key]
) -> list[Point | None]:
    """Return the points in the order of ``keys``, None for an absent one.

    Raises:
        RecordError: Another point has the id of one of these keys.
    """
    wanted: dict[Place, Key] = {}
    for key in keys:
        try:
            wanted[table.place(key)] = key
        except RecordError:
            continue  # what cannot be there is not there
    found: dict[Key, Point] = {}
    places = list(wanted)
    for start in range(0, len(places), _KEYS_MAX):
        for place, point in _rows(connection, table, logical, places[start : start + _KEYS_MAX]):
            key = wanted[place]
            if point.key == key:
                found[key] = point
            elif point.key.id != place.id:  # else it is a row of the application's own
                raise RecordError(
                    f"{key} and {point.key} have the same id {place.id!r} in {table.name!r}"
                )
    return [found.get(key) for key in keys]


def _rows(
    connection: Connection, table: Table, logical: str, places: Sequence[Place]
) -> list[tuple[Place, Point]]:
    sql = f"SELECT {selection(table)} FROM {table.quoted} AS t {joined(table)}"  # noqa: S608 - quoted
    doing = f"reading {len(places)} points of {table.name!r}"
    records = connection.fetch(sql, *key_arrays(table, places), doing=doing)
    points = read_rows(table, records, logical)
    return [(place_of(table, one), point) for one, point in zip(records, points, strict=True)]


def joined(table: Table, first: int = 1, word: str = "JOIN", condition: str = "ON") -> str:
    """Return the part of a statement that picks rows of ``t`` by the arrays of their keys.

    Args:
        table: The table.
        first: The number of the first array's argument.
        word: ``JOIN``, or a DELETE's ``USING``.
        condition: ``ON``, or ``WHERE``.
    """
    kinds = (table.key_type, "text")[: len(table.key_columns)]
    arrays = ", ".join(f"${first + at}::{kind}[]" for at, kind in enumerate(kinds))
    names = [f"k{at}" for at in range(len(kinds))]
    pairs = zip(table.key_columns, names, strict=True)
    equal = " AND ".join(f"t.{column} = k.{name}" for column, name in pairs)
    return f"{word} unnest({arrays}) AS k({', '.join(names)}) {condition} {equal}"


def key_arrays(table: Table, places: Sequence[Place]) -> list[list[object]]:
    """Return the arguments for :func:`joined`."""
    both: list[list[object]] = [[place.id for place in places], [one.namespace for one in places]]
    return both[: len(table.key_columns)]
