"""The points that a REST write names.

The body is decoded into shapes that have ids and filters alone: vectors and
payloads are stepped over, and a filter stays the bytes that it is.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from vecferry.producers.feeds.proxy.changes import VERBS, Change, join, native_ids, selected
from vecferry.producers.feeds.proxy.refusals import RefusalError, Why

_T = TypeVar("_T")
_Id = int | str
_NOTHING = (b"", b"null")
_APPLIED = ("completed", "clock_rejected")


class _Point(msgspec.Struct):
    id: _Id


class _Columns(msgspec.Struct):
    ids: list[_Id]


class _Upsert(msgspec.Struct):
    points: list[_Point] | None = None
    batch: _Columns | None = None


class _Selector(msgspec.Struct):
    points: list[_Id] | None = None
    filter: msgspec.Raw = msgspec.Raw()


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    upsert: _Upsert | None = None
    delete: _Selector | None = None
    set_payload: _Selector | None = None
    overwrite_payload: _Selector | None = None
    delete_payload: _Selector | None = None
    clear_payload: _Selector | None = None
    update_vectors: _Upsert | None = None
    delete_vectors: _Selector | None = None


class _Operations(msgspec.Struct):
    operations: list[_Operation]


class _Create(msgspec.Struct):
    init_from: msgspec.Raw = msgspec.Raw()


class _Update(msgspec.Struct):
    status: str


class _Reply(msgspec.Struct):
    result: _Update | list[_Update]


class _Alias(msgspec.Struct):
    alias_name: str
    collection_name: str


class _Aliases(msgspec.Struct):
    aliases: list[_Alias]


class _AliasesReply(msgspec.Struct):
    result: _Aliases


class _Named(msgspec.Struct):
    name: str


class _Collections(msgspec.Struct):
    collections: list[_Named]


class _CollectionsReply(msgspec.Struct):
    result: _Collections


class _Page(msgspec.Struct):
    points: list[_Point]


class _ScrollReply(msgspec.Struct):
    result: _Page


def _of_points(verb: str, body: _Upsert) -> Change:
    if body.points is None and body.batch is None:
        raise RefusalError(Why.INVALID, "the write names no points")
    named = [point.id for point in body.points or ()]
    named += body.batch.ids if body.batch is not None else ()
    return Change(verb, native_ids(named))


def _of_selector(verb: str, body: _Selector) -> Change:
    given = bytes(body.filter)
    return selected(verb, body.points, None if given in _NOTHING else given)


def _of_operation(body: _Operation) -> list[Change]:
    found = []
    for name in body.__struct_fields__:
        inner = getattr(body, name)
        if inner is not None:
            found.append(_READ[type(inner)](VERBS.get(name, "unknown"), inner))
    return found


def _of_batch(_verb: str, body: _Operations) -> Change:
    return join([change for one in body.operations for change in _of_operation(one)])


_READ: Mapping[type, Callable[[str, Any], Change]] = {
    _Upsert: _of_points,
    _Selector: _of_selector,
    _Operations: _of_batch,
}
_BODIES: Mapping[str, type] = {
    **dict.fromkeys(("upsert", "update_vectors"), _Upsert),
    **dict.fromkeys(
        (
            "delete",
            "set_payload",
            "overwrite_payload",
            "delete_payload",
            "clear_payload",
            "delete_vectors",
        ),
        _Selector,
    ),
    "batch": _Operations,
}
_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(body) for name, body in _BODIES.items()
}
_REPLY = msgspec.json.Decoder(_Reply)


def read_change(operation: str, body: bytes) -> Change:
    """Return what a write names.

    Raises:
        RefusalError: It cannot be told; such a write must not go out.
    """
    try:
        decoded = _DECODERS[operation].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # the decoder's words hold types and places, no values
        raise RefusalError(
            Why.INVALID, f"the body of this write cannot be read: {error}"
        ) from error
    return _READ[type(decoded)](VERBS.get(operation, "unknown"), decoded)


def copies_another(body: bytes) -> bool:
    """Tell whether a collection is made from another one, in the background.

    Raises:
        RefusalError: The body cannot be read.
    """
    try:
        decoded = msgspec.json.decode(body, type=_Create)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusalError(
            Why.INVALID, f"the body of this request cannot be read: {error}"
        ) from error
    return bytes(decoded.init_from) not in _NOTHING


def is_applied(reply: bytes) -> bool:
    """Tell whether the reply to a write says that all of it is applied, not only noted."""
    try:
        result = _REPLY.decode(reply).result
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    updates = result if isinstance(result, list) else [result]
    return bool(updates) and all(one.status in _APPLIED for one in updates)


def read_aliases(reply: bytes) -> dict[str, str]:
    """Return the collections by their aliases."""
    found = _asked(reply, _AliasesReply).result.aliases
    return {one.alias_name: one.collection_name for one in found}


def read_collections(reply: bytes) -> frozenset[str]:
    """Return the names of the collections."""
    found = _asked(reply, _CollectionsReply).result.collections
    return frozenset(one.name for one in found)


def scroll_body(filter_: bytes, start: int | str | None, limit: int) -> bytes:
    """Return the request for a page of ids from ``start`` on."""
    rest: dict[str, object] = {"limit": limit, "with_payload": False, "with_vector": False}
    if start is not None:
        rest["offset"] = start
    return b'{"filter":' + filter_ + b"," + msgspec.json.encode(rest)[1:]


def read_scroll(reply: bytes) -> list[int | str]:
    """Return the ids of a page."""
    return [point.id for point in _asked(reply, _ScrollReply).result.points]


def _asked(reply: bytes, shape: type[_T]) -> _T:
    try:
        return msgspec.json.decode(reply, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusalError(Why.AWAY, "nothing was written: Qdrant's answer is no answer") from error
