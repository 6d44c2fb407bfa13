"""Nearest neighbours, with whole vectors as bytes."""

from collections.abc import Sequence
from typing import Any

from vecferry.errors import ConfigError
from vecferry.model import Vector
from vecferry.ports import Hit, Ref
from vecferry.stores.identity import ID_FIELD, NAMESPACE_FIELD, unpack
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.connect import Connection
from vecferry.stores.qdrant.points import native_id, read_id
from vecferry.stores.qdrant.schema import Schemas
from vecferry.stores.qdrant.values import read_payload
from vecferry.stores.qdrant.vectors import fill_vector

_BATCH = 64


class Searches:
    """The search part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self._connection = connection
        self._schemas = schemas

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first, with Qdrant's own scores.

        Raises:
            ConfigError: The collection has no vector of that name.
        """
        spec = self._schemas.layout(ref.name).get(vector)
        if spec is None:
            names = sorted(self._schemas.layout(ref.name))
            raise ConfigError(f"{ref.name!r} has no vector {vector!r}, only {names}")
        answers: list[list[Hit]] = []
        for start in range(0, len(queries), _BATCH):
            request = wire.QueryBatchPoints(collection_name=ref.name)
            for query in queries[start : start + _BATCH]:
                one = request.query_points.add(collection_name=ref.name, limit=k)
                fill_vector(one.query.nearest, query, spec)
                if vector:
                    one.using = vector
                one.params.exact = exact
                one.with_payload.include.fields.extend([ID_FIELD, NAMESPACE_FIELD])
            doing = f"searching {ref.name!r}"
            data = self._connection.call("/qdrant.Points/QueryBatch", request, doing)
            reply = wire.QueryBatchResponse.FromString(data)
            answers += [[_hit(found, ref) for found in one.result] for one in reply.result]
        return answers


def _hit(message: Any, ref: Ref) -> Hit:
    native = read_id(message.id)
    key, _ = unpack(read_payload(message.payload), native, ref.logical, native_id)
    return Hit(key, message.score)
