"""What is sent to make a collection: from the model's words to Qdrant's."""

from collections.abc import Mapping
from typing import Any

from qdrant_client import grpc as qdrant

from vecferry.errors import ConfigError
from vecferry.model import Collection, Dtype, Metric, VectorSpec

_DISTANCES: Mapping[Metric, int] = {
    "cosine": qdrant.Distance.Cosine,
    "l2": qdrant.Distance.Euclid,
    "dot": qdrant.Distance.Dot,
    "l1": qdrant.Distance.Manhattan,
}
_DATATYPES: Mapping[Dtype, int] = {
    "float32": qdrant.Datatype.Float32,
    "float16": qdrant.Datatype.Float16,
    "uint8": qdrant.Datatype.Uint8,
}
_PARAMS = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
)
_FIELD_TYPES = {name.removeprefix("FieldType"): number for name, number in qdrant.FieldType.items()}


def creation_requests(collection: Collection) -> tuple[Any, list[Any]]:
    """Return the ``CreateCollection`` and a ``CreateFieldIndexCollection`` each index.

    Of ``index`` and ``options`` the words of Qdrant's own are used and others,
    another vendor's, are left out: the plan rates those.

    Raises:
        ConfigError: Qdrant cannot hold that schema.
    """
    _require_holdable(collection)
    request = qdrant.CreateCollection(collection_name=collection.name)
    dense = [spec for spec in collection.vectors if spec.kind != "sparse"]
    for spec in dense:
        unnamed = spec.name == ""
        vectors = request.vectors_config
        _fill_dense(vectors.params if unnamed else vectors.params_map.map[spec.name], spec)
    for spec in collection.vectors:
        if spec.kind == "sparse":
            _fill_sparse(request.sparse_vectors_config.map[spec.name], spec)
    if not dense:
        request.vectors_config.params_map.SetInParent()
    for name in _PARAMS:
        if name in collection.options:
            setattr(request, name, collection.options[name])
    _fill_known(request.optimizers_config, collection.options.get("optimizers"))
    return request, _index_requests(collection)


def _require_holdable(collection: Collection) -> None:
    name = collection.name
    if not collection.vectors:
        raise ConfigError(f"{name!r} has no vectors")
    dense = [spec.name for spec in collection.vectors if spec.kind != "sparse"]
    if "" in dense and len(dense) > 1:
        raise ConfigError(f"{name!r}: an unnamed vector cannot stand beside {sorted(dense)[1:]}")
    for spec in collection.vectors:
        if spec.kind == "sparse":
            if not spec.name:
                raise ConfigError(f"{name!r}: Qdrant's sparse vectors need a name")
            continue
        where = f"{name!r}, vector {spec.name!r}"
        if spec.metric not in _DISTANCES:
            said = "no metric" if spec.metric is None else f"the metric {spec.metric}"
            raise ConfigError(f"{where} has {said}: Qdrant has {', '.join(sorted(_DISTANCES))}")
        if spec.dtype not in _DATATYPES:
            raise ConfigError(f"{where} is {spec.dtype}: Qdrant has {', '.join(_DATATYPES)}")
        if spec.dim < 1:
            raise ConfigError(f"{where} has {spec.dim} dimensions")


def _fill_dense(params: Any, spec: VectorSpec) -> None:
    if spec.metric is None:
        raise ConfigError(f"vector {spec.name!r} has no metric")
    params.size = spec.dim
    params.distance = _DISTANCES[spec.metric]
    if spec.dtype != "float32":
        params.datatype = _DATATYPES[spec.dtype]
    if spec.kind == "multi":
        params.multivector_config.comparator = qdrant.MultiVectorComparator.MaxSim
    kind = spec.index.get("type")
    if kind == "flat":
        params.hnsw_config.m = 0  # no links: every search reads all
    elif kind == "hnsw":
        _fill_known(params.hnsw_config, spec.index)
    else:
        return
    _fill_quantisation(params.quantization_config, spec.index)
    on_disk = spec.index.get("vectors_on_disk")
    if isinstance(on_disk, bool):
        params.on_disk = on_disk


def _fill_quantisation(config: Any, index: Mapping[str, object]) -> None:
    own = index.get("quantization")
    if isinstance(own, Mapping):
        _fill_known(config, own)
        return
    match index.get("quantisation"):
        case "scalar":
            config.scalar.type = qdrant.QuantizationType.Int8
        case "product":
            config.product.compression = qdrant.CompressionRatio.x16
        case "binary":
            config.binary.SetInParent()


def _fill_sparse(params: Any, spec: VectorSpec) -> None:
    params.SetInParent()
    _fill_known(params.index, spec.index)
    if spec.index.get("modifier") == "Idf":
        params.modifier = qdrant.Modifier.Idf


def _fill_known(message: Any, values: object) -> None:
    """Set the fields that the message has from a mapping that may hold more."""
    if not isinstance(values, Mapping):
        return
    for field in message.DESCRIPTOR.fields:
        if field.name not in values:
            continue
        value = values[field.name]
        if field.message_type is not None:
            getattr(message, field.name).SetInParent()
            _fill_known(getattr(message, field.name), value)
        elif field.enum_type is not None:
            known = field.enum_type.values_by_name.get(value)
            if known is not None:
                setattr(message, field.name, known.number)
        elif isinstance(value, list):
            getattr(message, field.name).extend(value)
        else:
            setattr(message, field.name, value)


def _index_requests(collection: Collection) -> list[Any]:
    schema = collection.options.get("payload_schema")
    if not isinstance(schema, Mapping):
        return []
    requests = []
    for field, what in schema.items():
        number = _FIELD_TYPES.get(what.get("type"))
        if number is None:
            raise ConfigError(f"{collection.name!r}: {field!r} has an index of unknown type")
        request = qdrant.CreateFieldIndexCollection(
            collection_name=collection.name, wait=True, field_name=field, field_type=number
        )
        _fill_known(request.field_index_params, what)
        requests.append(request)
    return requests
