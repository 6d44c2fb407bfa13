"""Reading everything: an own cursor over the primary key, partition by partition.

The client's iterator would do the same but for two defects: it does not escape
string keys, and it ignores the consistency that was asked for.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.ports import Bounds, Since
from vecferry.stores.milvus import expressions
from vecferry.stores.milvus.connect import Connection
from vecferry.stores.milvus.errors import TooLargeError
from vecferry.stores.milvus.query import EVERYTHING, PAGE_ROWS_MAX, Query, now, run
from vecferry.stores.milvus.rows import META, primary_keys, read_keys, read_rows
from vecferry.stores.milvus.shape import (
    DEFAULT_PARTITION,
    Shape,
    namespace_of,
    partition_name,
)

PAGE_BYTES = 8_000_000
"""What a page should take: large enough that a request's fixed cost does not count."""

_KEY_BYTES = 512  # with a payload that may hold the id

OTHERS = "*"
"""The namespace of the bounds that cover every partition made after the plan; no
partition has that name. ``low`` is the JSON list of those that other bounds cover."""


class Part(NamedTuple):
    """What of a collection a scan reads.

    Attributes:
        bounds: The port's.
        after: The key behind which it goes on.
        since: A condition more, empty for everything.
    """

    bounds: Bounds
    after: Key | None = None
    since: str = ""


def since_expression(shape: Shape, since: Since) -> str:
    """Match the rows at or after a moment; empty where Milvus cannot tell, which reads everything.

    It can where the field is a number of the schema. Of a dynamic field, or of
    one without a value, an expression would leave rows out.
    """
    column = next((one for one in shape.scalars if one.name == since.field), None)
    if column is None or column.nullable or column.type not in (DataType.Int64, DataType.Double):
        return ""
    return f"{column.name} >= {min(max(since.number, -(2**63) + 1), 2**63 - 1)}"


def plan_chunks(connection: Connection, shape: Shape, points: int) -> list[Bounds]:
    """Cut every partition where ``points`` keys have gone by, and add what is to come.

    Only primary keys are read. The last chunk of a partition has no end, and one
    more chunk covers the partitions that do not exist yet.
    """
    partitions = sorted(shape.partitions) if shape.partitioned else [DEFAULT_PARTITION]
    chunks: list[Bounds] = []
    timestamp = now(connection, f"cutting {shape.name!r}")
    for partition in partitions:
        namespace = namespace_of(partition)
        cuts = [str(cut) for cut in _cuts(connection, shape, partition, (points, timestamp))]
        chunks += [
            Bounds(namespace, low, high)
            for low, high in zip([None, *cuts], [*cuts, None], strict=True)
        ]
    if shape.partitioned:
        chunks.append(Bounds(OTHERS, json.dumps(partitions), None))
    return chunks


def _cuts(
    connection: Connection, shape: Shape, partition: str, asked: tuple[int, int]
) -> Iterator[int | str]:
    points, timestamp = asked
    expression = expressions.first(shape.pk.name, expressions.start_of(Bounds(), shape.int_keys))
    seen = 0
    while True:
        limit = min(points - seen, PAGE_ROWS_MAX)
        query = Query(expression, (shape.pk.name,), partition, limit, timestamp)
        reply = run(connection, shape, query, f"cutting {shape.name!r}")
        keys = primary_keys(reply.fields_data, shape)
        if not keys:
            return
        seen += len(keys)
        if seen >= points:
            yield keys[-1]  # a chunk's low end is its own, so this one begins the next
            seen = 0
        expression = expressions.behind(shape.pk.name, keys[-1])


def scan(connection: Connection, shape: Shape, logical: str, part: Part) -> Iterator[list[Point]]:
    """Yield the points of one part in pages, each in the order of its primary keys.

    Raises:
        HaltError: A page is not where the cursor is: the server does not keep the
            order, and rows would be missed.
    """
    for partition, bounds, after in _pieces(shape, part):
        cursor = Cursor(connection, shape, logical, partition, since=part.since)
        yield from cursor.pages(bounds, after)


def scan_keys(
    connection: Connection, shape: Shape, logical: str, part: Part
) -> Iterator[list[Key]]:
    """As :func:`scan`, of the keys alone."""
    for partition, bounds, after in _pieces(shape, part):
        yield from Cursor(connection, shape, logical, partition).keys(bounds, after)


def _pieces(shape: Shape, part: Part) -> Iterator[tuple[str, Bounds, Key | None]]:
    """Yield each partition of a part, and what of it is to be read."""
    bounds, after = part.bounds, part.after
    if bounds.namespace != OTHERS:
        partition = partition_name(bounds.namespace, shape.partitions)
        if partition in shape.partitions or not shape.partitioned:
            yield partition, bounds, after
        return
    covered = frozenset(json.loads(bounds.low or "[]"))
    reached = partition_name(after.namespace, shape.partitions) if after is not None else ""
    for partition in sorted(shape.partitions - covered):
        if partition >= reached:
            yield partition, Bounds(), after if partition == reached else None


@dataclass
class Cursor:
    """A place in one partition, in the order of the primary keys.

    String keys have the order of their UTF-8 bytes in Milvus, which is Python's own.
    """

    connection: Connection
    shape: Shape
    logical: str
    partition: str
    last: int | str | None = None
    since: str = ""

    def pages(self, bounds: Bounds, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield pages until one is empty: a short page need not be the last.

        All pages see what was acknowledged before the first one, by one timestamp.
        """
        doing = f"scanning {self.shape.name!r}"
        timestamp = now(self.connection, doing)
        if after is not None:
            self.last = _native(self.shape, after)
        rows = _page_rows(self.shape.row_bytes)
        while True:
            query = Query(self._expression(bounds), EVERYTHING, self.partition, rows, timestamp)
            try:
                reply = run(self.connection, self.shape, query, doing)
            except TooLargeError:
                if rows == 1:
                    raise
                rows = max(1, rows // 2)
                continue
            found = read_rows(reply.fields_data, self.shape, self.logical, self.partition)
            if not found:
                return
            self._advance([read.native for read in found])
            yield [read.point for read in found]
            rows = min(2 * rows, _page_rows(max(1, reply.ByteSize() // len(found))))

    def keys(self, bounds: Bounds, after: Key | None = None) -> Iterator[list[Key]]:
        """As :meth:`pages`, of the keys alone: of a row only what may hold the id."""
        doing = f"listing {self.shape.name!r}"
        timestamp = now(self.connection, doing)
        if after is not None:
            self.last = _native(self.shape, after)
        fields = (self.shape.pk.name, META) if self.shape.dynamic else (self.shape.pk.name,)
        rows = _page_rows(_KEY_BYTES)
        while True:
            query = Query(self._expression(bounds), fields, self.partition, rows, timestamp)
            try:
                reply = run(self.connection, self.shape, query, doing)
            except TooLargeError:
                if rows == 1:
                    raise
                rows = max(1, rows // 2)
                continue
            natives = primary_keys(reply.fields_data, self.shape)
            if not natives:
                return
            self._advance(natives)
            yield read_keys(reply.fields_data, natives, (self.shape, self.logical, self.partition))

    def _expression(self, bounds: Bounds) -> str:
        name, is_int = self.shape.pk.name, self.shape.int_keys
        if self.last is not None:
            expression = expressions.behind(name, self.last)
        else:
            expression = expressions.first(name, expressions.start_of(bounds, is_int))
        if self.since:
            expression = f"{expression} and {self.since}"
        if bounds.high is None:
            return expression
        high = expressions.parse_bound(bounds.high, is_int)
        return f"{expression} and {expressions.below(name, high)}"

    def _advance(self, natives: Sequence[int | str]) -> None:
        last = self.last
        for at, native in enumerate(natives):
            # inserted twice, a key can be in a page twice, but never in two pages
            if last is not None and not (last < native or (at and last == native)):  # type: ignore[operator]
                raise HaltError(
                    f"scanning {self.shape.name!r}: Milvus gave a page out of order, so that rows "
                    f"would be missed; nothing of this part can be relied on"
                )
            last = native
        self.last = last


def _page_rows(row_bytes: int) -> int:
    return max(1, min(PAGE_ROWS_MAX, PAGE_BYTES // row_bytes))


def _native(shape: Shape, key: Key) -> int | str:
    # the two ends of int64 can be read and not written, so they have no place
    if shape.int_keys and isinstance(key.id, int):
        return key.id
    return shape.place(key).id
