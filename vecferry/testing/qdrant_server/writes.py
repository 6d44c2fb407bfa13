"""What a write does, given its body as JSON (points may come made already)."""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import qdrant_edge as edge

from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.filters import filter_of
from vecferry.testing.qdrant_server.indexes import index_of
from vecferry.testing.qdrant_server.refusals import BadInputError
from vecferry.testing.qdrant_server.schema import named
from vecferry.testing.qdrant_server.values import (
    Shapes,
    point,
    point_id,
    point_vectors,
    require_shape,
    vectors,
)

Operation = edge.UpdateOperation
_MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}


class Conditions(NamedTuple):
    """When an upsert takes place: the engine's filter and mode."""

    condition: Any = None
    mode: Any = None


def conditions_of(fields: Fields) -> Conditions:
    """Take ``update_filter`` and ``update_mode``."""
    mode = fields.take("update_mode")
    return Conditions(
        filter_of(fields.take("update_filter")),
        None if mode is None else named(_MODES, mode, "update_mode"),
    )


def upsert(collection: Collection, body: object) -> int:
    """Insert or replace points."""
    fields = Fields(body, "an upsert")
    conditions = conditions_of(fields)
    fields.refuse("shard_key")
    batch = fields.take("batch")
    if batch is None:
        bodies = listed(fields.need("points"), "points")
        points = [_point(collection.shapes, one) for one in bodies]
    else:
        points = list(_columns(collection.shapes, batch))
    fields.close()
    return upsert_made(collection, points, conditions)


def upsert_made(collection: Collection, points: list[Any], conditions: Conditions) -> int:
    """Insert or replace points that are the engine's already."""
    if not points:
        raise BadInputError("Bad request: Empty update request")
    return collection.write(Operation.upsert_points(points, conditions.condition, conditions.mode))


def _point(shapes: Shapes, body: object) -> Any:
    fields = Fields(body, "a point")
    key, given = point_id(fields.need("id")), vectors(fields.need("vector"))
    payload = fields.take("payload", {})
    fields.close()
    return point(shapes, key, given, payload)


def _columns(shapes: Shapes, body: object) -> Iterator[Any]:
    """Read a batch given in columns."""
    fields = Fields(body, "batch")
    ids = [point_id(one) for one in listed(fields.need("ids"), "ids")]
    given, payloads = fields.need("vectors"), fields.take("payloads", [None] * len(ids))
    fields.close()
    rows: Any
    if isinstance(given, dict):
        names = list(given)
        columns = [listed(given[name], f"vectors of {name}") for name in names]
        if any(len(column) != len(ids) for column in columns):
            raise BadInputError("Validation error: ids and vectors differ in number")
        rows = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
        rows = rows if columns else repeat({}, len(ids))
    else:
        rows = listed(given, "vectors")
    try:
        for key, row, payload in zip(ids, rows, payloads, strict=True):
            yield point(shapes, key, vectors(row), payload or {})
    except ValueError as error:
        raise BadInputError(f"Validation error: a batch's columns differ: {error}") from error


class Selector:
    """Which points a write concerns: ids, else a filter. Given both, ids win, as in Qdrant."""

    def __init__(self, fields: Fields) -> None:
        ids, condition = fields.take("points"), fields.take("filter")
        fields.refuse("shard_key")
        if ids is None and condition is None:
            raise BadInputError("either `points` or `filter` must say which points")
        self.ids = None if ids is None else [point_id(one) for one in listed(ids, "points")]
        self.condition = filter_of(condition)

    def pick(self, by_ids: Callable[..., Any], by_filter: Callable[..., Any], *rest: Any) -> Any:
        """Make the operation for ids, or the one for a filter."""
        if self.ids is not None:
            return by_ids(self.ids, *rest)
        return by_filter(self.condition, *rest)

    def require(self, collection: Collection) -> None:
        """Refuse ids of points that do not exist."""
        if self.ids is not None:
            collection.require_points(self.ids)


def delete(collection: Collection, body: object) -> int:
    """Delete points; those that do not exist are no error. A bare list is of ids."""
    fields = Fields({"points": body} if isinstance(body, list) else body, "a delete")
    selector = Selector(fields)
    fields.close()
    return collection.write(
        selector.pick(Operation.delete_points, Operation.delete_points_by_filter)
    )


def set_payload(collection: Collection, body: object) -> int:
    """Merge fields into payloads, or into the object at ``key`` of them."""
    return _payload(collection, body, Operation.set_payload, Operation.set_payload_by_filter)


def overwrite_payload(collection: Collection, body: object) -> int:
    """Replace payloads."""
    return _payload(
        collection, body, Operation.overwrite_payload, Operation.overwrite_payload_by_filter
    )


def _payload(
    collection: Collection,
    body: object,
    by_ids: Callable[..., Any],
    by_filter: Callable[..., Any],
) -> int:
    fields = Fields(body, "a payload update")
    selector, key = Selector(fields), fields.take("key")
    payload = fields.need("payload")
    fields.close()
    selector.require(collection)
    try:
        operation = selector.pick(by_ids, by_filter, payload, key)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"Wrong input: not a payload: {error}") from error
    return collection.write(operation)


def delete_payload(collection: Collection, body: object) -> int:
    """Delete fields of payloads."""
    fields = Fields(body, "a payload deletion")
    selector, keys = Selector(fields), listed(fields.need("keys"), "keys")
    fields.close()
    selector.require(collection)
    return collection.write(
        selector.pick(Operation.delete_payload, Operation.delete_payload_by_filter, keys)
    )


def clear_payload(collection: Collection, body: object) -> int:
    """Delete whole payloads."""
    fields = Fields({"points": body} if isinstance(body, list) else body, "a payload clearing")
    selector = Selector(fields)
    fields.close()
    selector.require(collection)
    return collection.write(
        selector.pick(Operation.clear_payload, Operation.clear_payload_by_filter)
    )


def update_vectors(collection: Collection, body: object) -> int:
    """Replace vectors of existing points, leaving their other vectors."""
    fields = Fields(body, "a vector update")
    condition, bodies = filter_of(fields.take("update_filter")), fields.need("points")
    fields.refuse("shard_key")
    fields.close()
    made = []
    for one in listed(bodies, "points"):
        row = Fields(one, "a vector update")
        key, given = point_id(row.need("id")), vectors(row.need("vector"))
        row.close()
        made.append(point_vectors(collection.shapes, key, given))
    return update_made_vectors(collection, made, condition)


def update_made_vectors(collection: Collection, made: list[Any], condition: Any) -> int:
    """Replace vectors that are the engine's already."""
    if not made:
        raise BadInputError("Bad request: Empty update request")
    collection.require_points([one.id for one in made])
    return collection.write(Operation.update_vectors(made, condition))


def delete_vectors(collection: Collection, body: object) -> int:
    """Delete named vectors of points."""
    fields = Fields(body, "a vector deletion")
    selector, names = Selector(fields), listed(fields.need("vector"), "vector")
    fields.close()
    for name in names:
        require_shape(collection.shapes, name)
    selector.require(collection)
    return collection.write(
        selector.pick(Operation.delete_vectors, Operation.delete_vectors_by_filter, names)
    )


def create_index(collection: Collection, body: object) -> int:
    """Make a payload index."""
    fields = Fields(body, "an index request")
    name, schema = fields.need("field_name"), fields.take("field_schema")
    fields.close()
    return collection.index(name, *index_of(schema))


OPERATIONS: dict[str, Callable[[Collection, object], int]] = {
    "upsert": upsert,
    "delete": delete,
    "set_payload": set_payload,
    "overwrite_payload": overwrite_payload,
    "delete_payload": delete_payload,
    "clear_payload": clear_payload,
    "update_vectors": update_vectors,
    "delete_vectors": delete_vectors,
}


def batch(collection: Collection, body: object) -> list[int]:
    """Apply several writes in order; the first that fails ends it."""
    fields = Fields(body, "a batch")
    operations = listed(fields.need("operations"), "operations")
    fields.close()
    numbers = []
    for one in operations:
        if not isinstance(one, dict) or len(one) != 1:
            raise BadInputError("an operation of a batch has one name")
        ((name, inner),) = one.items()
        numbers.append(named(OPERATIONS, name, "operation")(collection, inner))
    return numbers
