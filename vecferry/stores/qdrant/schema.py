"""Collections: listed, described, made and counted."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from qdrant_client import grpc as qdrant

from vecferry.errors import ConfigError, HaltError
from vecferry.model import Collection, Dtype, Metric, VectorSpec
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.connect import HEALTH, Connection
from vecferry.stores.qdrant.creation import creation_requests
from vecferry.stores.qdrant.points import Layout

_OLDEST = (1, 13)

_METRICS: Mapping[int, Metric] = {
    qdrant.Distance.Cosine: "cosine",
    qdrant.Distance.Euclid: "l2",
    qdrant.Distance.Dot: "dot",
    qdrant.Distance.Manhattan: "l1",
}
_DTYPES: Mapping[int, Dtype] = {qdrant.Datatype.Uint8: "uint8", qdrant.Datatype.Float16: "float16"}


class Schemas:
    """The schema part of the store; remembers layouts, which hot paths need."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._layouts: dict[str, Layout] = {}

    def version(self) -> str:
        """Return product and version, after trying the credentials, too."""
        doing = f"connecting to {self._connection.address}"
        reply = qdrant.HealthCheckReply.FromString(
            self._connection.call(HEALTH, qdrant.HealthCheckRequest(), doing, first=True)
        )
        # the health check may be open to everybody; this one is not
        self._list(doing, first=True)
        _require_version(reply.version)
        return f"Qdrant {reply.version}"

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return self._list("listing the collections")

    def describe(self, name: str) -> Collection:
        """Return the schema as Qdrant reports it, and remember its layout."""
        if not self._exists(name):
            raise ConfigError(self._missing(name))
        reply = qdrant.GetCollectionInfoResponse.FromString(
            self._connection.call(
                "/qdrant.Collections/Get",
                qdrant.GetCollectionInfoRequest(collection_name=name),
                f"describing {name!r}",
            )
        )
        collection = read_collection(name, reply.result)
        self._layouts[name] = {spec.name: spec for spec in collection.vectors}
        return collection

    def layout(self, name: str, *, fresh: bool = False) -> Layout:
        """Return the vectors of a collection; ``fresh`` asks the server again.

        Raises:
            HaltError: The collection has gone.
        """
        if fresh or name not in self._layouts:
            try:
                self.describe(name)
            except ConfigError as error:
                raise HaltError(str(error)) from error
        return self._layouts[name]

    def create(self, collection: Collection) -> None:
        """Create a collection and its payload indexes, or nothing."""
        create, indexes = creation_requests(collection)
        name = collection.name
        if self._exists(name):
            raise ConfigError(f"the collection {name!r} exists: choose another name or drop it")
        self._layouts.pop(name, None)
        doing = f"creating {name!r}"
        self._connection.call("/qdrant.Collections/Create", create, doing, writes=True, first=True)
        try:
            for index in indexes:
                self._connection.call(
                    "/qdrant.Points/CreateFieldIndex",
                    index,
                    f"{doing}: indexing {index.field_name!r}",
                    writes=True,
                    first=True,
                )
        except BaseException:
            self.drop(name)  # half a collection would look like a whole one
            raise

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        self._layouts.pop(name, None)
        if not self._exists(name):
            return
        self._connection.call(
            "/qdrant.Collections/Delete",
            qdrant.DeleteCollection(collection_name=name),
            f"dropping {name!r}",
            writes=True,
        )

    def count(self, name: str) -> int:
        """Return the exact number of points."""
        reply = wire.CountResponse.FromString(
            self._connection.call(
                "/qdrant.Points/Count",
                wire.CountPoints(collection_name=name, exact=True),
                f"counting {name!r}",
            )
        )
        number: int = reply.result.count
        return number

    def _exists(self, name: str) -> bool:
        reply = qdrant.CollectionExistsResponse.FromString(
            self._connection.call(
                "/qdrant.Collections/CollectionExists",
                qdrant.CollectionExistsRequest(collection_name=name),
                f"looking for {name!r}",
            )
        )
        return bool(reply.result.exists)

    def _list(self, doing: str, *, first: bool = False) -> list[str]:
        reply = qdrant.ListCollectionsResponse.FromString(
            self._connection.call(
                "/qdrant.Collections/List", qdrant.ListCollectionsRequest(), doing, first=first
            )
        )
        return sorted(collection.name for collection in reply.collections)

    def _missing(self, name: str) -> str:
        names = self.collections()
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = f"there is {', '.join(names[:10])}" if names else "there is none at all"
        return f"Qdrant at {self._connection.address} has no collection {name!r}: {hint}"


def _require_version(text: str) -> None:
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is not None and (int(match[1]), int(match[2])) < _OLDEST:
        raise ConfigError(f"this is Qdrant {text}: Vecferry needs 1.13 or newer")


def read_collection(name: str, answer: Any) -> Collection:
    """Return the schema that a ``CollectionInfo`` describes.

    Raises:
        ConfigError: Its points lie in shards by user-defined keys, which can hold
            one id several times.
    """
    config = answer.config
    params = config.params
    if params.sharding_method == qdrant.ShardingMethod.Custom:
        raise ConfigError(
            f"{name!r} is sharded by user-defined keys, which Vecferry cannot move yet: "
            "the same id may be in several shards"
        )
    shared = {"hnsw": plain(config.hnsw_config), "quantization": plain(config.quantization_config)}
    vectors = params.vectors_config
    named = dict(vectors.params_map.map)
    if vectors.HasField("params"):
        named[""] = vectors.params
    specs = [_dense(vector, named[vector], shared) for vector in sorted(named)]
    sparse = params.sparse_vectors_config.map
    specs += [_sparse(vector, sparse[vector]) for vector in sorted(sparse)]
    return Collection(
        name=name,
        vectors=tuple(specs),
        id_types=frozenset({"int", "uuid"}),
        options=_options(answer),
    )


def _dense(name: str, params: Any, shared: Mapping[str, Any]) -> VectorSpec:
    index: dict[str, object] = {"type": "hnsw", **shared["hnsw"], **plain(params.hnsw_config)}
    quantization = plain(params.quantization_config) or shared["quantization"]
    if quantization:
        index["quantization"] = quantization
    if params.HasField("on_disk"):
        index["vectors_on_disk"] = params.on_disk
    dtype = _DTYPES.get(params.datatype, "float32")
    if params.datatype not in (*_DTYPES, qdrant.Datatype.Default, qdrant.Datatype.Float32):
        index["datatype"] = qdrant.Datatype.Name(params.datatype)  # compressed storage, float32 out
    if params.HasField("multivector_config"):
        index["multivector"] = plain(params.multivector_config) or {"comparator": "MaxSim"}
    return VectorSpec(
        name=name,
        kind="multi" if params.HasField("multivector_config") else "dense",
        dtype=dtype,
        dim=params.size,
        metric=_METRICS.get(params.distance),
        index=index,
    )


def _sparse(name: str, params: Any) -> VectorSpec:
    index = plain(params.index)
    if params.HasField("modifier"):
        index["modifier"] = qdrant.Modifier.Name(params.modifier)
    return VectorSpec(name=name, kind="sparse", metric="dot", index=index)


def _options(answer: Any) -> dict[str, object]:
    params = plain(answer.config.params)
    for apart in ("vectors_config", "sparse_vectors_config"):
        params.pop(apart, None)
    options: dict[str, object] = dict(params)
    optimizers = plain(answer.config.optimizer_config)
    if optimizers:
        options["optimizers"] = optimizers
    if answer.payload_schema:
        options["payload_schema"] = {
            field: {"type": qdrant.PayloadSchemaType.Name(one.data_type), **plain(one.params)}
            for field, one in sorted(answer.payload_schema.items())
        }
    return options


def plain(message: Any) -> dict[str, Any]:
    """Return the set fields of a message as JSON values, enums by name."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            result[field.name] = {key: plain(inner) for key, inner in sorted(value.items())}
        elif field.message_type is not None:
            result[field.name] = plain(value)
        elif field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            result[field.name] = value if known is None else known.name  # a newer server's
        else:
            scalar = isinstance(value, str | int | float)
            result[field.name] = value if scalar else list(value)
    return result
