"""Making a collection: its schema, its indexes, and loading it."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import ConfigError, TransientError
from vecferry.model import Collection, VectorSpec
from vecferry.ports import Capabilities
from vecferry.stores.milvus.connect import Connection, Product
from vecferry.stores.milvus.schema import METRICS, OPTIONS, drop, exists, load_state
from vecferry.stores.milvus.shape import SCALAR_TYPES, VECTOR_TYPES, Shape, shape_of

_PK = "id"
_KEY_BYTES = 512
"""Of a VARCHAR key where the source does not say: Pinecone's limit, the longest known."""

_LOAD_S = 600.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES = {kind: number for number, kind in VECTOR_TYPES.items()}
_METRIC_NAMES = {metric: name for name, metric in METRICS.items()}
_INDEX_NAMES = {
    "hnsw": "HNSW",
    "flat": "FLAT",
    "ivf_flat": "IVF_FLAT",
    "ivf_sq8": "IVF_SQ8",
    "diskann": "DISKANN",
    "autoindex": "AUTOINDEX",
    "bin_flat": "BIN_FLAT",
    "bin_ivf_flat": "BIN_IVF_FLAT",
    "sparse_inverted_index": "SPARSE_INVERTED_INDEX",
    "sparse_wand": "SPARSE_WAND",
}
_QUANTISED: Mapping[tuple[str, object], str] = {
    ("HNSW", "scalar"): "HNSW_SQ",
    ("IVF_FLAT", "scalar"): "IVF_SQ8",
}
_PARAM_NAMES = {
    "m": "M",
    "ef_construct": "efConstruction",
    "efconstruction": "efConstruction",
    "nlist": "nlist",
}


def create(connection: Connection, collection: Collection, capabilities: Capabilities) -> None:
    """Create a collection, index it and load it; or raise, and leave nothing of it.

    The primary key is an INT64 where all ids are integers that it keeps, else a
    VARCHAR. Everything that is no field of the schema goes to the dynamic field.

    Raises:
        ConfigError: It exists, or this Milvus cannot hold that schema.
    """
    if exists(connection, collection.name):
        raise ConfigError(f"Milvus already has a collection {collection.name!r}")
    options = _options(collection)
    schema = _schema(connection.product(), collection, options)
    indexes = [_index(spec, capabilities) for spec in collection.vectors]
    request = milvus_pb2.CreateCollectionRequest(
        collection_name=collection.name,
        schema=schema.SerializeToString(),
        shards_num=_whole(options.get("shards")) or 1,
        consistency_level=_level(options),
    )
    doing = f"making the collection {collection.name!r}"
    connection.ask("CreateCollection", request, common_pb2.Status)(doing, writes=True, first=True)
    try:
        for spec, params in zip(collection.vectors, indexes, strict=True):
            _make_index(connection, collection.name, spec.name, params)
        for partition in _partitions(connection, options):
            asked = milvus_pb2.CreatePartitionRequest(
                collection_name=collection.name, partition_name=partition
            )
            connection.call(asked, common_pb2.Status, doing, writes=True)
        load(connection, collection.name)
    except BaseException:
        drop(connection, collection.name)
        raise


def planned_shape(product: Product, collection: Collection, capabilities: Capabilities) -> Shape:
    """Return the shape that :func:`create` would give to a collection; nothing is sent.

    Raises:
        ConfigError: This Milvus cannot hold that schema.
    """
    schema = _schema(product, collection, _options(collection))
    shape = shape_of(schema, collection.name, capabilities, ())
    shape.free_json = product.since(2, 5)
    return shape


def load(connection: Connection, name: str) -> None:
    """Load a collection and wait until it can be read.

    Raises:
        TransientError: It takes more than ten minutes.
    """
    doing = f"loading {name!r}"
    request = milvus_pb2.LoadCollectionRequest(collection_name=name, replica_number=1)
    connection.ask("LoadCollection", request, common_pb2.Status)(doing, writes=True, first=True)
    deadline = time.monotonic() + _LOAD_S
    while load_state(connection, name) != common_pb2.LoadStateLoaded:
        if time.monotonic() > deadline:
            raise TransientError(f"{doing} takes more than {_LOAD_S:g} s")
        time.sleep(0.1)


def _options(collection: Collection) -> Mapping[str, Any]:
    found = collection.options.get(OPTIONS, {})
    return found if isinstance(found, Mapping) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _level(options: Mapping[str, Any]) -> int:
    name = options.get("consistency_level", "Bounded")
    known = common_pb2.ConsistencyLevel.keys()
    return int(common_pb2.ConsistencyLevel.Value(name if name in known else "Bounded"))


def _partitions(connection: Connection, options: Mapping[str, Any]) -> list[str]:
    if connection.product().lite or options.get("partition_key"):
        return []
    return [str(name) for name in options.get("partitions", ())]


def _schema(
    product: Product, collection: Collection, options: Mapping[str, Any]
) -> schema_pb2.CollectionSchema:
    schema = schema_pb2.CollectionSchema(
        name=collection.name,
        description=str(options.get("description", "")),
        enable_dynamic_field=True,
    )
    pk = str(options.get("primary_key") or _PK)
    while collection.vector(pk) is not None:
        pk += "_"
    field = schema.fields.add(name=pk, is_primary_key=True)
    if collection.id_types == {"int"} and not _hashes(product, collection):
        field.data_type = DataType.Int64
    else:
        field.data_type = DataType.VarChar
        length = max(collection.id_bytes_max or _KEY_BYTES, 36)  # a UUID's text
        field.type_params.add(key="max_length", value=str(length))
    for spec in collection.vectors:
        _add_vector(schema, spec, pk)
    for described in options.get("fields", ()):
        _add_scalar(schema, described, product)
    if options.get("partition_key"):
        for field in schema.fields:
            field.is_partition_key = field.name == options["partition_key"]
    return schema


def _hashes(product: Product, collection: Collection) -> bool:
    """Whether namespaced integers become hashes, for want of a container."""
    return product.lite and any(collection.namespaces)


def _add_vector(schema: schema_pb2.CollectionSchema, spec: VectorSpec, pk: str) -> None:
    if not _NAME.fullmatch(spec.name):
        raise ConfigError(
            f"the vector {spec.name!r} cannot be a field of Milvus: a name has letters, digits "
            f"and underscores; map it in collections.vectors"
        )
    number = _TYPES.get((spec.kind, spec.dtype))
    if number is None:
        raise ConfigError(
            f"the vector {spec.name!r} is {spec.kind} {spec.dtype}, which Milvus does not have"
        )
    field = schema.fields.add(name=spec.name, data_type=number)
    if spec.kind != "sparse":
        field.type_params.add(key="dim", value=str(spec.dim))


def _add_scalar(
    schema: schema_pb2.CollectionSchema, described: Mapping[str, Any], product: Product
) -> None:
    number = DataType.Value(described["type"])
    nullable = bool(described.get("nullable"))
    if number not in SCALAR_TYPES or (nullable and not product.since(2, 5)):
        return  # the dynamic field holds it
    field = schema.fields.add(name=described["name"], data_type=number, nullable=nullable)
    if "element" in described:
        field.element_type = DataType.Value(described["element"])
    for name in ("max_length", "max_capacity"):
        if name in described:
            field.type_params.add(key=name, value=str(described[name]))


def _index(spec: VectorSpec, capabilities: Capabilities) -> dict[str, object]:
    """Return an index's parameters in Milvus' words, from the neutral ones or its own.

    Raises:
        ConfigError: The metric is not known, and it is never guessed.
    """
    if spec.kind != "sparse" and spec.dtype not in capabilities.dtypes:
        raise ConfigError(f"this Milvus does not hold {spec.dtype} vectors: {spec.name!r} is one")
    metric = spec.metric or ("dot" if spec.kind == "sparse" else None)
    if metric is None:
        raise ConfigError(
            f"the metric of the vector {spec.name!r} is not known, and Milvus needs one: "
            f"set collections.metrics"
        )
    if metric not in capabilities.metrics:
        raise ConfigError(f"this Milvus has no metric {metric!r}, which {spec.name!r} needs")
    given = {name.lower(): value for name, value in spec.index.items()}
    kind = str(given.get("index_type") or given.get("type") or "").lower()
    name = _INDEX_NAMES.get(kind, "HNSW")
    name = _QUANTISED.get((name, given.get("quantisation")), name)
    if spec.kind == "sparse":
        name = name if name.startswith("SPARSE") else "SPARSE_INVERTED_INDEX"
    elif spec.dtype == "binary":
        name = "BIN_IVF_FLAT" if "IVF" in name else "BIN_FLAT"
    elif name.startswith(("SPARSE", "BIN")):
        name = "HNSW"
    params = {_PARAM_NAMES[key]: value for key, value in given.items() if key in _PARAM_NAMES}
    if name in ("HNSW", "HNSW_SQ"):
        params = {"M": params.get("M", 16), "efConstruction": params.get("efConstruction", 200)}
        params |= {"sq_type": "SQ8"} if name == "HNSW_SQ" else {}
    else:
        params = {"nlist": params.get("nlist", 1024)} if "IVF" in name else {}
    return {"index_type": name, "metric_type": _METRIC_NAMES[metric], "params": params}


def _make_index(connection: Connection, name: str, field: str, params: dict[str, object]) -> None:
    request = milvus_pb2.CreateIndexRequest(
        collection_name=name, field_name=field, index_name=field
    )
    for key, value in params.items():
        text = value if isinstance(value, str) else json.dumps(value)
        request.extra_params.add(key=key, value=text)
    doing = f"indexing {field!r} of {name!r}"
    connection.ask("CreateIndex", request, common_pb2.Status)(doing, writes=True, first=True)
