"""What ``PATCH /collections/{name}`` does."""

from typing import Any

from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.refusals import BadInputError
from vecferry.testing.qdrant_server.schema import (
    Config,
    read_hnsw,
    read_optimizers,
    require_no_strict_mode,
)


def update_collection(collection: Collection, body: object) -> bool:
    """Change parameters of a collection; the engine optimises again, as the status says.

    Raises:
        BadInputError: A field is unknown, or a vector does not exist.
    """
    fields = Fields(body, "a collection update")
    optimizers = read_optimizers(fields.take("optimizers_config", {}))
    hnsw = read_hnsw(fields.take("hnsw_config", {}))
    params = Fields(fields.take("params", {}), "params").only(
        "replication_factor", "write_consistency_factor", "on_disk_payload"
    )
    vectors, sparse = fields.take("vectors", {}), fields.take("sparse_vectors", {})
    quantization, metadata = fields.take("quantization_config"), fields.take("metadata")
    require_no_strict_mode(fields.take("strict_mode_config"))
    fields.skip("timeout")
    fields.close()

    def change(config: Config) -> None:
        config["optimizers_config"].update(optimizers)
        config["hnsw_config"].update(hnsw)
        config.update(params)
        if quantization is not None:
            config["quantization_config"] = None if quantization == "Disabled" else quantization
        if metadata is not None:
            config["metadata"] = {**(config["metadata"] or {}), **metadata}
        _change_vectors(config["vectors"], vectors)
        _change_sparse(config["sparse_vectors"], sparse)

    collection.reconfigure(change)
    return True


def _existing(config: Config, name: str) -> dict[str, Any]:
    if name not in config:
        raise BadInputError(f"Wrong input: Not existing vector name error: {name}")
    found: dict[str, Any] = config[name]
    return found


def _change_vectors(config: Config, changes: dict[str, Any]) -> None:
    for name, one in changes.items():
        vector = _existing(config, name)
        given = Fields(one, "a vector's parameters").only(
            "hnsw_config", "quantization_config", "on_disk"
        )
        if "hnsw_config" in given:
            vector["hnsw_config"] = {**vector.get("hnsw_config", {}), **given.pop("hnsw_config")}
        if given.get("quantization_config") == "Disabled":
            vector.pop("quantization_config", None)
            del given["quantization_config"]
        vector.update(given)


def _change_sparse(config: Config, changes: dict[str, Any]) -> None:
    for name, one in changes.items():
        vector = _existing(config, name)
        given = Fields(one, "a sparse vector's parameters").only("index", "modifier")
        if "index" in given:
            vector["index"] = {**vector.get("index", {}), **given.pop("index")}
        vector.update(given)
