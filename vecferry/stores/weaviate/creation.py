"""What is sent to make a class: from the model's words to Weaviate's."""

import json
import re
from collections.abc import Mapping
from typing import Any

from vecferry.errors import ConfigError
from vecferry.model import Collection, VectorSpec
from vecferry.stores.identity import CARRIED_FIELD
from vecferry.stores.weaviate.layout import CAPABILITIES, METRICS, OWN_PROPERTIES

_DISTANCES = {metric: word for word, metric in METRICS.items()}
_KEPT = (
    "multiTenancyConfig",
    "replicationConfig",
    "invertedIndexConfig",
    "description",
)
_INDEX_WORDS = (
    "ef",
    "dynamicEfMin",
    "dynamicEfMax",
    "dynamicEfFactor",
    "flatSearchCutoff",
    "cleanupIntervalSeconds",
    "vectorCacheMaxObjects",
    "filterStrategy",
    "skip",
    "pq",
    "bq",
    "sq",
    "rq",
)
_NEUTRAL = {"m": "maxConnections", "ef_construct": "efConstruction"}
_COMPRESSED = {"scalar": "sq", "product": "pq", "binary": "bq"}


def creation_body(collection: Collection) -> dict[str, Any]:
    """Return the schema of the class.

    Of ``index`` and ``options`` the words of Weaviate's own are used and others are
    left out. Every vector has a name; no schema says how many components it has,
    so that is kept in the description of a property.

    Raises:
        ConfigError: Weaviate cannot hold that schema.
    """
    name = collection.name
    if not re.fullmatch(CAPABILITIES.collection_name, name):
        raise ConfigError(f"{name!r}: a class's name is like Docs, with a capital first")
    declared = collection.options.get("properties")
    own = own_properties({spec.name: spec.dim for spec in collection.vectors})
    body = {word: collection.options[word] for word in _KEPT if word in collection.options}
    others = declared if isinstance(declared, list | tuple) else ()
    return body | {
        "class": name,
        "vectorConfig": {spec.name: _vector(name, spec) for spec in collection.vectors},
        "properties": own + [one for one in others if one["name"] not in OWN_PROPERTIES],
    }


def own_properties(dims: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the schema of the properties that are ours; none of them is indexed."""
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "dataType": ["text"],
            "indexFilterable": False,
            "indexSearchable": False,
        }
        for name in OWN_PROPERTIES
    ]
    found[OWN_PROPERTIES.index(CARRIED_FIELD)]["description"] = json.dumps({"dims": dict(dims)})
    return found


def kept_dims(properties: Any) -> dict[str, int]:
    """Return what :func:`own_properties` kept of the vectors' sizes, nothing where it did not."""
    for one in properties or ():
        if one["name"] == CARRIED_FIELD:
            try:
                dims = json.loads(one.get("description") or "{}").get("dims", {})
                return {str(name): int(dim) for name, dim in dims.items()}
            except (ValueError, AttributeError):
                return {}  # somebody described it anew: the objects say it, too
    return {}


def _vector(where: str, spec: VectorSpec) -> dict[str, Any]:
    if spec.kind == "sparse":
        raise ConfigError(f"{where!r}, vector {spec.name!r}: Weaviate has no sparse vectors")
    if not re.fullmatch(CAPABILITIES.vector_name, spec.name):
        raise ConfigError(f"{where!r}: no vector can be called {spec.name!r} in Weaviate")
    if spec.metric not in _DISTANCES:
        said = "no metric" if spec.metric is None else f"the metric {spec.metric}"
        raise ConfigError(
            f"vector {spec.name!r} has {said}: Weaviate has {', '.join(sorted(_DISTANCES))}"
        )
    if spec.dtype != "float32":
        raise ConfigError(f"vector {spec.name!r} is {spec.dtype}: Weaviate has float32")
    if not 1 <= spec.dim <= CAPABILITIES.dim_max:
        raise ConfigError(f"vector {spec.name!r} has {spec.dim} dimensions")
    kind = spec.index.get("type")
    kind = kind if kind in CAPABILITIES.index_types and spec.kind != "multi" else "hnsw"
    config = _index(spec.index, str(kind))
    config["distance"] = _DISTANCES[spec.metric]
    if spec.kind == "multi":
        config["multivector"] = {"enabled": True}
    return {"vectorizer": {"none": {}}, "vectorIndexType": kind, "vectorIndexConfig": config}


def _index(index: Mapping[str, object], kind: str) -> dict[str, Any]:
    words = _INDEX_WORDS if kind == "hnsw" else ("bq", "rq", "vectorCacheMaxObjects")
    config: dict[str, Any] = {word: index[word] for word in words if word in index}
    for neutral, word in _NEUTRAL.items() if kind == "hnsw" else ():
        for said in (word, neutral):
            if said in index:
                config[word] = index[said]
    word = _COMPRESSED.get(str(index.get("quantisation")), "")
    if word and f"{kind}/{index['quantisation']}" in CAPABILITIES.quantisations:
        config.setdefault(word, {"enabled": True})
    return config
