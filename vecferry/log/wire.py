"""Hints and events as the fields of their Avro schemas, and back.

Every field is given when writing, so that no default is looked up, and the
branch of a union is named, so that none is guessed.
"""

from typing import Any

from vecferry.errors import RecordError
from vecferry.model import BITS, Dense, Image, Multi, Sparse, Vector
from vecferry.record import Event, EventKind, Hint, HintKind

_HINT_KINDS = {kind.value: kind for kind in HintKind}
_EVENT_KINDS = {kind.value: kind for kind in EventKind}


def hint_fields(hint: Hint) -> dict[str, Any]:
    """Return a hint as the fields of ``hint.avsc``."""
    return hint._asdict()


def hint_of(fields: dict[str, Any]) -> Hint:
    """Return the hint that the fields say.

    Raises:
        RecordError: Its kind came after this release.
    """
    kind = _HINT_KINDS.get(fields["kind"])
    if kind is None:
        raise RecordError("a hint is of a kind that this release does not know: upgrade it")
    fields["kind"] = kind
    fields["keys"] = tuple(fields["keys"])
    return Hint(**fields)


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event as the fields of ``event.avsc``.

    Raises:
        RecordError: A vector's bytes do not fit its dtype and shape.
    """
    fields = event._asdict()
    if event.image is not None:
        vectors = [_vector_fields(name, vector) for name, vector in event.image.vectors.items()]
        image = {"vectors": vectors, "payload": event.image.payload}
        fields["image"] = ("vecferry.Image", image)
    return fields


def event_of(fields: dict[str, Any]) -> Event:
    """Return the event that the fields say.

    Raises:
        RecordError: Its kind, or a vector's kind or dtype, came after this
            release, or a vector's bytes do not fit its dtype and shape.
    """
    kind = _EVENT_KINDS.get(fields["kind"])
    if kind is None:
        raise RecordError("an event is of a kind that this release does not know: upgrade it")
    fields["kind"] = kind
    image = fields["image"]
    if image is not None:
        vectors = {vector["name"]: _vector_of(vector) for vector in image["vectors"]}
        if len(vectors) != len(image["vectors"]):
            raise RecordError("an event holds two vectors of one name")
        fields["image"] = Image(vectors, image["payload"])
    return Event(**fields)


def check_vector(name: str, vector: Vector) -> None:
    """Hold a vector's bytes against its dtype and shape.

    Raises:
        RecordError: They do not fit.
    """
    if isinstance(vector, Sparse):
        if len(vector.indices) != len(vector.values) or len(vector.values) % 4:
            raise RecordError(
                f"the sparse vector {name!r} has {len(vector.indices)} bytes of indices "
                f"and {len(vector.values)} of values: both take 4 for each entry"
            )
        return
    rows = vector.rows if isinstance(vector, Multi) else 1
    wanted = rows * ((vector.dim * BITS[vector.dtype] + 7) // 8)
    if len(vector.data) != wanted:
        raise RecordError(
            f"the vector {name!r} has {len(vector.data)} bytes: {rows} x {vector.dim} "
            f"of {vector.dtype} take {wanted}"
        )


def _vector_fields(name: str, vector: Vector) -> dict[str, Any]:
    check_vector(name, vector)
    if isinstance(vector, Sparse):
        return {
            "name": name,
            "kind": "sparse",
            "dtype": "float32",
            "dim": 0,
            "rows": 0,
            "indices": vector.indices,
            "data": vector.values,
        }
    multi = isinstance(vector, Multi)
    return {
        "name": name,
        "kind": "multi" if multi else "dense",
        "dtype": vector.dtype,
        "dim": vector.dim,
        "rows": vector.rows if isinstance(vector, Multi) else 0,
        "indices": b"",
        "data": vector.data,
    }


def _vector_of(fields: dict[str, Any]) -> Vector:
    kind, dtype = fields["kind"], fields["dtype"]
    if kind == "unknown" or dtype == "unknown":
        raise RecordError(
            f"the vector {fields['name']!r} is of a kind or a dtype that this release "
            "does not know: upgrade it"
        )
    vector: Vector
    if kind == "sparse":
        vector = Sparse(fields["indices"], fields["data"])
    elif kind == "multi":
        vector = Multi(dtype, fields["dim"], fields["rows"], fields["data"])
    else:
        vector = Dense(dtype, fields["dim"], fields["data"])
    check_vector(fields["name"], vector)
    return vector
