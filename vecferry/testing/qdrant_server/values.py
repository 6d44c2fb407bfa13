"""Ids, vectors and records: JSON to the engine and back.

The engine writes an operation to its log before it looks at it, and an operation
that makes it panic would do so again at every start. So everything that is known to
upset it is refused here, before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import qdrant_edge as edge

from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError

Vectors = Mapping[str, Any]
"""Named vectors, ``""`` for the unnamed one: list, list of lists, or ``SparseVector``."""


class Shape(NamedTuple):
    """What a collection's vector must look like: kind is dense, multi or sparse."""

    kind: str
    dim: int = 0


Shapes = Mapping[str, Shape]


def point_id(value: object) -> int | UUID:
    """Read an id: an unsigned integer, or a UUID in any of its spellings.

    Raises:
        BadInputError: It is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise BadInputError(
        f"value {value!r} is not a valid point ID, valid values are either an unsigned "
        "integer or a UUID"
    )


def id_json(value: int | UUID) -> int | str:
    """Spell an id of the engine's for JSON."""
    return value if isinstance(value, int) else str(value)


def sparse(indices: Sequence[int], values: Sequence[float]) -> Any:
    """Make the engine's sparse vector.

    Raises:
        BadInputError: The lengths differ or an index comes twice.
    """
    if len(indices) != len(values):
        raise BadInputError("Validation error: sparse indices and values must have one length")
    if len(set(indices)) != len(indices):
        raise BadInputError("Validation error: sparse indices must be unique")
    try:
        return edge.SparseVector(list(indices), list(values))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"not a sparse vector: {error}") from error


def vector(body: object) -> Any:
    """Read one vector from JSON: ``[…]``, ``[[…], …]`` or ``{"indices", "values"}``."""
    if isinstance(body, list):
        return body
    fields = Fields(body, "a vector")
    fields.refuse("text", "image", "object", "model")
    indices, values = fields.need("indices"), fields.need("values")
    fields.close()
    return sparse(indices, values)


def vectors(body: object) -> Vectors:
    """Read the ``vector`` of a point: an unnamed vector, or an object of named ones."""
    if isinstance(body, list):
        return {"": body}
    if isinstance(body, dict):
        return {name: vector(item) for name, item in body.items()}
    raise BadInputError(f"a point's vector cannot be a {type(body).__name__}")


def require_fit(shape: Shape, name: str, value: Any) -> None:
    """Refuse a vector that the collection's vector ``name`` cannot hold.

    Raises:
        BadInputError: Its kind or its dimension differs.
    """
    if isinstance(value, edge.SparseVector) is not (shape.kind == "sparse"):
        raise BadInputError(f"Wrong input: vector `{name}` is {shape.kind}")
    if shape.kind == "sparse":
        return
    rows = value if shape.kind == "multi" else [value]
    if not rows:
        raise BadInputError(f"Wrong input: multivector `{name}` has no rows")
    for row in rows:
        if not isinstance(row, list) or (row and isinstance(row[0], list)):
            raise BadInputError(f"Wrong input: vector `{name}` is {shape.kind}")
        if len(row) != shape.dim:
            raise BadInputError(
                f"Wrong input: Vector dimension error: expected dim: {shape.dim}, got {len(row)}"
            )


def require_all_fit(shapes: Shapes, named: Vectors) -> None:
    """Refuse vectors with an unknown name or another shape."""
    for name, value in named.items():
        require_fit(require_shape(shapes, name), name, value)


def require_shape(shapes: Shapes, name: str) -> Shape:
    """Return the shape of that vector.

    Raises:
        BadInputError: The collection has no such vector.
    """
    shape = shapes.get(name)
    if shape is None:
        raise BadInputError(f"Wrong input: Not existing vector name error: {name}")
    return shape


def point(shapes: Shapes, key: int | UUID, named: Vectors, payload: Any) -> Any:
    """Make the engine's point, of vectors that fit.

    Raises:
        BadInputError: A vector or the payload is not one.
    """
    require_all_fit(shapes, named)
    try:
        return edge.Point(key, _for_engine(named), payload)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"Wrong input: point {id_json(key)}: {error}") from error


def point_vectors(shapes: Shapes, key: int | UUID, named: Vectors) -> Any:
    """Make the engine's vector update, of vectors that fit.

    Raises:
        BadInputError: A vector is not one.
    """
    require_all_fit(shapes, named)
    try:
        return edge.PointVectors(key, _for_engine(named))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"Wrong input: point {id_json(key)}: {error}") from error


def _for_engine(named: Vectors) -> Any:
    return named[""] if "" in named and len(named) == 1 else dict(named)


def vector_json(value: Any) -> Any:
    """Spell a vector, or an object of named ones, for JSON."""
    if isinstance(value, edge.SparseVector):
        return {"indices": value.indices, "values": value.values}
    if isinstance(value, dict):
        return {name: vector_json(item) for name, item in value.items()}
    return value


def record_json(record: Any, with_payload: object, with_vector: object) -> dict[str, Any]:
    """Spell a retrieved point for JSON."""
    body: dict[str, Any] = {"id": id_json(record.id)}
    if with_payload is not False:
        body["payload"] = record.payload or {}
    if with_vector not in (False, []):
        body["vector"] = vector_json(record.vector)
    if record.order_value is not None:
        body["order_value"] = record.order_value
    return body


def scored_json(scored: Any, with_payload: object, with_vector: object) -> dict[str, Any]:
    """Spell a found point for JSON."""
    body = record_json(scored, with_payload, with_vector)
    return body | {"version": scored.version, "score": scored.score}


def with_payload_of(value: object) -> Any:
    """Read ``with_payload``: a boolean, a list of paths, or include / exclude."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return value
    fields = Fields(value, "with_payload")
    include, exclude = fields.take("include"), fields.take("exclude")
    fields.close()
    if include is not None and exclude is not None:
        raise BadInputError("with_payload takes include or exclude")
    if include is not None:
        return edge.PayloadSelector.Include(include)
    return edge.PayloadSelector.Exclude(exclude or [])


def with_vector_of(value: object, shapes: Shapes) -> Any:
    """Read ``with_vector``: a boolean or a list of names that exist."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        for name in value:
            require_shape(shapes, name)
        return value
    raise NotImplementedHereError(f"with_vector cannot be a {type(value).__name__}")
