"""What is sent to make an index: from the model's words to Pinecone's."""

from collections.abc import Mapping
from typing import Any

from vecferry.errors import ConfigError
from vecferry.model import Collection, Metric, VectorSpec
from vecferry.stores.pinecone.places import CAPABILITIES, DENSE_DEFAULT

DENSE_TAG, SPARSE_TAG = "vf-dense", "vf-sparse"
"""The tags of an index that hold the names of its vectors: Pinecone has none for them."""

_METRICS: Mapping[Metric, str] = {"cosine": "cosine", "l2": "euclidean", "dot": "dotproduct"}
_SERVERLESS = {"cloud": "aws", "region": "us-east-1"}
_KEPT = ("deletion_protection",)


def creation_body(collection: Collection) -> dict[str, Any]:
    """Return the body of the request that makes the index.

    Of ``options`` the words of Pinecone's own are used (``spec``, or ``cloud`` and
    ``region``; AWS's us-east-1 where nothing is said) and others are left out.

    Raises:
        ConfigError: Pinecone cannot hold that schema.
    """
    dense, sparse = _one_of_each(collection)
    body: dict[str, Any] = {
        "name": collection.name,
        "spec": _spec(collection.options),
        "vector_type": "sparse" if dense is None else "dense",
        "metric": "dotproduct" if dense is None else _metric(dense, sparse),
    }
    if dense is not None:
        body["dimension"] = dense.dim
    body |= {name: collection.options[name] for name in _KEPT if name in collection.options}
    given = collection.options.get("tags")
    tags = dict(given) if isinstance(given, Mapping) else {}
    tags = {name: text for name, text in tags.items() if name not in (DENSE_TAG, SPARSE_TAG)}
    if dense is not None and dense.name != DENSE_DEFAULT:
        tags[DENSE_TAG] = dense.name
    if sparse is not None:
        tags[SPARSE_TAG] = sparse.name
    if tags:
        body["tags"] = tags
    return body


def _one_of_each(collection: Collection) -> tuple[VectorSpec | None, VectorSpec | None]:
    dense = [spec for spec in collection.vectors if spec.kind == "dense"]
    sparse = [spec for spec in collection.vectors if spec.kind == "sparse"]
    if len(dense) + len(sparse) < len(collection.vectors):
        raise ConfigError(f"{collection.name!r}: Pinecone has no multivectors")
    if not collection.vectors or len(dense) > 1 or len(sparse) > 1:
        raise ConfigError(
            f"{collection.name!r} has {len(dense)} dense vectors and {len(sparse)} sparse ones: "
            "an index of Pinecone's has one of them, or one of each"
        )
    if sparse and not sparse[0].name:
        raise ConfigError(f"{collection.name!r}: Pinecone's sparse vectors need a name")
    return next(iter(dense), None), next(iter(sparse), None)


def _metric(dense: VectorSpec, sparse: VectorSpec | None) -> str:
    if dense.metric not in CAPABILITIES.metrics:
        said = "no metric" if dense.metric is None else f"the metric {dense.metric}"
        raise ConfigError(
            f"vector {dense.name!r} has {said}: Pinecone has {', '.join(sorted(CAPABILITIES.metrics))}"
        )
    if dense.dtype != "float32":
        raise ConfigError(f"vector {dense.name!r} is {dense.dtype}: Pinecone has float32")
    if not 1 <= dense.dim <= CAPABILITIES.dim_max:
        raise ConfigError(
            f"vector {dense.name!r} has {dense.dim} dimensions: Pinecone has 1 to {CAPABILITIES.dim_max}"
        )
    if sparse is not None and dense.metric != "dot":
        raise ConfigError(
            f"vector {dense.name!r} has the metric {dense.metric}: beside sparse vectors "
            "Pinecone compares dense ones by dot product alone"
        )
    return _METRICS[dense.metric]


def _spec(options: Mapping[str, object]) -> dict[str, Any]:
    given = options.get("spec")
    if isinstance(given, Mapping) and ({"serverless", "byoc"} & given.keys()):
        return {
            kind: {word: inner for word, inner in dict(given[kind]).items() if inner is not None}
            for kind in ("serverless", "byoc")
            if kind in given
        }
    return {
        "serverless": {word: options.get(word, default) for word, default in _SERVERLESS.items()}
    }
