"""What each REST request and each gRPC method of Qdrant can do to points.

What only reads, or changes what is no point (indexes, settings, snapshots that
are made), passes. What is not listed here passes if it is a GET, and is
refused by its name if it is not: a newer server's write must not slip through.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from vecferry.producers.feeds.proxy.refusals import RefusalError, Why


class Effect(Enum):
    """What a request may do."""

    PASS = "pass"  # noqa: S105 - not a secret
    POINTS = "points"
    """It names the points that it writes, or a filter."""
    WHOLE = "whole"
    """It may change anything in its collection."""
    CREATE = "create"
    """It makes a collection."""
    REFUSE = "refuse"
    """It can write, or nobody knows."""


class Route(NamedTuple):
    """What a request is.

    Attributes:
        effect: What it may do.
        operation: Which write it is; names the parser of its points.
        collection: The name or alias in a REST path; gRPC has it in the message.
    """

    effect: Effect
    operation: str = ""
    collection: str = ""


PASS = Route(Effect.PASS)
_REFUSE = Route(Effect.REFUSE)

_READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_POINTS: Mapping[tuple[str, str], str] = {
    ("PUT", "points"): "upsert",
    ("POST", "points/delete"): "delete",
    ("PUT", "points/vectors"): "update_vectors",
    ("POST", "points/vectors/delete"): "delete_vectors",
    ("POST", "points/payload"): "set_payload",
    ("PUT", "points/payload"): "overwrite_payload",
    ("POST", "points/payload/delete"): "delete_payload",
    ("POST", "points/payload/clear"): "clear_payload",
    ("POST", "points/batch"): "batch",
}
_POST_READS = frozenset(
    {
        "points",
        "facet",
        *(f"points/{one}" for one in ("scroll", "count")),
        *(
            f"points/{one}{more}"
            for one in ("search", "query", "recommend", "discover")
            for more in ("", "/batch", "/groups")
        ),
        "points/search/matrix/pairs",
        "points/search/matrix/offsets",
    }
)
_Patterns = frozenset[tuple[str, ...]]


def _patterns(*lines: str) -> _Patterns:
    """Read lines like ``DELETE index/*``: a method, then parts of which a star is any one."""
    return frozenset(
        (method, *rest.split("/")) for method, rest in (line.split() for line in lines)
    )


_OF_SERVER = _patterns(
    "POST collections/aliases",
    "POST snapshots",
    "DELETE snapshots/*",
    "DELETE issues",
    "PUT quotas",
)
_HARMLESS = _patterns(
    "PATCH collections/*",
    "PUT collections/*/index",
    "DELETE collections/*/index/*",
    "PUT collections/*/vectors/*",
    "PUT collections/*/shards",
    "POST collections/*/snapshots",
    "DELETE collections/*/snapshots/*",
    "POST collections/*/shards/*/snapshots",
    "DELETE collections/*/shards/*/snapshots/*",
)
_WHOLE = _patterns(
    "DELETE collections/*",
    "DELETE collections/*/vectors/*",
    "POST collections/*/shards/delete",
    "POST collections/*/cluster",
    *(
        f"{method} collections/*/{scope}snapshots/{what}"
        for scope in ("", "shards/*/")
        for method, what in (("PUT", "recover"), ("POST", "recover"), ("POST", "upload"))
    ),
)
_CREATE = _patterns("PUT collections/*")


def rest_route(method: str, raw_path: bytes) -> Route:
    """Say what a REST request may do, by its method and its path as it came.

    Raises:
        RefusalError: The path can be read in more than one way.
    """
    if not raw_path.startswith(b"/"):
        raise RefusalError(Why.INVALID, "the path must begin with /")
    if method in _READ_METHODS:
        return PASS
    parts = [_segment(part) for part in raw_path[1:].split(b"/")]
    if _fits(method, parts, _OF_SERVER | _HARMLESS):
        return PASS
    if parts[0] != "collections" or len(parts) < 2:
        return _REFUSE
    return _collection_route(method, parts)


def _collection_route(method: str, parts: list[str]) -> Route:
    name, rest = parts[1], "/".join(parts[2:])
    operation = _POINTS.get((method, rest))
    if operation is not None:
        return Route(Effect.POINTS, operation, name)
    if _fits(method, parts, _CREATE):
        return Route(Effect.CREATE, "create", name)
    if _fits(method, parts, _WHOLE):
        return Route(Effect.WHOLE, f"{method} {rest}".strip(), name)
    return PASS if method == "POST" and rest in _POST_READS else _REFUSE


def _fits(method: str, parts: list[str], patterns: _Patterns) -> bool:
    given = (method, *parts)
    return any(
        len(pattern) == len(given)
        and all(one in ("*", part) for one, part in zip(pattern, given, strict=True))
        for pattern in patterns
    )


def _segment(raw: bytes) -> str:
    # what another parser could take for another path is not guessed at
    text = unquote_to_bytes(raw).decode("utf-8", "replace")
    if text in ("", ".", "..") or "/" in text or "\\" in text or "\ufffd" in text:
        raise RefusalError(Why.INVALID, "the path has an empty or an ambiguous part")
    return text


_RPC_POINTS: Mapping[str, str] = {
    "Upsert": "upsert",
    "Delete": "delete",
    "UpdateVectors": "update_vectors",
    "DeleteVectors": "delete_vectors",
    "SetPayload": "set_payload",
    "OverwritePayload": "overwrite_payload",
    "DeletePayload": "delete_payload",
    "ClearPayload": "clear_payload",
    "UpdateBatch": "batch",
}
_RPC_PASS: Mapping[str, frozenset[str]] = {
    "qdrant.Points": frozenset(
        [
            "Get",
            "Search",
            "SearchBatch",
            "SearchGroups",
            "Scroll",
            "Recommend",
            "RecommendBatch",
            "RecommendGroups",
            "Discover",
            "DiscoverBatch",
            "Count",
            "Query",
            "QueryBatch",
            "QueryGroups",
            "Facet",
            "SearchMatrixPairs",
            "SearchMatrixOffsets",
            "CreateFieldIndex",
            "DeleteFieldIndex",
            "CreateVectorName",
        ]
    ),
    "qdrant.Collections": frozenset(
        [
            "Get",
            "List",
            "Update",
            "UpdateAliases",
            "ListCollectionAliases",
            "ListAliases",
            "CollectionClusterInfo",
            "CollectionExists",
            "CreateShardKey",
            "ListShardKeys",
        ]
    ),
    "qdrant.Snapshots": frozenset(
        ["Create", "List", "Delete", "CreateFull", "ListFull", "DeleteFull"]
    ),
    "qdrant.Qdrant": frozenset({"HealthCheck"}),
    "grpc.health.v1.Health": frozenset({"Check"}),
}
_RPC_WHOLE: Mapping[str, frozenset[str]] = {
    "qdrant.Points": frozenset({"DeleteVectorName"}),
    "qdrant.Collections": frozenset({"Delete", "DeleteShardKey", "UpdateCollectionClusterSetup"}),
}


def rpc_route(method: str) -> Route:
    """Say what a gRPC method may do, by its full name: ``/qdrant.Points/Upsert``."""
    service, _, name = method.lstrip("/").partition("/")
    if name in _RPC_PASS.get(service, ()):
        return PASS
    if service == "qdrant.Points" and name in _RPC_POINTS:
        return Route(Effect.POINTS, _RPC_POINTS[name])
    if (service, name) == ("qdrant.Collections", "Create"):
        return Route(Effect.CREATE, "create")
    if name in _RPC_WHOLE.get(service, ()):
        return Route(Effect.WHOLE, f"{service}/{name}")
    return _REFUSE
