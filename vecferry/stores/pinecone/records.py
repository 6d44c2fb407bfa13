"""Whole points between the model and Pinecone's records, and what of them would not fit."""

from typing import Any

import orjson

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Image, Key, Point, Vector, VectorSpec
from vecferry.payload import decode_payload, encode_payload
from vecferry.ports import Fit
from vecferry.stores.identity import unpack
from vecferry.stores.pinecone.metadata import (
    encode_metadata,
    read_metadata,
    split_payload,
    why_carried,
)
from vecferry.stores.pinecone.places import namespace_of, owned_id, place_of
from vecferry.stores.pinecone.schema import Layout
from vecferry.stores.pinecone.vectors import (
    dense_values,
    read_dense,
    read_sparse,
    sparse_values,
    spell,
)


def encode_record(key: Key, image: Image, layout: Layout) -> bytes:
    """Return a point as the JSON of one record of an upsert.

    Raises:
        RecordError: Pinecone or this index cannot hold it.
    """
    record: dict[str, Any] = {"id": place_of(key).id}
    known = {spec.name: spec for spec in layout.specs}
    for name, vector in image.vectors.items():
        spec = known.get(name)
        if spec is None:
            raise RecordError(f"the index has no vector {name!r}, only {sorted(known)}")
        if spec.kind == "dense":
            record["values"] = dense_values(vector, spec)
        else:
            record["sparseValues"] = sparse_values(vector, spec)
    needed = layout.specs[0]
    if needed.name not in image.vectors:
        raise RecordError(f"there is no vector {needed.name!r}, which every record needs")
    record["metadata"] = orjson.Fragment(encode_metadata(image.payload, key))
    return spell(record)


def decode_record(record: dict[str, Any], namespace: str, logical: str, layout: Layout) -> Point:
    """Return a record under its logical key.

    Args:
        record: As a fetch gives it.
        namespace: Its native name.
        logical: The collection's name for the key.
        layout: The index's.

    Raises:
        HaltError: It holds a vector that the index was not described with.
    """
    vectors: dict[str, Vector] = {}
    if values := record.get("values"):
        spec = _described(layout.dense, "dense", logical)
        vectors[spec.name] = read_dense(values, spec)
    if sparse := record.get("sparseValues"):
        spec = _described(layout.sparse, "sparse", logical)
        found = read_sparse(sparse)
        if found is not None:
            vectors[spec.name] = found
    key, payload = read_stored(record, namespace, logical)
    return Point(key, Image(vectors, encode_payload(payload)))


def read_stored(record: dict[str, Any], namespace: str, logical: str) -> tuple[Key, dict[str, Any]]:
    """Return the key and the payload of a record, or of a query's match."""
    stored = read_metadata(record.get("metadata"))
    native = record["id"]
    key, payload = unpack(stored, native, logical, lambda key: owned_id(key, namespace))
    if not key.namespace and namespace:
        key = key._replace(namespace=namespace_of(namespace))  # an application's own point
    return key, payload


def fit_record(key: Key, image: Image, layout: Layout) -> list[Fit]:
    """Return what of a point an index would not hold as it is."""
    known = {spec.name: spec for spec in layout.specs}
    found: list[Fit] = []
    for name, vector in image.vectors.items():
        field = f"vectors.{name}"
        try:
            encode_record(key, Image({**_needed(image, layout), name: vector}), layout)
        except RecordError as error:
            found.append(Fit(field, "dropped", str(error)))
            continue
        if isinstance(vector, Dense) and vector.dtype != known[name].dtype:
            found.append(Fit(field, "widened", f"{vector.dtype} becomes float32"))
    try:
        place_of(key)
        encode_record(key, image, layout)
    except RecordError as error:
        if not any(fit.rating == "dropped" for fit in found):
            found.append(Fit("payload", "dropped", str(error)))
    carried = split_payload(image.payload).carried
    payload = decode_payload(image.payload)
    for name in payload:
        if name in carried:
            reason = why_carried(payload[name]) or "that name cannot be"
            found.append(Fit(f"payload.{name}", "carried", reason))
        elif name.startswith("_vf_"):
            found.append(Fit(f"payload.{name}", "carried", "the name is reserved"))
    return found


def _needed(image: Image, layout: Layout) -> dict[str, Any]:
    """Return the vector that no record can be without, where the image has it."""
    name = layout.specs[0].name
    return {name: image.vectors[name]} if name in image.vectors else {}


def _described(spec: VectorSpec | None, kind: str, logical: str) -> VectorSpec:
    if spec is None:
        raise HaltError(
            f"a point of {logical!r} came with a {kind} vector, which a sample of the index did not "
            "show: set the index's tag vf-sparse to a name for it, and plan again"
        )
    return spec
