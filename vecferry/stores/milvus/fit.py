"""What Milvus would not hold of an image as it is: the code that packs rows is asked."""

from collections.abc import Iterator

from vecferry.errors import RecordError
from vecferry.model import Image, Key, Sparse, Vector
from vecferry.ports import Fit
from vecferry.stores.identity import RESERVED
from vecferry.stores.milvus.rows import dynamic_field, split_payload
from vecferry.stores.milvus.shape import Column, Shape
from vecferry.stores.milvus.vectors import not_finite, wire_bytes


def fit_image(shape: Shape, key: Key, image: Image) -> list[Fit]:
    """Return what would not come back bit by bit."""
    found = list(_fit_key(shape, key))
    found += [
        Fit(f"vectors.{name}", "dropped", "the collection has no such vector")
        for name in image.vectors.keys() - shape.vector_names
    ]
    for column in shape.vectors:
        found += _fit_vector(column, image.vectors.get(column.name))
    found += _fit_payload(shape, key, image.payload)
    return found


def _fit_key(shape: Shape, key: Key) -> Iterator[Fit]:
    try:
        place = shape.place(key)
    except RecordError as error:
        yield Fit("id", "dropped", f"its point cannot be written: {error}")
        return
    if place.id != key.id or type(place.id) is not type(key.id):
        yield Fit("id", "carried", "a UUIDv5 of the key takes its place")


def _fit_vector(column: Column, vector: Vector | None) -> Iterator[Fit]:
    field = f"vectors.{column.name}"
    try:
        data = wire_bytes(column, vector)
    except RecordError as error:
        yield Fit(field, "dropped", f"its point cannot be written: {error}")
        return
    if not_finite(column, [data]):
        yield Fit(field, "dropped", "its point cannot be written: a component is not finite")
    elif vector is not None and not isinstance(vector, Sparse) and data != vector.data:
        yield Fit(field, "widened", f"{vector.dtype} is stored as float32, every value is kept")


def _fit_payload(shape: Shape, key: Key, payload: bytes) -> Iterator[Fit]:
    try:
        _, beside, carried = split_payload(shape, payload)
    except RecordError as error:
        yield Fit("payload", "dropped", f"its point cannot be written: {error}")
        return
    try:
        shape.place(key)
    except RecordError:
        return  # said of the id
    try:
        dynamic_field(shape, key, beside, carried)
    except RecordError as error:
        yield Fit("payload", "dropped", f"its point cannot be written: {error}")
    for name in carried:
        yield Fit(f"payload.{name}", "carried", "the field of that name cannot hold it")
    for name in beside:
        if name.startswith(RESERVED):
            yield Fit(f"payload.{name}", "carried", "the name is reserved")
