"""Reading single points, strongly consistent, by their primary keys."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vecferry.errors import RecordError
from vecferry.model import Key, Point
from vecferry.stores.milvus import expressions
from vecferry.stores.milvus.connect import Connection
from vecferry.stores.milvus.errors import TooLargeError
from vecferry.stores.milvus.query import EVERYTHING, Query, run
from vecferry.stores.milvus.rows import Read, read_rows
from vecferry.stores.milvus.shape import Place, Shape

_REPLY_BYTES = 16_000_000
_IDS_MAX = 4_096


def read(
    connection: Connection, shape: Shape, logical: str, keys: Sequence[Key]
) -> list[Point | None]:
    """Return the points in the order of ``keys``, None for an absent one.

    Raises:
        RecordError: Another point has the id of one of these keys.
    """
    wanted: dict[str, dict[int | str, Key]] = defaultdict(dict)
    for key in keys:
        place = _place(shape, key)
        if place is not None and (place.partition in shape.partitions or not shape.partitioned):
            wanted[place.partition][place.id] = key
    found: dict[Key, Point] = {}
    for partition, ids in wanted.items():
        for row in _rows(connection, shape, (logical, partition), list(ids)):
            key = ids[row.native]
            if row.point.key == key:
                found[key] = row.point
            elif _is_other(row.point.key, row.native):
                raise RecordError(
                    f"{key} and {row.point.key} have the same id {row.native!r} in {shape.name!r}"
                )
    return [found.get(key) for key in keys]


def _place(shape: Shape, key: Key) -> Place | None:
    try:
        return shape.place(key)
    except RecordError:
        return None  # what cannot be there is not there


def _is_other(key: Key, native: int | str) -> bool:
    # a row without our id is the application's own, and merely not the point asked for
    return key.id != native


def _rows(
    connection: Connection, shape: Shape, where: tuple[str, str], ids: list[int | str]
) -> Iterator[Read]:
    logical, partition = where
    size = max(1, min(_IDS_MAX, _REPLY_BYTES // shape.row_bytes))
    at = 0
    while at < len(ids):
        expression = expressions.any_of(shape.pk.name, ids[at : at + size])
        try:
            query = Query(expression, EVERYTHING, partition)
            reply = run(connection, shape, query, f"reading {len(ids)} points of {shape.name!r}")
        except TooLargeError:
            if size == 1:
                raise
            size = max(1, size // 2)
            continue
        yield from read_rows(reply.fields_data, shape, logical, partition)
        at += size
