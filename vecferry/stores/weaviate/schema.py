"""Classes: listed, described, made and counted."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weaviate.proto.v1 import aggregate_pb2, search_get_pb2

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.model import Collection, VectorSpec
from vecferry.stores.weaviate.connect import Connection
from vecferry.stores.weaviate.creation import creation_body, kept_dims, own_properties
from vecferry.stores.weaviate.layout import (
    METRICS,
    OWN_PROPERTIES,
    UNNAMED,
    Layout,
    has_tenants,
    property_types,
)
from vecferry.stores.weaviate.objects import search_request
from vecferry.stores.weaviate.vectors import read_vector

_OLDEST = (1, 27)
_SAMPLE, _SAMPLE_TENANTS = 10, 3
_OPTIONS = (
    "description",
    "multiTenancyConfig",
    "replicationConfig",
    "invertedIndexConfig",
    "shardingConfig",
)


class Schemas:
    """The schema part of the store; remembers layouts, which hot paths need."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._layouts: dict[str, Layout] = {}
        self._tenants: dict[str, set[str]] = {}

    def version(self) -> str:
        """Return product and version, after trying the credentials and gRPC, too."""
        doing = f"connecting to {self._connection.base}"
        meta = self._connection.rest("GET", "meta", doing, first=True)
        text = meta.get("version") if isinstance(meta, dict) else None
        match = re.match(r"(\d+)\.(\d+)", text or "")
        if match is None:
            raise ConfigError(f"{doing}: what answers is not Weaviate")
        if (int(match[1]), int(match[2])) < _OLDEST:
            raise ConfigError(f"this is Weaviate {text}: Vecferry needs 1.27 or newer")
        self._connection.require_grpc(doing)
        return f"Weaviate {text}"

    def collections(self) -> list[str]:
        """Return the names of all classes, sorted."""
        found = self._connection.rest("GET", "schema", "listing the classes") or {}
        return sorted(one["class"] for one in found.get("classes") or ())

    def describe(self, name: str) -> Collection:
        """Return the schema as Weaviate reports it, and remember its layout."""
        schema = self._class(name)
        if schema is None:
            raise ConfigError(self._missing(name))
        _require_movable(name, schema.get("properties") or ())
        layout = self._with_dims(name, read_layout(schema))
        self._layouts[name] = layout
        return Collection(
            name=name,
            vectors=tuple(layout.vectors.values()),
            id_types=frozenset({"uuid"}),
            namespaces=tuple(self.tenants(name, layout, fresh=True)) if layout.tenants else (),
            options={word: schema[word] for word in _OPTIONS if schema.get(word)}
            | {
                "properties": [
                    one
                    for one in schema.get("properties") or ()
                    if one["name"] not in OWN_PROPERTIES
                ]
            },
        )

    def layout(self, name: str, *, fresh: bool = False) -> Layout:
        """Return what is remembered of a class, unless a vector's size is not known yet.

        Raises:
            HaltError: There is no such class any more.
        """
        known = self._layouts.get(name)
        if fresh or known is None or not all(spec.dim for spec in known.vectors.values()):
            try:
                self.describe(name)
            except ConfigError as error:
                raise HaltError(str(error)) from error
        return self._layouts[name]

    def prepare(self, name: str, layout: Layout) -> None:
        """Give a class that others made the properties that are ours."""
        if layout.prepared:
            return
        schema = self._class(name) or {}
        there = {one["name"] for one in schema.get("properties") or ()}
        for one in own_properties({}):
            if one["name"] not in there:
                self._connection.rest(
                    "POST", f"schema/{name}/properties", f"preparing {name!r}", one, first=True
                )
        self._layouts.pop(name, None)

    def create(self, collection: Collection) -> None:
        """Create an empty class."""
        name = collection.name
        body = creation_body(collection)
        if self._class(name) is not None:
            raise ConfigError(f"the class {name!r} exists: choose another name or drop it")
        self._forget(name)
        self._connection.rest("POST", "schema", f"creating {name!r}", body, first=True)

    def drop(self, name: str) -> None:
        """Remove a class; one that is not there is fine."""
        self._forget(name)
        self._connection.rest("DELETE", f"schema/{name}", f"dropping {name!r}")

    def count(self, name: str) -> int:
        """Return the exact number of objects, those of all tenants together."""
        return sum(self._count(name, tenant) for tenant in self.tenants(name, fresh=True))

    def tenants(self, name: str, layout: Layout | None = None, *, fresh: bool = False) -> list[str]:
        """Return the names of its tenants, sorted; ``""`` alone for a class without."""
        if not (layout or self.layout(name)).tenants:
            return [""]
        if fresh or name not in self._tenants:
            path = f"schema/{name}/tenants"
            found = self._connection.rest("GET", path, f"listing the tenants of {name!r}")
            self._tenants[name] = {one["name"] for one in found or ()}
        return sorted(self._tenants[name])

    def ensure_tenants(self, name: str, wanted: set[str]) -> None:
        """Make the tenants that a class with tenants lacks."""
        if wanted <= set(self.tenants(name)):
            return
        lacking = sorted(wanted - set(self.tenants(name, fresh=True)))
        if lacking:
            body = [{"name": tenant} for tenant in lacking]
            doing = f"making {len(lacking)} tenants of {name!r}"
            self._connection.rest("POST", f"schema/{name}/tenants", doing, body)
            self.tenants(name, fresh=True)

    def ask(self, method: str, request: Any, doing: str, *, writes: bool = False) -> bytes:
        """Send one gRPC request about a class.

        Raises:
            HaltError: It failed, and the class has gone: Weaviate says so by no code.
        """
        try:
            return self._connection.call(method, request, doing, writes=writes)
        except TransientError:
            self.require_there(request.collection)
            raise

    def require_there(self, name: str) -> None:
        """Look whether a class is there.

        Raises:
            HaltError: It has gone.
        """
        if self._class(name) is None:
            self._forget(name)
            raise HaltError(self._missing(name))

    def _forget(self, name: str) -> None:
        self._layouts.pop(name, None)
        self._tenants.pop(name, None)

    def _class(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._connection.rest(
            "GET", f"schema/{name}", f"describing {name!r}"
        )
        return found

    def _count(self, name: str, tenant: str) -> int:
        request = aggregate_pb2.AggregateRequest(collection=name, tenant=tenant, objects_count=True)
        data = self.ask("Aggregate", request, f"counting {name!r}")
        reply = aggregate_pb2.AggregateReply.FromString(data)
        return int(reply.single_result.objects_count)

    def _with_dims(self, name: str, layout: Layout) -> Layout:
        """Return the layout with the sizes that no schema says, from a few objects."""
        found: dict[str, int] = {}
        lacking = {vector for vector, spec in layout.vectors.items() if not spec.dim}
        if not lacking:
            return layout
        for tenant in self.tenants(name, layout)[:_SAMPLE_TENANTS]:
            request = search_request(name, tenant, layout)
            request.limit = _SAMPLE
            data = self._connection.call("Search", request, f"sampling {name!r}")
            for one in search_get_pb2.SearchReply.FromString(data).results:
                parts = [(part.name, part.vector_bytes) for part in one.metadata.vectors]
                for vector, part in [*parts, (UNNAMED, one.metadata.vector_bytes)]:
                    if vector in lacking and part:
                        dense = read_vector(part, layout.vectors[vector])
                        found.setdefault(vector, getattr(dense, "dim", 0))
        vectors = {
            vector: replace(spec, dim=spec.dim or found.get(vector, 0))
            for vector, spec in layout.vectors.items()
        }
        return layout._replace(vectors=vectors)

    def _missing(self, name: str) -> str:
        names = self.collections()
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = f"there is {', '.join(names[:10])}" if names else "there is none at all"
        return f"Weaviate at {self._connection.base} has no class {name!r}: {hint}"


def read_layout(schema: Mapping[str, Any]) -> Layout:
    """Return the layout that a class's schema describes; sizes are 0 where it does not say."""
    dims = kept_dims(schema.get("properties"))
    configs = dict(schema.get("vectorConfig") or {})
    unnamed = bool(schema.get("vectorIndexType"))
    if unnamed:
        configs[UNNAMED] = schema
    properties = schema.get("properties") or ()
    return Layout(
        {name: _spec(name, configs[name], dims.get(name, 0)) for name in sorted(configs)},
        property_types(properties),
        unnamed=unnamed,
        tenants=has_tenants(schema),
        prepared=set(OWN_PROPERTIES) <= {one["name"] for one in properties},
    )


def _spec(name: str, config: Mapping[str, Any], dim: int) -> VectorSpec:
    words = dict(config.get("vectorIndexConfig") or {})
    metric = METRICS.get(words.pop("distance", ""))
    multi = bool((words.get("multivector") or {}).get("enabled"))
    return VectorSpec(
        name=name,
        kind="multi" if multi else "dense",
        dim=dim,
        metric=metric,
        index={"type": config.get("vectorIndexType"), **words},
    )


def _require_movable(name: str, properties: Any) -> None:
    for one in properties:
        kind = one["dataType"][0]
        if kind[:1].isupper() or kind == "blob":
            what = "blobs" if kind == "blob" else "references to other classes"
            raise ConfigError(
                f"{name!r}, property {one['name']!r}: Vecferry cannot move {what} yet"
            )
        _require_movable(name, one.get("nestedProperties") or ())
