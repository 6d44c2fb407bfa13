"""Whole points between the model and Pinecone's records."""

from typing import Any

import orjson

from vecferry.errors import HaltError, RecordError
from vecferry.model import Image, Key, Point, Sparse, Vector, VectorSpec
from vecferry.payload import encode_payload
from vecferry.stores.identity import unpack
from vecferry.stores.pinecone.metadata import encode_metadata, read_metadata
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
        record |= encode_vector(vector, spec, layout)
    needed = layout.specs[0].name
    if needed not in image.vectors:
        raise RecordError(f"there is no vector {needed!r}, which every record needs")
    record["metadata"] = orjson.Fragment(encode_metadata(image.payload, key))
    return spell(record)


def encode_vector(vector: Vector, spec: VectorSpec, layout: Layout) -> dict[str, Any]:
    """Return a vector's part of a record.

    Raises:
        RecordError: It does not fit.
    """
    if spec.kind == "dense":
        return {"values": dense_values(vector, spec)}
    if layout.dense is not None and isinstance(vector, Sparse) and not vector.indices:
        return {}  # an empty one is an absent one
    return {"sparseValues": sparse_values(vector, spec)}


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


def _described(spec: VectorSpec | None, kind: str, logical: str) -> VectorSpec:
    if spec is None:
        raise HaltError(
            f"a point of {logical!r} came with a {kind} vector, which a sample of the index did not "
            "show: set the index's tag vf-sparse to a name for it, and plan again"
        )
    return spec
