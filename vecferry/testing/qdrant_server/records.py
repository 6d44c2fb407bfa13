"""Points on gRPC: messages to the engine's points, its records to messages."""

from collections.abc import Iterable
from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.reads import Selected
from vecferry.testing.qdrant_server.values import (
    Shapes,
    Vectors,
    point,
    point_id,
    point_vectors,
    sparse,
)
from vecferry.testing.qdrant_server.wire import (
    fill_value,
    json_of,
    python_of,
    require_known,
    vector_of,
)


def points_of(shapes: Shapes, messages: Iterable[Any]) -> list[Any]:
    """Make the engine's points of ``PointStruct`` messages."""
    made = []
    for message in messages:
        require_known(message)
        payload = {key: python_of(value) for key, value in message.payload.items()}
        key, named = point_id(json_of(message.id)), _vectors_of(message.vectors)
        made.append(point(shapes, key, named, payload))
    return made


def point_vectors_of(shapes: Shapes, messages: Iterable[Any]) -> list[Any]:
    """Make the engine's vector updates of ``PointVectors`` messages."""
    made = []
    for message in messages:
        require_known(message)
        key, named = point_id(json_of(message.id)), _vectors_of(message.vectors)
        made.append(point_vectors(shapes, key, named))
    return made


def _vectors_of(message: Any) -> Vectors:
    which = message.WhichOneof("vectors_options")
    if which is None:
        require_known(message)  # a kind of vectors that came later
        return {}
    if which == "vector":
        return {"": _engine_vector(message.vector)}
    named = message.vectors.vectors
    return {name: _engine_vector(named[name]) for name in named}


def _engine_vector(message: Any) -> Any:
    if message.WhichOneof("vector") == "dense":
        return message.dense.data[:]
    require_known(message)
    value = vector_of(message)
    return sparse(value["indices"], value["values"]) if isinstance(value, dict) else value


def fill_records(found: Selected, target: Any) -> None:
    """Append records to a repeated ``RetrievedPoint``, or ``ScoredPoint``."""
    for record in found.records:
        message = target.add()
        fill_id(message.id, record.id)
        if found.with_payload is not False:
            for key, value in (record.payload or {}).items():
                fill_value(message.payload[key], value)
        if found.with_vector not in (False, []):
            _fill_vectors(message.vectors, record.vector)
        if record.order_value is not None:
            order = message.order_value
            if isinstance(record.order_value, int):
                order.int = record.order_value
            else:
                order.float = record.order_value
        if hasattr(record, "score"):
            message.score, message.version = record.score, record.version


def fill_id(message: Any, value: Any) -> None:
    """Write an id of the engine's into a ``PointId``."""
    if isinstance(value, int):
        message.num = value
    else:
        message.uuid = str(value)


def _fill_vectors(message: Any, value: Any) -> None:
    if isinstance(value, dict):
        message.vectors.SetInParent()
        for name, one in value.items():
            _fill_vector(message.vectors.vectors[name], one)
    elif value is not None:
        _fill_vector(message.vector, value)


def _fill_vector(message: Any, value: Any) -> None:
    if isinstance(value, edge.SparseVector):
        message.sparse.indices.extend(value.indices)
        message.sparse.values.extend(value.values)
        message.sparse.SetInParent()
    elif value and isinstance(value[0], list):
        for row in value:
            message.multi_dense.vectors.add().data.extend(row)
    else:
        message.dense.data.extend(value)
