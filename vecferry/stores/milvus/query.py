"""Queries over primary keys: the one request that scans, reads, counts and cuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus.grpc_gen import common_pb2, milvus_pb2

from vecferry.errors import HaltError
from vecferry.stores.milvus.connect import Connection
from vecferry.stores.milvus.shape import Shape
from vecferry.stores.milvus.wire import QueryRequest, QueryResults

PAGE_ROWS_MAX = 16_384
"""Milvus refuses a larger page."""

EVERYTHING = ("*",)


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask.

    Attributes:
        expression: The filter.
        fields: What to return of each row.
        partition: Where to look; everywhere when empty.
        limit: Rows of a page, in the order of the keys; every match when 0.
        timestamp: See what was written until then; all that was acknowledged when 0.
    """

    expression: str
    fields: Sequence[str] = EVERYTHING
    partition: str = ""
    limit: int = 0
    timestamp: int = 0


def run(connection: Connection, shape: Shape, query: Query, doing: str) -> Any:
    """Return a query's reply."""
    request = QueryRequest(
        collection_name=shape.name,
        expr=query.expression,
        output_fields=query.fields,
        guarantee_timestamp=query.timestamp,
        consistency_level=common_pb2.Customized if query.timestamp else common_pb2.Strong,
    )
    if query.partition and shape.partitioned:
        request.partition_names.append(query.partition)
    if query.limit:
        # without these two a page is any rows, in any order
        request.query_params.add(key="iterator", value="True")
        request.query_params.add(key="reduce_stop_for_best", value="True")
        request.query_params.add(key="limit", value=str(query.limit))
    return connection.call(request, QueryResults, doing)


def now(connection: Connection, doing: str) -> int:
    """Return a timestamp of the server: every write acknowledged before has a smaller one.

    0 where there are none (Milvus Lite), which asks for strong consistency instead.
    """
    if connection.product().lite:
        return 0
    reply = connection.call(
        milvus_pb2.AllocTimestampRequest(), milvus_pb2.AllocTimestampResponse, doing
    )
    return int(reply.timestamp)


def count(connection: Connection, shape: Shape, partition: str = "") -> int:
    """Return the exact number of rows, after every acknowledged write.

    Raises:
        HaltError: The reply has no count.
    """
    query = Query("", ("count(*)",), partition)
    reply = run(connection, shape, query, f"counting {shape.name!r}")
    for message in reply.fields_data:
        if len(message.scalars.long_data.data) == 1:
            return int(message.scalars.long_data.data[0])
    raise HaltError(f"Milvus gave no count of {shape.name!r}")
