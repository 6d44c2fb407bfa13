"""What an index would not hold of a point as it is, by the code that packs it."""

from collections.abc import Iterator

from vecferry.errors import RecordError
from vecferry.model import Dense, Image, Key
from vecferry.payload import decode_payload
from vecferry.ports import Fit
from vecferry.stores.pinecone.metadata import encode_metadata, split_payload, why_carried
from vecferry.stores.pinecone.places import place_of
from vecferry.stores.pinecone.records import encode_vector
from vecferry.stores.pinecone.schema import Layout


def fit_record(key: Key, image: Image, layout: Layout) -> list[Fit]:
    """Return a rating of each part of a point that would not come back as it is."""
    return [*_fit_id(key), *_fit_vectors(image, layout), *_fit_payload(key, image.payload)]


def _fit_id(key: Key) -> Iterator[Fit]:
    try:
        place = place_of(key)
    except RecordError as error:
        yield Fit("id", "dropped", str(error))
        return
    if place.id != key.id:
        yield Fit("id", "carried", "it becomes a UUIDv5 of the key, the original is in _vf_id")


def _fit_vectors(image: Image, layout: Layout) -> Iterator[Fit]:
    known = {spec.name: spec for spec in layout.specs}
    needed = layout.specs[0].name
    if needed not in image.vectors:
        yield Fit(f"vectors.{needed}", "dropped", "every record needs it, and this one has none")
    for name, vector in image.vectors.items():
        field = f"vectors.{name}"
        if name not in known:
            yield Fit(field, "dropped", "the index has no such vector")
            continue
        try:
            encode_vector(vector, known[name], layout)
        except RecordError as error:
            yield Fit(field, "dropped", str(error))
            continue
        if isinstance(vector, Dense) and vector.dtype != "float32":
            yield Fit(field, "widened", f"{vector.dtype} becomes float32, every value is kept")


def _fit_payload(key: Key, payload: bytes) -> Iterator[Fit]:
    try:
        encode_metadata(payload, key)
        carried = split_payload(payload).carried
    except RecordError as error:
        yield Fit("payload", "dropped", str(error))
        return
    for name, value in decode_payload(payload).items():
        if name in carried:
            yield Fit(
                f"payload.{name}", "carried", why_carried(value) or "the name is refused there"
            )
        elif name.startswith("_vf_"):
            yield Fit(f"payload.{name}", "carried", "the name is reserved")
