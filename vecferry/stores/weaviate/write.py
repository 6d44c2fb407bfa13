"""Writing: a quorum of replicas, one write an object, requests sized in bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from weaviate.proto.v1 import batch_delete_pb2, batch_pb2

from vecferry.errors import RecordError, UnknownOutcome
from vecferry.model import Key, Sparse
from vecferry.ports import Failure, Ref, Write
from vecferry.stores.weaviate.connect import Connection
from vecferry.stores.weaviate.layout import Layout, Place
from vecferry.stores.weaviate.objects import QUORUM, encode_object
from vecferry.stores.weaviate.read import filter_ids
from vecferry.stores.weaviate.schema import Schemas

REQUEST_BYTES = 8_000_000
"""A server takes 100 MB over gRPC unless it was told otherwise."""

_OBJECTS, _DELETES = 2_000, 1_000


class _Encoded(NamedTuple):
    objects: list[tuple[Write, Any]]
    failures: list[Failure]


class Writes:
    """The write part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self._connection = connection
        self._schemas = schemas

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return when acknowledged, with what cannot be written.

        The last write of a key wins; after that no two writes of the batch name the
        same object, so upserts and deletes cannot overtake each other.
        """
        if not writes:
            return []
        layout = self._schemas.layout(ref.name)
        newest, failures = _coalesce(writes, layout)
        encoded = self._encode(ref.name, [one for one in newest.values() if one.image], layout)
        failures += encoded.failures
        if encoded.objects:
            # Weaviate makes a class that is not there from the first object written to it
            self._schemas.require_there(ref.name)
            self._schemas.prepare(ref.name, layout)
            if layout.tenants:
                tenants = {message.tenant for _, message in encoded.objects}
                self._schemas.ensure_tenants(ref.name, tenants)
        for group in _groups(encoded.objects):
            failures += self._upsert(ref.name, group)
        self._delete(ref.name, [place for place, one in newest.items() if one.image is None])
        return failures

    def _encode(self, name: str, writes: list[Write], layout: Layout) -> _Encoded:
        encoded = encode_objects(name, writes, layout)
        if encoded.failures:
            # a record is refused only by the schema of now, not by a remembered one
            fresh = self._schemas.layout(name, fresh=True)
            if fresh != layout:
                return encode_objects(name, writes, fresh)
        return encoded

    def _upsert(self, name: str, group: list[tuple[Write, Any]]) -> list[Failure]:
        request = batch_pb2.BatchObjectsRequest(
            objects=[message for _, message in group], consistency_level=QUORUM
        )
        doing = f"writing {len(group)} objects to {name!r}"
        # it names no class of its own, so what became of the class is asked here
        reply = batch_pb2.BatchObjectsReply.FromString(
            self._connection.call("BatchObjects", request, doing, writes=True)
        )
        if not reply.errors:
            return []
        self._schemas.require_there(name)
        return [self._refused(name, group[one.index][0]) for one in reply.errors]

    def _refused(self, name: str, write: Write) -> Failure:
        """Return why an object can never be written.

        An answer to a batch has no codes, only texts: whether it is the object's
        fault or the server's is what validating it by REST tells.

        Raises:
            UnknownOutcome: The object is a good one.
        """
        layout = self._schemas.layout(name, fresh=True)
        encoded = encode_objects(name, [write], layout)
        if encoded.failures:
            return encoded.failures[0]
        ((_, message),) = encoded.objects
        status = self._connection.validate(rest_object(message), f"checking an object of {name!r}")
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
            return Failure(write.key, f"Weaviate refused it: {status} when it was validated alone")
        raise UnknownOutcome(
            f"writing {write.key} to {name!r}: Weaviate did not take an object that is valid"
        )

    def _delete(self, name: str, places: Sequence[Place]) -> None:
        for tenant in sorted({place.tenant for place in places}):
            if tenant and tenant not in self._schemas.tenants(name, fresh=True):
                continue
            ids = [place.id for place in places if place.tenant == tenant]
            for start in range(0, len(ids), _DELETES):
                self._delete_some(name, tenant, ids[start : start + _DELETES])

    def _delete_some(self, name: str, tenant: str, ids: list[UUID]) -> None:
        request = batch_delete_pb2.BatchDeleteRequest(
            collection=name,
            tenant=tenant or None,
            filters=filter_ids(ids),
            consistency_level=QUORUM,
        )
        doing = f"deleting {len(ids)} objects of {name!r}"
        data = self._schemas.ask("BatchDelete", request, doing, writes=True)
        failed = batch_delete_pb2.BatchDeleteReply.FromString(data).failed
        if failed:
            raise UnknownOutcome(f"{doing}: Weaviate says that {failed} failed")


def encode_objects(name: str, writes: Sequence[Write], layout: Layout) -> _Encoded:
    """Return the ``BatchObject`` of each image, and what Weaviate cannot hold.

    Where no object says yet how large a vector is, the first one of the batch does.
    """
    found = _Encoded([], [])
    for write in writes:
        if write.image is None:
            continue
        try:
            message = encode_object(name, write.key, write.image, layout)
        except RecordError as error:
            found.failures.append(Failure(write.key, str(error)))
            continue
        found.objects.append((write, message))
        for vector_name, spec in layout.vectors.items():
            vector = write.image.vectors.get(vector_name)
            if not spec.dim and vector is not None and not isinstance(vector, Sparse):
                vectors = {**layout.vectors, vector_name: replace(spec, dim=vector.dim)}
                layout = layout._replace(vectors=vectors)
    return found


def rest_object(message: Any) -> dict[str, Any]:
    """Return the fields of an object as REST's JSON, without its vectors."""
    properties: dict[str, Any] = dict(message.properties.non_ref_properties)
    for kind in ("boolean", "int", "text"):
        for one in getattr(message.properties, f"{kind}_array_properties"):
            properties[one.prop_name] = list(one.values)
    body = {"class": message.collection, "id": message.uuid, "properties": properties}
    return body | ({"tenant": message.tenant} if message.tenant else {})


def _groups(objects: Sequence[tuple[Write, Any]]) -> Iterator[list[tuple[Write, Any]]]:
    group: list[tuple[Write, Any]] = []
    size = 0
    for write, message in objects:
        weight = message.ByteSize() + 8
        if group and (len(group) == _OBJECTS or size + weight > REQUEST_BYTES):
            yield group
            group, size = [], 0
        group.append((write, message))
        size += weight
    if group:
        yield group


def _coalesce(writes: Sequence[Write], layout: Layout) -> tuple[dict[Place, Write], list[Failure]]:
    newest: dict[Place, Write] = {}
    failures: list[Failure] = []
    for write in writes:
        try:
            place = layout.place(write.key)
        except RecordError as error:
            if write.image is not None:  # what cannot be written need not be deleted
                failures.append(Failure(write.key, str(error)))
            continue
        before = newest.get(place)
        if before is not None and before.key != write.key:
            failures.append(Failure(write.key, _collision(write.key, before.key, place)))
            continue
        newest[place] = write
    return newest, failures


def _collision(key: Key, other: Key, place: Place) -> str:
    return f"{key} and {other} have the same id {place.id} in Weaviate: rename one of them"
