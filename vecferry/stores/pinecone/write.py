"""Writing: requests of one namespace each, sized in records and bytes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import orjson

from vecferry.errors import RecordError
from vecferry.model import Key
from vecferry.ports import Failure, Ref, Write
from vecferry.stores.pinecone.connect import Call, Connection
from vecferry.stores.pinecone.freshness import Freshness
from vecferry.stores.pinecone.places import Place, place_of
from vecferry.stores.pinecone.records import encode_record
from vecferry.stores.pinecone.schema import Layout, Schemas

RECORDS_MAX, REQUEST_BYTES_MAX = 1_000, 2_000_000
DELETES_MAX = 1_000

_T = TypeVar("_T")


class _Batch(NamedTuple):
    upserts: dict[Place, Write]
    deletes: list[Place]
    failures: list[Failure]


class Writes:
    """The write part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas, freshness: Freshness) -> None:
        self._connection = connection
        self._schemas = schemas
        self._freshness = freshness

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return when it is acknowledged, with what cannot be written.

        The last write of a key wins; after that no two writes of the batch name the
        same point, so upserts and deletes cannot overtake each other. What is
        acknowledged is durable; every read of this store sees it.
        """
        if not writes:
            return []
        batch = _coalesce(writes)
        records, failures = self._encode(ref.name, batch.upserts)
        url = self._schemas.layout(ref.name).url
        for namespace, some in _by_namespace(records).items():
            for group in upsert_groups(some):
                body = b'{"namespace":%s,"vectors":[%s]}' % (
                    orjson.dumps(namespace),
                    b",".join(group),
                )
                doing = f"writing {len(group)} points to {ref.name!r}"
                self._send(
                    ref.name, namespace, Call("POST", f"{url}/vectors/upsert", doing, (), body)
                )
        for namespace, ids in _by_namespace({place: place.id for place in batch.deletes}).items():
            for start in range(0, len(ids), DELETES_MAX):
                some_ids = ids[start : start + DELETES_MAX]
                body = orjson.dumps({"namespace": namespace, "ids": some_ids})
                doing = f"deleting {len(some_ids)} points of {ref.name!r}"
                self._send(
                    ref.name, namespace, Call("POST", f"{url}/vectors/delete", doing, (), body)
                )
        return batch.failures + failures

    def _encode(
        self, name: str, upserts: dict[Place, Write]
    ) -> tuple[dict[Place, bytes], list[Failure]]:
        if not upserts:
            return {}, []
        layout = self._schemas.layout(name)
        records, failures = encode_upserts(upserts, layout)
        if failures:
            # a record is refused only by the schema of now, not by a remembered one
            fresh = self._schemas.layout(name, fresh=True)
            if fresh != layout:
                return encode_upserts(upserts, fresh)
        return records, failures

    def _send(self, name: str, namespace: str, call: Call) -> None:
        deletes = call.url.endswith("/delete")
        reply = self._connection.call(call._replace(writes=True, absent_ok=deletes))
        if reply.body is None:
            self._schemas.layout(name, fresh=True)  # no such namespace, or no such index
            return
        self._freshness.wrote(name, namespace, reply.headers)


def encode_upserts(
    upserts: dict[Place, Write], layout: Layout
) -> tuple[dict[Place, bytes], list[Failure]]:
    """Return the records of these images as JSON, and what Pinecone cannot hold."""
    records: dict[Place, bytes] = {}
    failures: list[Failure] = []
    for place, write in upserts.items():
        try:
            if write.image is None:
                raise RecordError("a delete is no upsert")
            records[place] = encode_record(write.key, write.image, layout)
        except RecordError as error:
            failures.append(Failure(write.key, str(error)))
    return records, failures


def upsert_groups(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield records in groups that one request can hold."""
    group: list[bytes] = []
    size = 0
    for record in records:
        if group and (len(group) == RECORDS_MAX or size + len(record) > REQUEST_BYTES_MAX - 1_000):
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record) + 1
    if group:
        yield group


def _coalesce(writes: Sequence[Write]) -> _Batch:
    newest: dict[Place, Write] = {}
    failures: list[Failure] = []
    for write in writes:
        try:
            place = place_of(write.key)
        except RecordError as error:
            if write.image is not None:  # what cannot be written need not be deleted
                failures.append(Failure(write.key, str(error)))
            continue
        before = newest.get(place)
        if before is not None and before.key != write.key:
            failures.append(Failure(write.key, _collision(write.key, before.key, place)))
            continue
        newest[place] = write
    return _Batch(
        upserts={place: write for place, write in newest.items() if write.image is not None},
        deletes=[place for place, write in newest.items() if write.image is None],
        failures=failures,
    )


def _collision(key: Key, other: Key, place: Place) -> str:
    return f"{key} and {other} have the same id {place.id} in Pinecone: rename one of them"


def _by_namespace(found: Mapping[Place, _T]) -> dict[str, list[_T]]:
    groups: dict[str, list[_T]] = {}
    for place, one in found.items():
        groups.setdefault(place.namespace, []).append(one)
    return groups
