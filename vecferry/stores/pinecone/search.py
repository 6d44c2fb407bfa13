"""Nearest neighbours, as near as Pinecone finds them."""

from collections.abc import Sequence
from typing import Any

from vecferry.errors import ConfigError
from vecferry.model import Vector
from vecferry.ports import Hit, Ref
from vecferry.stores.pinecone.connect import Call, Connection, Reply
from vecferry.stores.pinecone.freshness import Freshness
from vecferry.stores.pinecone.records import read_stored
from vecferry.stores.pinecone.schema import Layout, Schemas
from vecferry.stores.pinecone.vectors import dense_values, sparse_values, spell

K_MAX = 10_000


class Searches:
    """The search part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas, freshness: Freshness) -> None:
        self._connection = connection
        self._schemas = schemas
        self._freshness = freshness

    def search(self, ref: Ref, vector: str, queries: Sequence[Vector], k: int) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query over all namespaces, with Pinecone's scores.

        Pinecone has no search without its index: whether it is exact is its own affair.

        Raises:
            ConfigError: The index has no vector of that name.
        """
        layout = self._schemas.layout(ref.name)
        spec = next((spec for spec in layout.specs if spec.name == vector), None)
        if spec is None:
            names = [spec.name for spec in layout.specs]
            raise ConfigError(f"{ref.name!r} has no vector {vector!r}, only {names}")
        bodies = []
        for query in queries:
            if spec.kind == "dense":
                body: dict[str, Any] = {"vector": dense_values(query, spec)}
            else:
                body = {"sparseVector": sparse_values(query, spec)}
                if layout.dense is not None:  # an index of both compares both
                    body["vector"] = [0.0] * layout.dense.dim
            bodies.append({**body, "topK": min(k, K_MAX), "includeMetadata": True})
        self._freshness.wait_for_own(ref.name, layout)
        namespaces = list(self._schemas.namespaces(ref.name))
        return [self._best(ref, layout, namespaces, body)[:k] for body in bodies]

    def _best(
        self, ref: Ref, layout: Layout, namespaces: Sequence[str], body: dict[str, Any]
    ) -> list[Hit]:
        hits: list[Hit] = []
        for namespace in namespaces:
            reply = self._query(ref.name, layout, {**body, "namespace": namespace})
            for match in reply.body.get("matches") or ():
                key, _ = read_stored(match, namespace, ref.logical)
                hits.append(Hit(key, float(match["score"])))
        return sorted(hits, key=lambda hit: hit.score, reverse=layout.metric != "euclidean")

    def _query(self, name: str, layout: Layout, body: dict[str, Any]) -> Reply:
        return self._connection.call(
            Call("POST", f"{layout.url}/query", f"searching {name!r}", body=spell(body))
        )
