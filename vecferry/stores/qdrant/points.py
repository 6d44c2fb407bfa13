"""Whole points between the model and Qdrant's messages."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from vecferry.errors import HaltError, RecordError
from vecferry.model import Image, Key, Point, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Capabilities
from vecferry.stores.identity import pack, target_id, unpack
from vecferry.stores.qdrant.deep import read_deep_payload
from vecferry.stores.qdrant.values import fill_payload, read_payload, split_payload
from vecferry.stores.qdrant.vectors import fill_vector, read_vector

Layout = Mapping[str, VectorSpec]
"""A collection's vectors by name."""

NativeId = int | UUID

CAPABILITIES = Capabilities(
    id_types=frozenset({"int", "uuid"}),
    int_min=0,
    int_max=2**64 - 1,
    dtypes=frozenset({"float32", "float16", "uint8"}),
    metrics=frozenset({"cosine", "dot", "l2", "l1"}),
    sparse=True,
    multi=True,
    several_vectors=True,
    normalises=True,
    dim_max=65_536,
    collection_name=r"[^<>:\"/\\|?*\x00-\x1f]{1,255}",
    index_types=frozenset({"hnsw", "flat"}),
    quantisations=frozenset({"scalar", "product", "binary"}),
    # while replicas of a cluster change one after the other, a read of all gives no point
    freshness_s=1.0,
)
"""Of every server from 1.13 to 1.19: they differ in nothing that a plan asks for."""


def native_id(key: Key) -> NativeId:
    """Return the id that Qdrant gives to this key."""
    identifier = target_id(key, CAPABILITIES)
    if isinstance(identifier, str):
        raise TypeError("Qdrant has no text ids")
    return identifier


def fill_id(message: Any, identifier: NativeId) -> None:
    """Write an id into a ``PointId``."""
    if isinstance(identifier, UUID):
        message.uuid = str(identifier)
    else:
        message.num = identifier


def read_id(message: Any) -> NativeId:
    """Return a ``PointId``; a UUID in whatever spelling it came."""
    if message.HasField("uuid"):
        return UUID(message.uuid)
    number: int = message.num
    return number


def fill_point(message: Any, key: Key, image: Image, layout: Layout) -> list[bytes]:
    """Write a point into a ``PointStruct``; return its vectors' float32 bytes.

    Raises:
        RecordError: Qdrant or this collection cannot hold it.
    """
    fill_id(message.id, native_id(key))
    kept, carried = split_payload(image.payload)
    fill_payload(message.payload, pack(kept, key, carried))
    vectors = message.vectors
    if len(image.vectors) == 1 and "" in image.vectors:
        return [fill_vector(vectors.vector, image.vectors[""], _spec(layout, ""))]
    named = vectors.vectors
    named.SetInParent()  # a point without vectors still says so
    return [
        fill_vector(named.vectors[name], vector, _spec(layout, name))
        for name, vector in image.vectors.items()
    ]


def _spec(layout: Layout, name: str) -> VectorSpec:
    spec = layout.get(name)
    if spec is None:
        raise RecordError(f"the collection has no vector {name!r}, only {sorted(layout)}")
    return spec


def read_point(message: Any, collection: str, layout: Layout) -> tuple[NativeId, Point]:
    """Return a ``RetrievedPoint``'s id and the point under its logical key.

    Raises:
        HaltError: It holds a vector that the collection was not described with.
    """
    native = read_id(message.id)
    stored = read_stored(message.payload)
    key, payload = unpack(stored, native, collection, native_id)
    output = message.vectors
    if output.HasField("vector"):
        found = [("", output.vector)]
    else:
        found = list(output.vectors.vectors.items())
    vectors = {}
    for name, inner in found:
        spec = layout.get(name)
        if spec is None:
            raise HaltError(
                f"a point came with a vector {name!r} that {collection!r} did not have: "
                "its schema was changed meanwhile; plan again"
            )
        vector = read_vector(inner, spec)
        if vector is not None:
            vectors[name] = vector
    return native, Point(key, Image(vectors, encode_payload(payload)))


def read_stored(payload: Any) -> dict[str, Any]:
    """Return a payload as it is stored, from either form of the message."""
    # a message of the deep pool has a list of undecoded entries in place of the map
    return read_payload(payload) if hasattr(payload, "items") else read_deep_payload(payload)
