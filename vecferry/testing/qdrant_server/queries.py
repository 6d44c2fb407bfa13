"""Searches: the JSON of ``points/query`` and ``points/search`` to the engine's requests."""

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.filters import filter_of
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    NotFoundError,
    NotImplementedHereError,
)
from vecferry.testing.qdrant_server.schema import named
from vecferry.testing.qdrant_server.values import (
    point_id,
    require_fit,
    require_shape,
    vector,
    with_payload_of,
    with_vector_of,
)

_OTHER_QUERIES = (
    *("recommend", "discover", "context", "formula", "relevance_feedback", "text"),
    "nearest_with_mmr",
)


class Search:
    """One search request, read: the engine's request and what the reply shows."""

    def __init__(self, collection: Collection, body: object) -> None:
        """Read the body of ``points/query``."""
        self._collection = collection
        self._excluded: list[Any] = []
        fields = Fields(body, "a query")
        self.with_payload = fields.take("with_payload", False)
        self.with_vector = fields.take("with_vector", False)
        limit, offset = fields.take("limit", 10), fields.take("offset", 0)
        fields.refuse("shard_key", "lookup_from")
        parts = self._parts(fields)
        fields.close()
        self.request = edge.QueryRequest(
            limit=_whole(limit, "limit"),
            offset=_whole(offset, "offset"),
            with_vector=with_vector_of(self.with_vector, collection.shapes),
            with_payload=with_payload_of(self.with_payload),
            **parts,
        )

    def _parts(self, fields: Fields) -> dict[str, Any]:
        """Read what a query and a prefetch have in common."""
        before = len(self._excluded)
        using, query = fields.take("using", ""), fields.take("query")
        parts = {
            "query": None if query is None else self._query(query, using),
            "prefetches": [self._prefetch(one) for one in _many(fields.take("prefetch", []))],
            "score_threshold": fields.take("score_threshold"),
            "params": params_of(fields.take("params")),
        }
        parts["filter"] = self._filter(fields.take("filter"), self._excluded[before:])
        return parts

    def _prefetch(self, body: object) -> Any:
        fields = Fields(body, "prefetch")
        limit = fields.take("limit", 10)
        fields.refuse("lookup_from")
        parts = self._parts(fields)
        fields.close()
        return edge.Prefetch(limit=_whole(limit, "limit"), **parts)

    def _filter(self, body: object, excluded: list[Any]) -> Any:
        found = filter_of(body)
        if not excluded:
            return found
        others = edge.HasIdCondition(set(excluded))
        return edge.Filter(must=None if found is None else [found], must_not=[others])

    def _query(self, body: Any, using: str) -> Any:
        if isinstance(body, dict) and not {"indices", "values"} & body.keys():
            return self._spelled(body, using)
        return edge.Query.Nearest(self._vector(body, using), using=using or None)

    def _spelled(self, body: dict[str, Any], using: str) -> Any:
        fields = Fields(body, "a query")
        fields.refuse(*_OTHER_QUERIES)
        given = fields.only("nearest", "mmr", "order_by", "fusion", "sample", "rrf")
        if set(given) == {"nearest", "mmr"}:
            mmr = Fields(given["mmr"], "mmr").only("diversity", "candidates_limit")
            raise NotImplementedHereError(f"`mmr` in a query is not implemented: {sorted(mmr)}")
        if len(given) != 1:
            raise BadInputError("a query says one thing")
        ((kind, value),) = given.items()
        if kind == "nearest":
            return edge.Query.Nearest(self._vector(value, using), using=using or None)
        readers: dict[str, Callable[[Any], Any]] = {
            "order_by": order_by_of,
            "fusion": _fusion,
            "rrf": _rrf,
            "sample": lambda one: named({"random": edge.Sample.Random}, one, "sample"),
        }
        return readers[kind](value)

    def _vector(self, body: Any, using: str) -> Any:
        """Return the query's vector: given, or that of a point, which is then left out."""
        shape = require_shape(self._collection.shapes, using)
        if isinstance(body, int | str):
            key = point_id(body)
            with self._collection.reading() as shard:
                found = shard.retrieve([key], False, True)
            if not found:
                raise NotFoundError(f"Not found: No point with id {body} found")
            stored = found[0].vector
            value = stored.get(using) if isinstance(stored, dict) else stored
            if value is None:
                raise NotFoundError(f"Not found: point {body} has no vector `{using}`")
            self._excluded.append(key)
        else:
            value = vector(body)
        if shape.kind == "multi" and value and not isinstance(value[0], list):
            value = [value]
        require_fit(shape, using, value)
        return value


def from_search(body: object) -> dict[str, Any]:
    """Turn the body of ``points/search`` into that of ``points/query``."""
    if not isinstance(body, dict):
        raise BadInputError("a search must be an object")
    query = dict(body)
    given = query.pop("vector", None)
    if isinstance(given, dict):
        fields = Fields(given, "vector")
        query["using"], given = fields.need("name"), fields.need("vector")
        fields.close()
    if given is None or "limit" not in query:
        raise BadInputError("a search needs `vector` and `limit`")
    return query | {"query": given}


def params_of(body: object) -> Any:
    """Read ``params`` of a search."""
    if body is None:
        return None
    fields = Fields(body, "params")
    quantization = fields.take("quantization")
    fields.refuse("acorn", "idf")
    given = fields.only("hnsw_ef", "exact", "indexed_only")
    if quantization is not None:
        rescoring = Fields(quantization, "quantization").only("ignore", "rescore", "oversampling")
        given["quantization"] = edge.QuantizationSearchParams(**rescoring)
    return edge.SearchParams(**given)


def order_by_of(body: object) -> Any:
    """Read ``order_by``: a path, or an object."""
    if isinstance(body, str):
        return edge.OrderBy(body)
    fields = Fields(body, "order_by")
    key, direction = fields.need("key"), fields.take("direction", "asc")
    start_from = fields.take("start_from")
    fields.close()
    directions = {"asc": edge.Direction.Asc, "desc": edge.Direction.Desc}
    return edge.OrderBy(key, named(directions, direction, "direction"), start_from)


def _fusion(body: object) -> Any:
    if body == "dbsf":
        return edge.Fusion.Dbsf()
    if body == "rrf":
        return _rrf({})
    raise NotImplementedHereError(f"fusion {body!r} is not implemented")


def _rrf(body: object) -> Any:
    given = Fields(body, "rrf").only("k", "weights")
    return edge.Fusion.Rrf(given.get("k", 2), given.get("weights"))


def _many(body: object) -> list[Any]:
    return [body] if isinstance(body, dict) else listed(body, "prefetch")


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadInputError(f"{what} must be a whole number")
    return value
