"""Points between the model and Weaviate's objects."""

from typing import Any
from uuid import UUID

from weaviate.proto.v1 import batch_pb2, search_get_pb2

from vecferry.errors import HaltError, RecordError
from vecferry.model import Image, Key, Point
from vecferry.payload import encode_payload
from vecferry.stores.identity import pack, unpack
from vecferry.stores.weaviate.layout import UNNAMED, Layout
from vecferry.stores.weaviate.values import fill_properties, read_properties, split_payload
from vecferry.stores.weaviate.vectors import fill_vector, read_vector, vector_bytes

QUORUM = 2
"""``ConsistencyLevel``: of reads and writes alike, so that each read sees each write."""


def encode_object(name: str, key: Key, image: Image, layout: Layout) -> Any:
    """Return the ``BatchObject`` of a point.

    Raises:
        RecordError: The class cannot hold it.
    """
    place = layout.place(key)
    message = batch_pb2.BatchObject(uuid=str(place.id), collection=name, tenant=place.tenant)
    split = split_payload(image.payload, layout.types)
    fill_properties(message.properties, pack(split.kept, key, split.carried))
    for vector_name, vector in image.vectors.items():
        spec = layout.vectors.get(vector_name)
        if spec is None:
            raise RecordError(
                f"the class has no vector {vector_name!r}, only {sorted(layout.vectors)}"
            )
        if layout.unnamed and vector_name == UNNAMED:
            message.vector_bytes = vector_bytes(vector, spec)
        else:
            fill_vector(message.vectors.add(), vector, spec)
    return message


def search_request(name: str, tenant: str, layout: Layout | None) -> Any:
    """Return a ``SearchRequest`` for whole objects, for ids alone where ``layout`` is None."""
    request = search_get_pb2.SearchRequest(
        collection=name,
        tenant=tenant,
        consistency_level=QUORUM,
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
    )
    request.metadata.uuid = True
    if layout is None:
        request.properties.SetInParent()
        return request
    request.properties.return_all_nonref_properties = True
    request.metadata.vector = layout.unnamed
    request.metadata.vectors.extend(
        vector for vector in layout.vectors if not (layout.unnamed and vector == UNNAMED)
    )
    return request


def read_object(message: Any, collection: str, tenant: str, layout: Layout) -> tuple[UUID, Point]:
    """Return a ``SearchResult``'s id and the point under its logical key.

    Raises:
        HaltError: It holds a vector that the class was not described with.
    """
    native = UUID(message.metadata.id)
    stored = read_properties(message.properties.non_ref_props)
    key, payload = unpack(stored, native, collection, layout.own_id)
    if layout.tenants and key.namespace != tenant:  # an application's own object
        key, payload = Key(collection, tenant, native), stored
    vectors = {}
    found = [(one.name, one.vector_bytes) for one in message.metadata.vectors]
    if message.metadata.vector_bytes:
        found.append((UNNAMED, message.metadata.vector_bytes))
    for name, data in found:
        if not data:
            continue
        spec = layout.vectors.get(name)
        if spec is None:
            raise HaltError(f"an object came with a vector {name!r} that {collection!r} had not")
        vectors[name] = read_vector(data, spec)
    return native, Point(key, Image(vectors, encode_payload(payload)))
