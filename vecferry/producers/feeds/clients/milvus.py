"""``MilvusClient`` and ``AsyncMilvusClient``, captured."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NoReturn

from vecferry.errors import ConfigError, UnknownOutcome, VecferryError
from vecferry.producers.feeds.clients.attempts import Attempts, counted
from vecferry.producers.feeds.clients.milvus_shapes import (
    Shape,
    matching,
    namespaces,
    shape_of,
)
from vecferry.producers.feeds.clients.steps import Ask, Step, Steps
from vecferry.producers.feeds.clients.touches import (
    Answered,
    Captured,
    Ids,
    Judge,
    Keys,
    Touch,
    Whole,
    captured_call,
)
from vecferry.producers.feeds.clients.wrapping import Asked, Rules, directly
from vecferry.stores.milvus.errors import translate_errors

_Touches = Generator[Step, Any, list[Touch]]


def judge(attempts: Attempts | None) -> Judge:
    """Return what tells the outcome of a call whose tries are counted."""

    def refuses(error: BaseException) -> bool:
        if attempts is not None and attempts.number == 0:
            return isinstance(error, Exception)  # nothing was sent
        if attempts is not None and attempts.number > 1:
            return False  # an earlier try may land
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

    def is_open(_result: Any) -> bool:
        return attempts is not None and attempts.number > 1

    return Judge(refuses, is_open)


def _capturing(touches: Callable[[Asked, Shape], _Touches]) -> Callable[[Asked], Steps]:
    def flow(asked: Asked) -> Steps:
        shape = yield from shape_of(asked)
        # to where the alias led when it was looked up: it may be switched before this is sent
        feed, arguments = asked.captive.feed, asked.arguments | {"collection_name": shape.name}
        if shape.name not in feed.collections:
            return (yield Ask(asked.method, arguments))
        if arguments.get("_async"):
            _refuse(f"{asked.method} with _async=True is not captured: its outcome is nobody's")
        found = yield from touches(asked, shape)
        # the client tries again for as long as its timeout, and the last try takes as long
        longest_s = feed.options.request_max_s / 2
        given_s = arguments.get("timeout")
        timeout_s = longest_s if given_s is None else min(given_s, longest_s)
        with counted(getattr(asked.client, "_handler", None)) as attempts:
            call = Captured(feed, judge(attempts), asked.method, arguments | {"timeout": timeout_s})
            return (yield from captured_call(call, found))

    return flow


def _rows(asked: Asked, shape: Shape) -> _Touches:
    given = asked.arguments
    data = given.get("data")
    rows = [data] if isinstance(data, Mapping) else data
    if not isinstance(rows, Sequence) or not rows:
        return []  # the client refuses it, or sends nothing
    if not shape.auto_id and not all(_has(row, shape.pk) for row in rows):
        shape = yield from shape_of(asked, anew=True)  # made anew with another key?
    values = [row[shape.pk] for row in rows if _has(row, shape.pk)]
    namespace = shape.namespace(given.get("partition_name"))
    found: list[Touch] = []
    if values:
        ids: Ids = [(namespace, key) for key in shape.keys(values)]
        found.append(Keys(shape.name, ids, "upsert"))
    if shape.auto_id:

        def answered(result: Any) -> list[tuple[str, Any]]:
            return [(namespace, key) for key in shape.keys(result.get("ids") or ())]

        found.append(Answered(shape.name, "upsert", answered))
    return found


def _has(row: Any, field: str) -> bool:
    return isinstance(row, Mapping) and field in row


def _deleted(asked: Asked, shape: Shape) -> _Touches:
    given = asked.arguments
    values = [*_listed(given.get("ids")), *_listed(given.get("pks"))]
    partitions = yield from namespaces(shape, given.get("partition_name"))
    if values:
        keys = shape.keys(values)
        ids: Ids = [(shape.namespace(each), key) for each in partitions for key in keys]
        return [Keys(shape.name, ids, "delete")]
    if isinstance(given.get("filter"), str) and given["filter"].strip():
        return [matching(shape, given, partitions)]
    return []  # the client refuses it


def _listed(values: Any) -> list[Any]:
    if values is None:
        return []
    return [values] if isinstance(values, int | str) else list(values)


def _whole(reason: str) -> Callable[[Asked], Steps]:
    def flow(asked: Asked) -> Steps:
        shape = yield from shape_of(asked)
        asked.captive.cache.clear()
        feed = asked.captive.feed
        call = Captured(feed, judge(None), asked.method, asked.arguments)
        return (yield from captured_call(call, [Whole(shape.name, reason)]))

    return flow


def _dropped(asked: Asked) -> Steps:
    # dropping what is not there is no error, and has nothing to be looked up
    name = asked.arguments.get("collection_name")
    is_there = yield Ask("has_collection", {"collection_name": name})
    flow = _whole("the collection was dropped") if is_there else directly
    return (yield from flow(asked))


def _renamed(asked: Asked) -> Steps:
    feed = asked.captive.feed
    asked.captive.cache.clear()
    names = [str(asked.arguments.get(each, "")) for each in ("old_name", "new_name")]
    call = Captured(feed, judge(None), asked.method, asked.arguments)
    touches = [Whole(name, "the collection was renamed") for name in names]
    return (yield from captured_call(call, touches))


def _refuse(message: str) -> NoReturn:
    raise ConfigError(message)


_PASSES = """
add_file_resource remove_file_resource list_file_resources
add_privileges_to_group remove_privileges_from_group create_privilege_group drop_privilege_group
list_privilege_groups grant_privilege grant_privilege_v2 revoke_privilege revoke_privilege_v2
create_role drop_role alter_role describe_role list_roles grant_role revoke_role
create_user drop_user update_user update_password describe_user list_users
create_alias alter_alias drop_alias describe_alias list_aliases
create_collection create_schema create_field_schema create_struct_field_schema
prepare_index_params describe_collection has_collection list_collections get_collection_stats
add_collection_function alter_collection_function drop_collection_function
alter_collection_field alter_collection_properties drop_collection_properties
create_database drop_database describe_database list_databases alter_database_properties
drop_database_properties
create_index drop_index describe_index list_indexes alter_index_properties drop_index_properties
create_partition has_partition list_partitions get_partition_stats load_partitions
release_partitions
load_collection release_collection refresh_load get_load_state describe_replica transfer_replica
create_resource_group drop_resource_group describe_resource_group list_resource_groups
update_resource_groups
create_snapshot drop_snapshot describe_snapshot list_snapshots pin_snapshot_data
unpin_snapshot_data get_restore_snapshot_state list_restore_snapshot_jobs
compact get_compaction_state get_compaction_plans list_compaction_tasks optimize
flush flush_all get_flush_all_state
get_refresh_external_collection_progress list_refresh_external_collection_jobs
get_replicate_configuration get_replicate_info dump_messages
list_loaded_segments list_persistent_segments list_segments
get query query_iterator search search_iterator hybrid_search run_analyzer session
get_server_type get_server_version
"""

_JOB = (
    "it is a job that goes on after the call, so nobody would know when to read the collection "
    "again. Call it on the original client, and run a rescan when the job has ended"
)
_DATABASE = "names would mean other collections. Open another client for the other database"

RULES = Rules(
    vendor="pymilvus",
    captures={
        "insert": _capturing(_rows),
        "upsert": _capturing(_rows),
        "delete": _capturing(_deleted),
        "drop_collection": _dropped,
        "truncate_collection": _whole("the collection was truncated"),
        "drop_partition": _whole("a partition was dropped"),
        "rename_collection": _renamed,
        "add_collection_field": _whole("a field was added to every row"),
        "add_collection_struct_field": _whole("a field was added to every row"),
        "add_function_field": _whole("a field was added to every row"),
        "drop_collection_field": _whole("a field was taken from every row"),
        "drop_function_field": _whole("a field was taken from every row"),
        "close": directly,
    },
    refused={
        "restore_snapshot": _JOB,
        "refresh_external_collection": _JOB,
        "update_replicate_configuration": "what is replicated into the source goes past the capture",
        "use_database": _DATABASE,
        "using_database": _DATABASE,
    },
    passes=frozenset(_PASSES.split()),
)
"""Expiry (``collection.ttl.seconds``) is nobody's call: the parity check finds what it removed."""
