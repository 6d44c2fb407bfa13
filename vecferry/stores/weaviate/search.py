"""Nearest neighbours, with whole vectors as bytes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from weaviate.proto.v1 import base_pb2, search_get_pb2

from vecferry.errors import ConfigError
from vecferry.model import Vector, VectorSpec
from vecferry.ports import Hit, Ref
from vecferry.stores.weaviate.layout import UNNAMED, Layout
from vecferry.stores.weaviate.objects import read_object, search_request
from vecferry.stores.weaviate.schema import Schemas
from vecferry.stores.weaviate.vectors import fill_vector, vector_bytes

_ID_FIELDS = ("_vf_id", "_vf_ns")


class Searches:
    """The search part of the store."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first, with Weaviate's distances.

        Weaviate compares one by one where fewer objects pass a filter than
        ``flatSearchCutoff`` says (40,000): the filter that all pass makes it exact
        up to there.

        Raises:
            ConfigError: The class has no vector of that name.
        """
        layout = self._schemas.layout(ref.name)
        spec = layout.vectors.get(vector)
        if spec is None:
            raise ConfigError(f"{ref.name!r} has no vector {vector!r}, only {[*layout.vectors]}")
        tenants = self._schemas.tenants(ref.name)
        found = []
        for query in queries:
            hits = [
                hit for tenant in tenants for hit in self._one(ref, tenant, query, (spec, k, exact))
            ]
            found.append(sorted(hits, key=lambda hit: hit.score)[:k])
        return found

    def _one(
        self, ref: Ref, tenant: str, query: Vector, how: tuple[VectorSpec, int, bool]
    ) -> list[Hit]:
        spec, k, exact = how
        layout = self._schemas.layout(ref.name)
        request = search_request(ref.name, tenant, None)
        request.limit = k
        request.metadata.distance = True
        if layout.prepared:
            request.properties.non_ref_properties.extend(_ID_FIELDS)
        if exact:
            request.filters.CopyFrom(_all())
        _fill_near(request.near_vector, query, spec, layout)
        data = self._schemas.ask("Search", request, f"searching {ref.name!r}")
        return [
            Hit(read_object(one, ref.logical, tenant, layout)[1].key, one.metadata.distance)
            for one in search_get_pb2.SearchReply.FromString(data).results
        ]


def _fill_near(message: Any, query: Vector, spec: VectorSpec, layout: Layout) -> None:
    if spec.kind == "multi":
        fill_vector(message.vectors.add(), query, spec)
        message.vectors[0].name = ""
    else:
        message.vector_bytes = vector_bytes(query, spec)
    if not (layout.unnamed and spec.name == UNNAMED):
        message.targets.target_vectors.append(spec.name)


def _all() -> Any:
    return base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_GREATER_THAN_EQUAL,
        target=base_pb2.FilterTarget(property="_id"),
        value_text=str(UUID(int=0)),
    )
