"""What Milvus says of its collections."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pymilvus.grpc_gen import common_pb2, milvus_pb2
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import ConfigError
from vecferry.model import Collection, Metric, VectorSpec
from vecferry.ports import Capabilities
from vecferry.stores.milvus.connect import Connection, Product
from vecferry.stores.milvus.scalars import JSON_BYTES_MAX
from vecferry.stores.milvus.shape import (
    DEFAULT_PARTITION,
    VECTOR_TYPES,
    Column,
    Shape,
    namespace_of,
    shape_of,
)

METRICS: Mapping[str, Metric] = {
    "COSINE": "cosine",
    "IP": "dot",
    "L2": "l2",
    "HAMMING": "hamming",
    "JACCARD": "jaccard",
    "BM25": "bm25",
}
OPTIONS = "milvus"
"""The key in a collection's options under which Milvus' own words are."""

_NAME = "[A-Za-z_][A-Za-z0-9_]{0,254}"
_NO_COLLECTION = (100, 4)
_NO_INDEX = (700, 25, 11)


def capabilities_of(product: Product) -> Capabilities:
    """Return what this server can hold and do."""
    dtypes = {"float32"} if product.lite else {"float32", "binary"}
    if product.since(2, 4):
        dtypes |= {"float16", "bfloat16"}
    if product.since(2, 6):
        dtypes |= {"int8"}
    metrics: set[Metric] = {"cosine", "dot", "l2"}
    types = {"hnsw", "flat", "ivf_flat", "autoindex"}
    quantised = {"ivf_flat/scalar"}
    if not product.lite:
        metrics |= {"hamming", "jaccard"}
        types |= {"diskann"}
    if product.since(2, 5):
        quantised |= {"hnsw/scalar"}
    return Capabilities(
        id_types=frozenset({"int", "str"}),
        # Milvus 2.3 cannot read the largest int64 back, nor delete the smallest
        int_min=-(2**63) + 1,
        int_max=2**63 - 2,
        # in Milvus Lite a primary key is one row in all partitions together
        namespaces=not product.lite,
        dtypes=frozenset(dtypes),  # type: ignore[arg-type]
        metrics=frozenset(metrics),
        sparse=product.lite or product.since(2, 4),
        several_vectors=product.lite or product.since(2, 4),
        payload_bytes_max=JSON_BYTES_MAX,
        positions=not product.lite,
        embedded=product.lite,
        unnamed_vector="vector",
        dim_max=32_768,
        collection_name=_NAME,
        vector_name=_NAME,
        index_types=frozenset(types),
        quantisations=frozenset(quantised),
    )


def collections(connection: Connection) -> list[str]:
    """Return the names of all collections, sorted."""
    reply = connection.call(
        milvus_pb2.ShowCollectionsRequest(),
        milvus_pb2.ShowCollectionsResponse,
        "listing the collections",
    )
    return sorted(reply.collection_names)


def look(connection: Connection, name: str, capabilities: Capabilities) -> tuple[Shape, Any]:
    """Return a collection's shape, and the server's description of it.

    Raises:
        ConfigError: It is not there (the nearest name is given), or cannot be moved.
    """
    doing = f"describing {name!r}"
    reply = connection.call(
        milvus_pb2.DescribeCollectionRequest(collection_name=name),
        milvus_pb2.DescribeCollectionResponse,
        doing,
        allow=_NO_COLLECTION,
    )
    if reply.status.code or reply.status.error_code:
        names = collections(connection)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"
        raise ConfigError(f"Milvus has no collection {name!r}: {hint}")
    shape = shape_of(reply.schema, name, capabilities, partitions(connection, name))
    shape.free_json = connection.product().since(2, 5)
    return shape, reply


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a collection of that name."""
    reply = connection.call(
        milvus_pb2.DescribeCollectionRequest(collection_name=name),
        milvus_pb2.DescribeCollectionResponse,
        f"looking for {name!r}",
        allow=_NO_COLLECTION,
    )
    return not (reply.status.code or reply.status.error_code)


def partitions(connection: Connection, name: str) -> frozenset[str]:
    """Return the names of a collection's partitions."""
    reply = connection.call(
        milvus_pb2.ShowPartitionsRequest(collection_name=name),
        milvus_pb2.ShowPartitionsResponse,
        f"listing the partitions of {name!r}",
    )
    return frozenset(reply.partition_names)


def require_loaded(connection: Connection, name: str) -> None:
    """Check that a collection can be read.

    Raises:
        ConfigError: It is not loaded. A source is never loaded by Vecferry: that takes
            its owner's memory.
    """
    state = load_state(connection, name)
    if state != common_pb2.LoadStateLoaded:
        raise ConfigError(
            f"{name!r} is not loaded ({common_pb2.LoadState.Name(state)}), and only a loaded "
            f"collection can be read: client.load_collection({name!r}) loads it"
        )


def load_state(connection: Connection, name: str) -> int:
    """Return Milvus' ``LoadState`` of a collection."""
    reply = connection.call(
        milvus_pb2.GetLoadStateRequest(collection_name=name),
        milvus_pb2.GetLoadStateResponse,
        f"asking whether {name!r} is loaded",
    )
    return int(reply.state)


def describe(
    connection: Connection, name: str, capabilities: Capabilities
) -> tuple[Collection, Shape]:
    """Return the schema as Milvus reports it, a metric only from its index; and its shape."""
    shape, reply = look(connection, name, capabilities)
    known = indexes(connection, name)
    spaces = tuple(sorted(namespace_of(one) for one in shape.partitions))
    collection = Collection(
        name=name,
        vectors=tuple(_spec(column, known.get(column.name, {})) for column in shape.vectors),
        id_types=frozenset({"int" if shape.int_keys else "str"}),
        id_bytes_max=shape.pk.max_length,
        namespaces=spaces if shape.partitioned and len(spaces) > 1 else (),
        options={OPTIONS: _options(shape, reply)},
    )
    return collection, shape


def _spec(column: Column, index: Mapping[str, object]) -> VectorSpec:
    kind, dtype = VECTOR_TYPES[column.type]
    return VectorSpec(
        name=column.name,
        kind=kind,
        dtype=dtype,
        dim=column.dim,
        metric=METRICS.get(str(index.get("metric_type", ""))),
        index={name: value for name, value in index.items() if name != "metric_type"},
    )


def _options(shape: Shape, reply: Any) -> dict[str, object]:
    level = common_pb2.ConsistencyLevel.Name(reply.consistency_level)
    found: dict[str, object] = {
        "primary_key": shape.pk.name,
        "auto_id": shape.auto_id,
        "dynamic_field": shape.dynamic,
        "consistency_level": level,
        "shards": reply.shards_num,
        "description": reply.schema.description,
        "partition_key": next((f.name for f in reply.schema.fields if f.is_partition_key), ""),
        "functions": [function.name for function in reply.schema.functions],
        "properties": {pair.key: pair.value for pair in reply.properties},
        "partitions": sorted(shape.partitions - {DEFAULT_PARTITION}),
        "fields": [
            {
                "name": column.name,
                "type": DataType.Name(column.type),
                "nullable": column.nullable,
                **({"element": DataType.Name(column.element)} if column.element else {}),
                **column.params,
            }
            for column in shape.scalars
        ],
    }
    return found


def indexes(connection: Connection, name: str) -> dict[str, dict[str, object]]:
    """Return each indexed field's parameters, in Milvus' own words."""
    reply = connection.call(
        milvus_pb2.DescribeIndexRequest(collection_name=name),
        milvus_pb2.DescribeIndexResponse,
        f"describing the indexes of {name!r}",
        allow=_NO_INDEX,
    )
    found = {}
    for index in reply.index_descriptions:
        params: dict[str, object] = {}
        for pair in index.params:
            value = _value(pair.value)
            # some versions nest the parameters as JSON, some do not
            params.update(value if pair.key == "params" and isinstance(value, dict) else {})
            if not isinstance(value, dict):
                params[pair.key] = value
        found[index.field_name] = params
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def drop(connection: Connection, name: str) -> None:
    """Remove a collection; one that is not there is fine."""
    connection.call(
        milvus_pb2.DropCollectionRequest(collection_name=name),
        common_pb2.Status,
        f"dropping {name!r}",
        writes=True,
        allow=_NO_COLLECTION,
    )
