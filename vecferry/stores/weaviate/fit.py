"""What a class would not hold of a point as it is, by the code that packs it."""

from collections.abc import Iterator

from vecferry.errors import RecordError
from vecferry.model import Dense, Image, Key, Multi
from vecferry.ports import Fit
from vecferry.stores.identity import RESERVED, pack
from vecferry.stores.weaviate.layout import Layout
from vecferry.stores.weaviate.values import split_payload
from vecferry.stores.weaviate.vectors import vector_bytes


def fit_object(key: Key, image: Image, layout: Layout) -> list[Fit]:
    """Return a rating of each part of a point that would not come back as it is."""
    return [
        *_fit_id(key, layout),
        *_fit_vectors(image, layout),
        *_fit_payload(key, image.payload, layout),
    ]


def _fit_id(key: Key, layout: Layout) -> Iterator[Fit]:
    try:
        place = layout.place(key)
    except RecordError as error:
        yield Fit("id", "dropped", str(error))
        return
    if place.id != key.id:
        yield Fit("id", "carried", "a UUIDv5 of the key takes its place")


def _fit_vectors(image: Image, layout: Layout) -> Iterator[Fit]:
    for name, vector in image.vectors.items():
        field = f"vectors.{name}"
        spec = layout.vectors.get(name)
        if spec is None:
            yield Fit(field, "dropped", "the class has no such vector")
            continue
        try:
            vector_bytes(vector, spec)
        except RecordError as error:
            yield Fit(field, "dropped", f"its point cannot be written: {error}")
            continue
        if isinstance(vector, Dense | Multi) and vector.dtype != "float32":
            yield Fit(field, "widened", f"{vector.dtype} becomes float32, every value is kept")


def _fit_payload(key: Key, payload: bytes, layout: Layout) -> Iterator[Fit]:
    try:
        split = split_payload(payload, layout.types)
        pack(split.kept, key, split.carried)
    except RecordError as error:
        yield Fit("payload", "dropped", f"its point cannot be written: {error}")
        return
    for name in split.carried:
        if name.startswith(RESERVED):
            reason = "the name is reserved"
        elif name in layout.types:
            reason = f"a property of type {layout.types[name]} does not hold it as it is"
        else:
            reason = "the class declares no such property"
        yield Fit(f"payload.{name}", "carried", reason)
