"""The methods of qdrant.Points."""

from collections.abc import Callable
from typing import Any

from vecferry.testing.qdrant_server import reads, writes
from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.filters import filter_of
from vecferry.testing.qdrant_server.queries import from_search
from vecferry.testing.qdrant_server.records import (
    fill_id,
    fill_records,
    point_vectors_of,
    points_of,
)
from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError
from vecferry.testing.qdrant_server.server import Server
from vecferry.testing.qdrant_server.wire import fields_of, json_of, require_known

Method = Callable[[Server, Any, Any], None]
Write = Callable[[Collection, Any], int]

_ACKNOWLEDGED, _COMPLETED = 1, 2


def _upsert(collection: Collection, message: Any) -> int:
    points = points_of(collection.shapes, message.points)
    fields = Fields(_small_fields(message), "an upsert")
    conditions = writes.conditions_of(fields)
    fields.refuse("shard_key")
    fields.close()
    return writes.upsert_made(collection, points, conditions)


def _update_vectors(collection: Collection, message: Any) -> int:
    made = point_vectors_of(collection.shapes, message.points)
    fields = Fields(_small_fields(message), "a vector update")
    condition = filter_of(fields.take("update_filter"))
    fields.refuse("shard_key")
    fields.close()
    return writes.update_made_vectors(collection, made, condition)


def _small_fields(message: Any) -> dict[str, Any]:
    """Spell the fields of a write that are not its points."""
    require_known(message)
    rest = type(message)()
    for field, value in message.ListFields():
        if field.name == "points":
            continue
        if field.message_type is not None:
            getattr(rest, field.name).CopyFrom(value)
        else:
            setattr(rest, field.name, value)
    return fields_of(rest)


def _selected(message: Any) -> dict[str, Any]:
    """Spell a write that has a selector: its ids and filter lie beside its own fields."""
    body: dict[str, Any] = json_of(message)
    selector = body.pop("points_selector", None)
    if selector is None:
        selector = body.pop("points", None)
    if "vectors" in body:
        body["vector"] = body.pop("vectors")
    if "payload" in message.DESCRIPTOR.fields_by_name:
        body.setdefault("payload", {})
    return body | (selector or {})


def _by_json(write: Write) -> Write:
    return lambda collection, message: write(collection, _selected(message))


_WRITES: dict[str, Write] = {
    "Upsert": _upsert,
    "Delete": _by_json(writes.delete),
    "UpdateVectors": _update_vectors,
    "DeleteVectors": _by_json(writes.delete_vectors),
    "SetPayload": _by_json(writes.set_payload),
    "OverwritePayload": _by_json(writes.overwrite_payload),
    "DeletePayload": _by_json(writes.delete_payload),
    "ClearPayload": _by_json(writes.clear_payload),
}
_BATCHED = {
    "upsert": "Upsert",
    "delete_points": "Delete",
    "delete_deprecated": "Delete",
    "update_vectors": "UpdateVectors",
    "delete_vectors": "DeleteVectors",
    "set_payload": "SetPayload",
    "overwrite_payload": "OverwritePayload",
    "delete_payload": "DeletePayload",
    "clear_payload": "ClearPayload",
    "clear_payload_deprecated": "ClearPayload",
}


def _fill_result(result: Any, number: int, wait: bool) -> None:
    result.operation_id = number
    result.status = _COMPLETED if wait else _ACKNOWLEDGED


def _write(write: Write) -> Method:
    def method(server: Server, request: Any, reply: Any) -> None:
        number = write(server.catalog.get(request.collection_name), request)
        _fill_result(reply.result, number, request.wait)

    return method


def _create_index(collection: Collection, message: Any) -> int:
    body = json_of(message)
    parameters, kind = body.pop("field_index_params", None), body.pop("field_type", None)
    if parameters:
        ((name, schema),) = parameters.items()
        spelled = name.removesuffix("_index_params")
        if kind not in (None, spelled):
            raise BadInputError(f"an index of type {kind} has no {name}")
        kind = {"type": spelled, **schema}
    return writes.create_index(collection, {**body, "field_schema": kind})


def _drop_index(collection: Collection, message: Any) -> int:
    return collection.drop_index(message.field_name)


def _update_batch(server: Server, request: Any, reply: Any) -> None:
    collection = server.catalog.get(request.collection_name)
    for operation in request.operations:
        which = operation.WhichOneof("operation")
        if which not in _BATCHED:
            raise NotImplementedHereError(f"operation {which} of a batch is not implemented")
        number = _WRITES[_BATCHED[which]](collection, getattr(operation, which))
        _fill_result(reply.result.add(), number, request.wait)


def _get(server: Server, request: Any, reply: Any) -> None:
    collection = server.catalog.get(request.collection_name)
    fill_records(reads.retrieve(collection, json_of(request)), reply.result)


def _scroll(server: Server, request: Any, reply: Any) -> None:
    page = reads.scroll(server.catalog.get(request.collection_name), json_of(request))
    fill_records(page, reply.result)
    if page.next_offset is not None:
        fill_id(reply.next_page_offset, page.next_offset)


def _count(server: Server, request: Any, reply: Any) -> None:
    collection = server.catalog.get(request.collection_name)
    reply.result.count = reads.count(collection, json_of(request))


def _query(server: Server, request: Any, reply: Any) -> None:
    collection = server.catalog.get(request.collection_name)
    fill_records(reads.search(collection, json_of(request)), reply.result)


def _query_batch(server: Server, request: Any, reply: Any) -> None:
    for one in request.query_points:
        _query(server, one, reply.result.add())


def _search(server: Server, request: Any, reply: Any) -> None:
    body = json_of(request)
    indices = body.pop("sparse_indices", None)
    if indices is not None:
        body["vector"] = {"indices": indices.get("data", []), "values": body["vector"]}
    using = body.pop("vector_name", "")
    body.setdefault("limit", 0)
    if using or indices is not None:
        body["vector"] = {"name": using, "vector": body.get("vector")}
    collection = server.catalog.get(request.collection_name)
    fill_records(reads.search(collection, from_search(body)), reply.result)


def _search_batch(server: Server, request: Any, reply: Any) -> None:
    for one in request.search_points:
        _search(server, one, reply.result.add())


def _facet(server: Server, request: Any, reply: Any) -> None:
    collection = server.catalog.get(request.collection_name)
    for value, number in reads.facet(collection, json_of(request)):
        hit = reply.hits.add(count=number)
        if isinstance(value, bool):
            hit.value.bool_value = value
        elif isinstance(value, int):
            hit.value.integer_value = value
        else:
            hit.value.string_value = value


POINTS: dict[str, Method] = {
    **{name: _write(write) for name, write in _WRITES.items()},
    "CreateFieldIndex": _write(_create_index),
    "DeleteFieldIndex": _write(_drop_index),
    "UpdateBatch": _update_batch,
    "Get": _get,
    "Scroll": _scroll,
    "Count": _count,
    "Query": _query,
    "QueryBatch": _query_batch,
    "Search": _search,
    "SearchBatch": _search_batch,
    "Facet": _facet,
}
WRITES = frozenset({*_WRITES, "CreateFieldIndex", "DeleteFieldIndex", "UpdateBatch"})
"""The methods that change points or their indexes."""
