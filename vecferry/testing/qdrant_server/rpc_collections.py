"""The methods of qdrant.Collections."""

from collections.abc import Callable
from typing import Any

from vecferry.testing.qdrant_server.reconfigure import update_collection
from vecferry.testing.qdrant_server.server import Server
from vecferry.testing.qdrant_server.wire import fill, fill_value, json_of

Method = Callable[[Server, Any, Any], None]


def _create(server: Server, request: Any, reply: Any) -> None:
    reply.result = server.catalog.create(request.collection_name, json_of(request))


def _update(server: Server, request: Any, reply: Any) -> None:
    body = json_of(request)
    if "size" not in body.get("vectors", {}) and _is_single(request):
        body["vectors"] = {"": body["vectors"]}
    reply.result = update_collection(server.catalog.get(request.collection_name), body)


def _is_single(request: Any) -> bool:
    return bool(request.vectors_config.WhichOneof("config") == "params")


def _delete(server: Server, request: Any, reply: Any) -> None:
    reply.result = server.catalog.delete(request.collection_name)


def _list(server: Server, request: Any, reply: Any) -> None:
    for name in server.catalog.names():
        reply.collections.add(name=name)


def _exists(server: Server, request: Any, reply: Any) -> None:
    reply.result.exists = server.catalog.exists(request.collection_name)


def _get(server: Server, request: Any, reply: Any) -> None:
    shown = server.catalog.get(request.collection_name).describe()
    result = reply.result
    config = shown.pop("config")
    fill(result, {name: shown[name] for name in ("status",)})
    result.optimizer_status.ok = True
    for name in ("indexed_vectors_count", "points_count", "segments_count"):
        setattr(result, name, shown[name])
    _fill_config(result.config, config)
    for field, index in shown["payload_schema"].items():
        _fill_index(result.payload_schema[field], index)


def _fill_config(message: Any, config: dict[str, Any]) -> None:
    params = dict(config["params"])
    vectors, sparse = params.pop("vectors"), params.pop("sparse_vectors", None)
    fill(message.params, params)
    if isinstance(vectors.get("size"), int):
        fill(message.params.vectors_config.params, vectors)
    elif vectors:
        fill(message.params.vectors_config.params_map, {"map": vectors})
    if sparse is not None:
        fill(message.params.sparse_vectors_config, {"map": sparse})
    optimizers = dict(config["optimizer_config"])
    threads = optimizers.pop("max_optimization_threads", None)
    if threads is not None:
        _fill_threads(message.optimizer_config.max_optimization_threads, threads)
    fill(message.optimizer_config, optimizers)
    fill(message.hnsw_config, config["hnsw_config"])
    fill(message.wal_config, config["wal_config"])
    fill(message, {"quantization_config": config["quantization_config"]})
    for key, value in (config.get("metadata") or {}).items():
        fill_value(message.metadata[key], value)


def _fill_threads(message: Any, threads: Any) -> None:
    if isinstance(threads, int):
        message.value = threads
    else:
        message.setting = 0


def _fill_index(message: Any, index: dict[str, Any]) -> None:
    fill(message, {"data_type": index["data_type"], "points": index["points"]})
    if index["params"] is not None:
        given = {name: value for name, value in index["params"].items() if name != "type"}
        name = f"{index['data_type']}_index_params"
        getattr(message.params, name).SetInParent()
        fill(getattr(message.params, name), given)


def _aliases(server: Server, request: Any, reply: Any) -> None:
    for one in server.catalog.aliases():
        reply.aliases.add(**one)


def _collection_aliases(server: Server, request: Any, reply: Any) -> None:
    for one in server.catalog.aliases(request.collection_name):
        reply.aliases.add(**one)


def _change_aliases(server: Server, request: Any, reply: Any) -> None:
    reply.result = server.catalog.change_aliases(json_of(request))


COLLECTIONS: dict[str, Method] = {
    "Create": _create,
    "Update": _update,
    "Delete": _delete,
    "List": _list,
    "CollectionExists": _exists,
    "Get": _get,
    "ListAliases": _aliases,
    "ListCollectionAliases": _collection_aliases,
    "UpdateAliases": _change_aliases,
}
