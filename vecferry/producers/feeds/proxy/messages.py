"""The points that a gRPC write names.

The client's own descriptors are copied into a private pool in which vectors,
payloads and filters are bytes: on the wire a message and a ``bytes`` field look
the same. So a request is parsed without a look at its vectors, and a filter is
passed on as it came. Requests are never encoded anew: what the proxy changes in
one is appended to it, because of a field that comes twice the last one counts.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import DecodeError, Message
from qdrant_client.grpc import collections_pb2, points_pb2

from vecferry.producers.feeds.proxy.changes import VERBS, Change, join, selected
from vecferry.producers.feeds.proxy.refusals import RefusalError, Why
from vecferry.stores.qdrant.points import NativeId, fill_id

_OPAQUE = frozenset({".qdrant.Filter", ".qdrant.Vectors"})
_PAYLOAD = ".PayloadEntry"
_INIT_FROM = 13
"""``CreateCollection.init_from_collection``, which newer clients no longer know."""

_APPLIED = (2, 3)  # Completed, ClockRejected
WAIT = b"\x10\x01"
"""``wait = true``: field 2 in every write of points."""


def _skip(message: DescriptorProto) -> None:
    for field in message.field:
        if field.type_name in _OPAQUE or field.type_name.endswith(_PAYLOAD):
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
    if message.name == "CreateCollection":
        del message.reserved_range[:]
        message.field.add(
            name="init_from_collection",
            number=_INIT_FROM,
            type=FieldDescriptorProto.TYPE_BYTES,
            label=FieldDescriptorProto.LABEL_REPEATED,
        )
    for inner in message.nested_type:
        _skip(inner)


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    seen: set[str] = set()

    def add(file: Any) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for needed in file.dependencies:
            add(needed)
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            _skip(message)
        pool.AddSerializedFile(proto.SerializeToString())

    add(points_pb2.DESCRIPTOR)
    add(collections_pb2.DESCRIPTOR)
    return pool


_POOL = _pool()


def _find(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"qdrant.{name}"))


_REQUESTS: Mapping[str, Any] = {
    "upsert": _find("UpsertPoints"),
    "delete": _find("DeletePoints"),
    "update_vectors": _find("UpdatePointVectors"),
    "delete_vectors": _find("DeletePointVectors"),
    "set_payload": _find("SetPayloadPoints"),
    "overwrite_payload": _find("SetPayloadPoints"),
    "delete_payload": _find("DeletePayloadPoints"),
    "clear_payload": _find("ClearPayloadPoints"),
    "batch": _find("UpdateBatchPoints"),
}
_CreateCollection = _find("CreateCollection")
_DeleteCollection = _find("DeleteCollection")  # for its first field alone
_ScrollPoints = _find("ScrollPoints")
_ScrollResponse = _find("ScrollResponse")
_UpdateResponse = _find("UpdateBatchResponse")  # of one result it is PointsOperationResponse
_ListAliasesResponse = _find("ListAliasesResponse")
_ListCollectionsResponse = _find("ListCollectionsResponse")


def read_change(operation: str, data: bytes) -> tuple[str, Change]:
    """Return the collection or alias and what a write names in it.

    Raises:
        RefusalError: It cannot be told; such a write must not go out.
    """
    message = _parse(_REQUESTS[operation], data)
    if operation == "batch":
        change = join([_of_operation(one) for one in message.operations])
    else:
        change = _of(operation, message)
    return message.collection_name, change


def collection_of(data: bytes) -> str:
    """Return the collection that a request names in its first field, as all of them do.

    Raises:
        RefusalError: It cannot be read.
    """
    name: str = _parse(_DeleteCollection, data).collection_name
    return name


def copies_another(data: bytes) -> bool:
    """Tell whether a collection is made from another one, in the background.

    Raises:
        RefusalError: The request cannot be read.
    """
    return bool(_parse(_CreateCollection, data).init_from_collection)


def renamed(data: bytes, collection: str) -> bytes:
    """Return a request for another collection."""
    return data + bytes(_DeleteCollection(collection_name=collection).SerializeToString())


def is_applied(reply: bytes) -> bool:
    """Tell whether the reply to a write says that all of it is applied, not only noted."""
    try:
        results = _UpdateResponse.FromString(reply).result
    except DecodeError:
        return False
    return bool(results) and all(one.status in _APPLIED for one in results)


def read_aliases(reply: bytes) -> dict[str, str]:
    """Return the collections by their aliases."""
    found = _asked(_ListAliasesResponse, reply).aliases
    return {one.alias_name: one.collection_name for one in found}


def read_collections(reply: bytes) -> frozenset[str]:
    """Return the names of the collections."""
    found = _asked(_ListCollectionsResponse, reply).collections
    return frozenset(one.name for one in found)


def scroll_request(collection: str, filter_: bytes, start: NativeId | None, limit: int) -> bytes:
    """Return the request for a page of ids from ``start`` on."""
    request = _ScrollPoints(collection_name=collection, limit=limit)
    request.filter = filter_
    request.with_payload.enable = False
    request.with_vectors.enable = False
    if start is not None:
        fill_id(request.offset, start)
    return bytes(request.SerializeToString())


def read_scroll(reply: bytes) -> list[int | str]:
    """Return the ids of a page."""
    return [_id(point.id) for point in _asked(_ScrollResponse, reply).result]


def _asked(message: Any, reply: bytes) -> Any:
    try:
        return message.FromString(reply)
    except DecodeError as error:
        raise RefusalError(Why.AWAY, "nothing was written: Qdrant's answer is no answer") from error


def _parse(message: Any, data: bytes) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise RefusalError(Why.INVALID, "the message of this write cannot be read") from error


def _of(operation: str, message: Any) -> Change:
    verb = VERBS.get(operation, "unknown")
    if operation in ("upsert", "update_vectors"):
        return selected(verb, [_id(point.id) for point in message.points], None)
    fields = message.DESCRIPTOR.fields_by_name
    selector = message.points_selector if "points_selector" in fields else message.points
    return _of_selector(verb, selector)


def _of_selector(verb: str, selector: Any) -> Change:
    which = selector.WhichOneof("points_selector_one_of")
    ids = [_id(one) for one in selector.points.ids] if which == "points" else None
    return selected(verb, ids, selector.filter if which == "filter" else None)


_DEPRECATED = {"delete_deprecated": "delete", "clear_payload_deprecated": "clear_payload"}
_BATCHED: Mapping[str, str] = {"delete_points": "delete"}


def _of_operation(message: Any) -> Change:
    which = message.WhichOneof("operation")
    if which is None:
        raise RefusalError(Why.NOT_HERE, "an operation of this batch is not known to the proxy")
    inner: Message = getattr(message, which)
    if which in _DEPRECATED:
        return _of_selector(VERBS.get(_DEPRECATED[which], "unknown"), inner)
    return _of(_BATCHED.get(which, which), inner)


def _id(message: Any) -> int | str:
    which = message.WhichOneof("point_id_options")
    if which is None:
        raise RefusalError(Why.INVALID, "a point has no id")
    found: int | str = getattr(message, which)
    return found
