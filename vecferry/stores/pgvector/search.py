"""Nearest neighbours, for comparing two sides."""

from collections.abc import Mapping, Sequence
from typing import Any

from vecferry.errors import ConfigError, RecordError
from vecferry.model import Metric, Vector
from vecferry.ports import Hit, Ref
from vecferry.stores.pgvector.connect import Connection
from vecferry.stores.pgvector.rows import read_keys, selection
from vecferry.stores.pgvector.table import Table, quote
from vecferry.stores.pgvector.vectors import encode_vectors, fit_vector

_OPERATORS: Mapping[Metric, str] = {
    "l2": "<->",
    "dot": "<#>",
    "cosine": "<=>",
    "l1": "<+>",
    "hamming": "<~>",
    "jaccard": "<%>",
}
_EF_MAX = 1_000


def search(
    connection: Connection,
    table: Table,
    ref: Ref,
    asked: tuple[str, Metric, Sequence[Vector]],
    wanted: tuple[int, bool],
) -> list[list[Hit]]:
    """Return the best hits of each query; a score is a distance, of ``dot`` the negative product.

    An exact search may use no index, so it reads the whole table. Another one asks HNSW for
    as many candidates as it gives.

    Raises:
        ConfigError: There is no such vector.
        RecordError: A query does not fit it.
    """
    name, metric, queries = asked
    k, exact = wanted
    column = table.vector(name)
    if column is None:
        has = ", ".join(repr(one.name) for one in table.vectors)
        raise ConfigError(f"{table.name!r} has no vector {name!r}: it has {has}")
    encoded = encode_vectors(column, [fit_vector(column, query) for query in queries])
    if None in encoded:
        raise RecordError(f"a query of the vector {name!r} is empty")
    schema = quote(connection.product().schema)
    kind = f"varbit::bit({column.dim})" if column.type == "bit" else f"{schema}.{column.type}"
    score = f"t.{quote(name)} OPERATOR({schema}.{_OPERATORS[metric]}) $1::{kind}"
    sql = (
        f"SELECT {selection(table, keys_only=True)}, {score} AS score FROM {table.quoted} AS t "  # noqa: S608
        f"WHERE t.{quote(name)} IS NOT NULL ORDER BY {score} LIMIT $2"
    )
    how = (
        "SET LOCAL enable_indexscan = off"
        if exact
        else f"SET LOCAL hnsw.ef_search = {min(max(40, k), _EF_MAX)}"
    )

    async def work(one: Any) -> list[list[Any]]:
        async with one.transaction():
            await one.execute(how)
            return [list(await one.fetch(sql, query, k)) for query in encoded]

    pages = connection.run(work, f"searching {table.name!r}")
    return [
        [
            Hit(key, float(row["score"]))
            for key, row in zip(read_keys(table, page, ref.logical), page, strict=True)
        ]
        for page in pages
    ]
