"""A collection's configuration: what the request said, and what the engine is given.

The request's JSON (in the REST spelling, also when it came by gRPC) is what is
stored and shown again; it is checked field by field first.
"""

from collections.abc import Mapping
from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError
from vecferry.testing.qdrant_server.values import Shape, Shapes

Config = dict[str, Any]

HNSW: Config = {
    "m": 16,
    "ef_construct": 100,
    "full_scan_threshold": 10_000,
    "max_indexing_threads": 0,
    "on_disk": False,
}
OPTIMIZERS: Config = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10_000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
}
WAL: Config = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}

_DISTANCES = {
    name: getattr(edge.Distance, name) for name in ("Cosine", "Euclid", "Dot", "Manhattan")
}
_DATATYPES = {
    "float32": edge.VectorStorageDatatype.Float32,
    "float16": edge.VectorStorageDatatype.Float16,
    "uint8": edge.VectorStorageDatatype.Uint8,
}
_HNSW_FIELDS = (*HNSW, "payload_m", "inline_storage", "memory")
_OPTIMIZER_FIELDS = (*OPTIMIZERS, "prevent_unoptimized")
_SEGMENT_OPTIONS = (
    "deleted_threshold",
    "vacuum_min_vector_number",
    "default_segment_number",
    "max_segment_size",
    "indexing_threshold",
)


def named(table: Mapping[str, Any], value: object, what: str) -> Any:
    """Look ``value`` up among the spellings of ``what``.

    Raises:
        NotImplementedHereError: It is none of them.
    """
    if not isinstance(value, str) or value not in table:
        raise NotImplementedHereError(f"{what} {value!r} is none of {', '.join(table)}")
    return table[value]


def read_config(body: object) -> Config:
    """Check the body of a create request and return what to store.

    Raises:
        BadInputError: A field is unknown or wrong.
        NotImplementedHereError: It asks for what this server cannot do.
    """
    fields = Fields(body, "a collection")
    config: Config = {
        "vectors": _vectors(fields.take("vectors", {})),
        "sparse_vectors": {
            name: _sparse(one) for name, one in fields.take("sparse_vectors", {}).items()
        },
        "hnsw_config": Fields(fields.take("hnsw_config", {}), "hnsw_config").only(*_HNSW_FIELDS),
        "optimizers_config": read_optimizers(fields.take("optimizers_config", {})),
        "wal_config": Fields(fields.take("wal_config", {}), "wal_config").only(*WAL),
        "quantization_config": fields.take("quantization_config"),
        "metadata": fields.take("metadata"),
        "on_disk_payload": fields.take("on_disk_payload", True),
        "shard_number": fields.take("shard_number", 1),
        "replication_factor": fields.take("replication_factor", 1),
        "write_consistency_factor": fields.take("write_consistency_factor", 1),
    }
    if fields.take("sharding_method", "auto") != "auto":
        raise NotImplementedHereError("sharding_method `custom` is not implemented")
    require_no_strict_mode(fields.take("strict_mode_config"))
    fields.refuse("payload", "id_tracker", "init_from")
    fields.skip("timeout")
    fields.close()
    if not config["vectors"] and not config["sparse_vectors"]:
        raise NotImplementedHereError("a collection without vectors is not implemented")
    engine_config(config)
    return config


def require_no_strict_mode(body: object) -> None:
    """Refuse limits that this server would not enforce."""
    if body is not None and Fields(body, "strict_mode_config").take("enabled", False):
        raise NotImplementedHereError("strict_mode_config is not implemented")


def read_optimizers(body: object) -> Config:
    """Check ``optimizers_config``; points are never deferred here, so nobody may ask for it."""
    found = Fields(body, "optimizers_config").only(*_OPTIMIZER_FIELDS)
    if found.get("prevent_unoptimized"):
        raise NotImplementedHereError("`prevent_unoptimized` is not implemented")
    return found


def read_hnsw(body: object) -> Config:
    """Check ``hnsw_config``."""
    return Fields(body, "hnsw_config").only(*_HNSW_FIELDS)


def _vectors(body: object) -> Config:
    """Return the dense vectors by name, ``""`` for the unnamed one."""
    if not isinstance(body, dict):
        raise BadInputError("vectors must be an object")
    if isinstance(body.get("size"), int):
        return {"": _dense(body)}
    return {name: _dense(one) for name, one in body.items()}


def _dense(body: object) -> Config:
    fields = Fields(body, "a vector's parameters")
    found: Config = {"size": fields.need("size"), "distance": fields.need("distance")}
    for name in ("hnsw_config", "quantization_config", "on_disk", "datatype", "multivector_config"):
        value = fields.take(name)
        if value is not None:
            found[name] = value
    fields.refuse("memory")
    fields.close()
    if not isinstance(found["size"], int) or not 1 <= found["size"] <= 65_536:
        raise BadInputError("Validation error: a vector's size must be from 1 to 65536")
    return found


def _sparse(body: object) -> Config:
    fields = Fields(body, "a sparse vector's parameters")
    found: Config = {}
    index, modifier = fields.take("index"), fields.take("modifier")
    fields.close()
    if index is not None:
        found["index"] = Fields(index, "index").only("full_scan_threshold", "on_disk", "datatype")
    if modifier is not None:
        found["modifier"] = modifier
    return found


def shapes_of(config: Config) -> Shapes:
    """Return what each vector of the collection must look like."""
    shapes = {
        name: Shape("multi" if one.get("multivector_config") else "dense", one["size"])
        for name, one in config["vectors"].items()
    }
    return shapes | {name: Shape("sparse") for name in config["sparse_vectors"]}


def engine_config(config: Config) -> Any:
    """Return the engine's configuration.

    Raises:
        BadInputError: The engine refuses a value.
        NotImplementedHereError: A name is unknown here.
    """
    hnsw = config["hnsw_config"]
    try:
        return edge.EdgeConfig(
            vectors={name: _edge_dense(one) for name, one in config["vectors"].items()} or None,
            sparse_vectors={
                name: _edge_sparse(one) for name, one in config["sparse_vectors"].items()
            }
            or None,
            on_disk_payload=config["on_disk_payload"],
            hnsw_config=_edge_hnsw(hnsw),
            quantization_config=_edge_quantization(config["quantization_config"]),
            optimizers=edge.EdgeOptimizersConfig(
                **{
                    name: value
                    for name, value in config["optimizers_config"].items()
                    if name in _SEGMENT_OPTIONS
                }
            ),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"not a configuration: {error}") from error


def _edge_hnsw(config: Config) -> Any:
    full = {**HNSW, **Fields(config, "hnsw_config").only(*_HNSW_FIELDS)}
    if full.pop("memory", None) is not None:
        raise NotImplementedHereError("`memory` in hnsw_config is not implemented")
    return edge.HnswIndexConfig(**full)


def _edge_dense(one: Config) -> Any:
    multi = one.get("multivector_config")
    if multi is not None:
        comparators = {"max_sim": edge.MultiVectorComparator.MaxSim}
        comparator = Fields(multi, "multivector_config").only("comparator").get("comparator")
        multi = edge.MultiVectorConfig(named(comparators, comparator, "comparator"))
    hnsw = one.get("hnsw_config")
    return edge.EdgeVectorParams(
        size=one["size"],
        distance=named(_DISTANCES, one["distance"], "distance"),
        on_disk=one.get("on_disk"),
        multivector_config=multi,
        datatype=named(_DATATYPES, one.get("datatype", "float32"), "datatype"),
        quantization_config=_edge_quantization(one.get("quantization_config")),
        hnsw_config=None if hnsw is None else _edge_hnsw(hnsw),
    )


def _edge_sparse(one: Config) -> Any:
    index = one.get("index", {})
    modifiers = {"idf": edge.Modifier.Idf, "none": None}
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.get("full_scan_threshold"),
        on_disk=index.get("on_disk"),
        modifier=named(modifiers, one.get("modifier", "none"), "modifier"),
        datatype=named(_DATATYPES, index.get("datatype", "float32"), "datatype"),
    )


def _edge_quantization(body: object) -> Any:
    if body is None:
        return None
    fields = Fields(body, "quantization_config")
    scalar, product, binary = (fields.take(name) for name in ("scalar", "product", "binary"))
    fields.refuse("turbo", "turboquant")
    fields.close()
    if scalar is not None:
        given = Fields(scalar, "scalar").only("type", "quantile", "always_ram")
        kind = named({"int8": edge.ScalarType.Int8}, given.pop("type", None), "type")
        return edge.ScalarQuantizationConfig(kind, **given)
    if product is not None:
        given = Fields(product, "product").only("compression", "always_ram")
        ratios = {f"x{n}": getattr(edge.CompressionRatio, f"X{n}") for n in (4, 8, 16, 32, 64)}
        ratio = named(ratios, given.pop("compression", None), "compression")
        return edge.ProductQuantizationConfig(ratio, **given)
    if binary is not None:
        return edge.BinaryQuantizationConfig(**Fields(binary, "binary").only("always_ram"))
    raise BadInputError("quantization_config is empty")


def shown_config(config: Config) -> Config:
    """Return the configuration as ``GET /collections/{name}`` shows it."""
    vectors = config["vectors"]
    params = {
        "vectors": vectors[""] if set(vectors) == {""} else vectors,
        "shard_number": config["shard_number"],
        "replication_factor": config["replication_factor"],
        "write_consistency_factor": config["write_consistency_factor"],
        "on_disk_payload": config["on_disk_payload"],
    }
    if config["sparse_vectors"]:
        params["sparse_vectors"] = config["sparse_vectors"]
    shown = {
        "params": params,
        "hnsw_config": {**HNSW, **config["hnsw_config"]},
        "optimizer_config": {**OPTIMIZERS, **config["optimizers_config"]},
        "wal_config": {**WAL, **config["wal_config"]},
        "quantization_config": config["quantization_config"],
    }
    if config["metadata"]:
        shown["metadata"] = config["metadata"]
    return shown
