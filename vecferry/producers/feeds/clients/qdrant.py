"""``QdrantClient`` and ``AsyncQdrantClient``, captured."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, cast

from qdrant_client import models

from vecferry.errors import ConfigError, UnknownOutcome, VecferryError
from vecferry.producers.feeds.clients import qdrant_ids
from vecferry.producers.feeds.clients.qdrant_uploads import uploads
from vecferry.producers.feeds.clients.steps import Ask, Step, Steps, Wait
from vecferry.producers.feeds.clients.touches import (
    Captured,
    Judge,
    Touch,
    Whole,
    captured_call,
)
from vecferry.producers.feeds.clients.wrapping import Asked, Rules, directly
from vecferry.producers.feeds.feed import Feed
from vecferry.stores.qdrant.errors import translate_errors

_Touches = Callable[[str, Mapping[str, Any]], list[Touch]]
_DONE = "completed"


def refuses(error: BaseException) -> bool:
    """Whether an exception means that the source has definitely changed nothing."""
    if isinstance(error, ValueError | TypeError):
        return True  # of the client's own checks: an answer that it cannot read is wrapped
    try:
        with translate_errors("a captured write", writes=True):
            raise error
    except UnknownOutcome:
        return False
    except VecferryError:
        return True
    except BaseException as same:
        if same is not error:
            raise
        return False


def is_open(result: Any) -> bool:
    """Whether a result says that the write may not be applied yet."""
    results = result if isinstance(result, list) else [result]
    return any(getattr(each, "status", _DONE) != _DONE for each in results)


JUDGE = Judge(refuses, is_open)


def check_timeout(client: Any, feed: Feed) -> None:
    """Refuse a client that waits longer than a write may take.

    Raises:
        ConfigError: It does.
    """
    timeout_s = getattr(getattr(client, "_client", None), "_timeout", None)
    longest_s = feed.options.request_max_s
    if isinstance(timeout_s, int | float) and timeout_s > longest_s:
        raise ConfigError(
            f"the client's timeout is {timeout_s:g} s and request_max_s is {longest_s:g}: a write "
            f"must be over by then. Give the client a shorter one, or raise request_max_s here "
            f"and in [capture]"
        )


def real_name(asked: Asked) -> Generator[Step, Any, str]:
    """Return the collection that is meant: a name that moves, or where an alias leads now."""
    feed, name = asked.captive.feed, cast("str", asked.arguments.get("collection_name", ""))
    if not feed.is_open:
        yield Wait(lambda: feed.collections)
    if name in feed.collections:
        return name
    found = yield Ask("get_aliases", {})
    for alias in found.aliases:
        if alias.alias_name == name:
            return cast("str", alias.collection_name)
    return name


def _capturing(touches: _Touches, *, waits: bool = True) -> Callable[[Asked], Steps]:
    def flow(asked: Asked) -> Steps:
        collection = yield from real_name(asked)
        feed, arguments = asked.captive.feed, asked.arguments
        if waits:
            # to where the alias led when it was looked up: it may be switched before this is sent
            arguments = arguments | {"collection_name": collection}
        if collection not in feed.collections:
            return (yield Ask(asked.method, arguments))
        found = touches(collection, arguments)
        if waits:
            # without it the answer comes before the write can be read back
            arguments = arguments | {"wait": True}
        call = Captured(feed, JUDGE, asked.method, arguments)
        return (yield from captured_call(call, found))

    return flow


def _points(verb: str) -> Callable[[Asked], Steps]:
    return _capturing(
        lambda collection, given: [qdrant_ids.of_points(collection, given.get("points"), verb)]
    )


def _selected(argument: str, verb: str = "unknown") -> Callable[[Asked], Steps]:
    return _capturing(
        lambda collection, given: [qdrant_ids.of_selector(collection, given.get(argument), verb)]
    )


def _whole(reason: str) -> Callable[[Asked], Steps]:
    return _capturing(lambda collection, _: [Whole(collection, reason)], waits=False)


def _batch(collection: str, given: Mapping[str, Any]) -> list[Touch]:
    operations = given.get("update_operations") or ()
    return [qdrant_ids.of_operation(collection, each) for each in operations]


def _recovered(asked: Asked) -> Steps:
    if asked.arguments.get("wait") is False:
        raise ConfigError(
            f"{asked.method} with wait=False is not captured: nobody would know when to read the "
            "collection again. Call it with wait=True"
        )
    return (yield from _whole("a snapshot was recovered")(asked))


def _made(flow: Callable[[Asked], Steps]) -> Callable[[Asked], Steps]:
    def made(asked: Asked) -> Steps:
        if asked.arguments.get("init_from") is not None:  # of clients and servers before 1.16
            collection = yield from real_name(asked)
            if collection in asked.captive.feed.collections:
                raise ConfigError(
                    f"{asked.method} with init_from is not captured: the server copies points in "
                    "the background, and nobody would know when to read them"
                )
        return (yield from flow(asked))

    return made


_MOVES_POINTS = (
    models.DropShardingKeyOperation,
    getattr(models, "ReplicatePointsOperation", models.DropShardingKeyOperation),
)


def _cluster(asked: Asked) -> Steps:
    if isinstance(asked.arguments.get("cluster_operation"), _MOVES_POINTS):
        return (yield from _whole("shards were dropped or copied")(asked))
    return (yield Ask(asked.method, asked.arguments))


_PASSES = """
DEFAULT_BATCH_SIZE info init_options cluster_status cluster_telemetry
collection_cluster_info recover_current_peer
collection_exists get_collection get_collections get_optimizations
get_aliases get_collection_aliases update_collection_aliases
update_collection create_payload_index delete_payload_index
create_vector_name create_shard_key list_shard_keys
count facet retrieve scroll query_points query_points_groups query_batch_points
search_matrix_offsets search_matrix_pairs
create_snapshot delete_snapshot list_snapshots create_full_snapshot delete_full_snapshot
list_full_snapshots create_shard_snapshot delete_shard_snapshot list_shard_snapshots
get_embedding_size list_text_models list_image_models list_sparse_models
list_late_interaction_text_models list_late_interaction_multimodal_models
cloud_inference embedding_models migrate
search search_batch search_groups recommend recommend_batch recommend_groups discover
discover_batch query query_batch add set_model set_sparse_model embedding_model_name
sparse_embedding_model_name get_vector_field_name get_sparse_vector_field_name
get_fastembed_vector_params get_fastembed_sparse_vector_params
lock_storage unlock_storage get_locks
"""

_RAW = "whatever is sent through it goes past the capture. Use the original client's for reads"
_UPLOAD = uploads(JUDGE, real_name)

RULES = Rules(
    vendor="qdrant_client",
    captures={
        "upsert": _points("upsert"),
        "update_vectors": _points("unknown"),
        "delete": _selected("points_selector", "delete"),
        "clear_payload": _selected("points_selector"),
        "set_payload": _selected("points"),
        "overwrite_payload": _selected("points"),
        "delete_payload": _selected("points"),
        "delete_vectors": _selected("points"),
        "batch_update_points": _capturing(_batch),
        "upload_points": _UPLOAD,
        "upload_collection": _UPLOAD,
        "delete_collection": _whole("the collection was deleted"),
        "create_collection": _made(directly),
        "recreate_collection": _made(_whole("the collection was made anew")),
        "delete_shard_key": _whole("a shard key was deleted"),
        "delete_vector_name": _whole("a vector was taken from every point"),
        "recover_snapshot": _recovered,
        "recover_shard_snapshot": _recovered,
        "cluster_collection_update": _cluster,
        "close": directly,
    },
    refused={
        "http": _RAW,
        "rest": _RAW,
        "grpc_points": _RAW,
        "grpc_collections": _RAW,
        "remove_peer": "it may drop shards of every collection. Call it on the original client, "
        "then run a rescan",
        "upload_records": "it is deprecated. Use upload_points",
    },
    passes=frozenset(_PASSES.split()),
)
"""``add`` of older clients sends with the captured upload; ``migrate`` reads from this client."""
