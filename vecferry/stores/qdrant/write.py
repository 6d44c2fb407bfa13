"""Writing, durably: ``wait=true``, one write a point, requests sized in bytes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vecferry.errors import RecordError, UnknownOutcome
from vecferry.model import Dense, Key, Multi
from vecferry.ports import Failure, Ref, Write
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.connect import Connection
from vecferry.stores.qdrant.points import Layout, NativeId, fill_id, fill_point, native_id
from vecferry.stores.qdrant.schema import Schemas
from vecferry.stores.qdrant.vectors import all_finite

REQUEST_BYTES = 16_000_000
"""Half of what Qdrant takes over REST; gRPC takes more."""

_DELETES = 10_000
_COMPLETED = 2


class _Batch(NamedTuple):
    upserts: list[Write]
    deletes: list[NativeId]
    failures: list[Failure]


class Writes:
    """The write part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self._connection = connection
        self._schemas = schemas

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return when it is applied, with what cannot be written.

        The last write of a key wins; after that no two writes of the batch name the
        same point, so upserts and deletes cannot overtake each other. A request that
        timed out after it reached Qdrant's write-ahead log is applied later, but before
        every request that reaches it after that.
        """
        batch = _coalesce(writes)
        requests, failures = self._encode(ref.name, batch.upserts)
        for request in requests:
            doing = f"writing {len(request.points)} points to {ref.name!r}"
            self._send("/qdrant.Points/Upsert", request, doing)
        for request in _delete_requests(ref.name, batch.deletes):
            doing = f"deleting {len(request.points.points.ids)} points of {ref.name!r}"
            self._send("/qdrant.Points/Delete", request, doing)
        return batch.failures + failures

    def _encode(self, name: str, upserts: list[Write]) -> tuple[list[Any], list[Failure]]:
        if not upserts:
            return [], []
        layout = self._schemas.layout(name)
        requests, failures = encode_upserts(name, upserts, layout)
        if failures:
            # a record is refused only by the schema of now, not by a remembered one
            fresh = self._schemas.layout(name, fresh=True)
            if fresh != layout:
                return encode_upserts(name, upserts, fresh)
        return requests, failures

    def _send(self, path: str, request: Any, doing: str) -> None:
        request.wait = True
        request.timeout = max(1, int(self._connection.timeout_s))  # older servers ignore it
        data = self._connection.call(path, request, doing, writes=True)
        status = wire.PointsOperationResponse.FromString(data).result.status
        if status != _COMPLETED:
            # it lies in the write-ahead log and will be applied, but is not yet
            raise UnknownOutcome(f"{doing}: Qdrant answered before it was applied ({status})")


def encode_upserts(
    name: str, upserts: Sequence[Write], layout: Layout
) -> tuple[list[Any], list[Failure]]:
    """Return the ``UpsertPoints`` for these images, and what Qdrant cannot hold."""
    failures: list[Failure] = []
    requests: list[Any] = []
    parts: list[bytes] = []
    request, size = None, 0
    for write in upserts:
        weight = _weight(write)
        if request is None or size + weight > REQUEST_BYTES:
            request, size = wire.UpsertPoints(collection_name=name), 0
            requests.append(request)
        try:
            image = write.image
            if image is None:
                raise RecordError("a delete is no upsert")
            vectors = fill_point(request.points.add(), write.key, image, layout)
        except RecordError as error:
            del request.points[-1]
            failures.append(Failure(write.key, str(error)))
            continue
        parts += vectors
        size += weight
    if parts and not all_finite(parts):
        return _without_nan(name, upserts, layout)
    return [request for request in requests if request.points], failures


def _without_nan(
    name: str, upserts: Sequence[Write], layout: Layout
) -> tuple[list[Any], list[Failure]]:
    good: list[Write] = []
    failures: list[Failure] = []
    for write in upserts:
        bad = _nan_vector(write, layout)
        if bad is None:
            good.append(write)
        else:
            reason = f"vector {bad!r} holds NaN or an infinity, which no search can rank"
            failures.append(Failure(write.key, reason))
    requests, others = encode_upserts(name, good, layout)
    return requests, failures + others


def _nan_vector(write: Write, layout: Layout) -> str | None:
    if write.image is None:
        return None
    for vector_name, vector in write.image.vectors.items():
        one = write.image._replace(vectors={vector_name: vector}, payload=b"{}")
        try:
            parts = fill_point(wire.PointStruct(), write.key, one, layout)
        except RecordError:
            continue  # refused for its own reason
        if not all_finite(parts):
            return vector_name
    return None


def _weight(write: Write) -> int:
    if write.image is None:
        return 0
    size = 100 + 3 * len(write.image.payload)  # a Value is at most thrice its JSON
    for vector in write.image.vectors.values():
        if isinstance(vector, Dense):
            size += 4 * vector.dim
        elif isinstance(vector, Multi):
            size += 4 * vector.dim * vector.rows
        else:
            size += 3 * len(vector.values)
    return size


def _coalesce(writes: Sequence[Write]) -> _Batch:
    newest: dict[NativeId, Write] = {}
    failures: list[Failure] = []
    for write in writes:
        identifier = native_id(write.key)
        before = newest.get(identifier)
        if before is not None and before.key != write.key:
            failures.append(Failure(write.key, _collision(write.key, before.key, identifier)))
            continue
        newest[identifier] = write
    return _Batch(
        upserts=[write for write in newest.values() if write.image is not None],
        deletes=[identifier for identifier, write in newest.items() if write.image is None],
        failures=failures,
    )


def _collision(key: Key, other: Key, identifier: NativeId) -> str:
    return f"{key} and {other} have the same id {identifier} in Qdrant: rename one of them"


def _delete_requests(name: str, ids: Sequence[NativeId]) -> Iterator[Any]:
    for start in range(0, len(ids), _DELETES):
        request = wire.DeletePoints(collection_name=name)
        for identifier in ids[start : start + _DELETES]:
            fill_id(request.points.points.ids.add(), identifier)
        yield request
