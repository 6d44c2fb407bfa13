"""Writing points durably: upserts and deletes, sized in bytes, one row per key."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from pymilvus.grpc_gen import common_pb2, milvus_pb2

from vecferry.errors import ConfigError, RecordError, UnknownOutcome, VecferryError
from vecferry.model import Key, Point
from vecferry.ports import Failure, Write
from vecferry.stores.milvus import expressions
from vecferry.stores.milvus.connect import Connection
from vecferry.stores.milvus.rows import Row, fill_rows, make_row
from vecferry.stores.milvus.shape import Place, Shape
from vecferry.stores.milvus.vectors import not_finite
from vecferry.stores.milvus.wire import DeleteRequest, MutationResult, UpsertRequest

REQUEST_BYTES = 16_000_000
"""Half of what the smallest configured limit of a server is likely to be."""

_DELETES_MAX = 4_096
_NO_PARTITION = 200


class Writer:
    """Writes batches to one collection.

    Args:
        connection: To the server.
        shape: Of the collection.
        refresh: Asks for the partitions again and puts them into the shape.
    """

    def __init__(
        self, connection: Connection, shape: Shape, refresh: Callable[[Shape], None]
    ) -> None:
        self._connection = connection
        self._shape = shape
        self._refresh = refresh
        self._replaces = not connection.product().lite

    def write(self, writes: Sequence[Write]) -> list[Failure]:
        """Apply the writes, whose keys are distinct; return what cannot be held.

        An acknowledged request is in Milvus' log: durable, and seen by every
        strongly consistent read. Where a request fails the earlier ones have landed.

        Milvus Lite merges an upsert into the row that is there, so rows are
        deleted before they are written: a point is absent for a moment, and stays so
        when the second request fails, until the batch is repeated.
        """
        failures: list[Failure] = []
        places: dict[Place, Key] = {}
        deletes: dict[str, list[int | str]] = defaultdict(list)
        rows: dict[str, list[Row]] = defaultdict(list)
        for key, image, _version in writes:
            try:
                place = self._shape.place(key)
            except RecordError as error:
                if image is not None:  # what cannot be there need not be deleted
                    failures.append(Failure(key, str(error)))
                continue
            other = places.setdefault(place, key)
            if other != key:
                failures.append(Failure(key, f"{key} and {other} have the same id {place.id!r}"))
            elif image is None:
                deletes[place.partition].append(place.id)
            else:
                try:
                    rows[place.partition].append(make_row(self._shape, Point(key, image)))
                except RecordError as error:
                    failures.append(Failure(key, str(error)))
        for partition, ids in deletes.items():
            self._delete(partition, ids)
        for partition, batch in rows.items():
            finite, refused = self._finite(batch)
            failures += refused
            self._upsert(partition, finite)
        return failures

    def _finite(self, rows: list[Row]) -> tuple[list[Row], list[Failure]]:
        bad: dict[int, str] = {}
        for at, column in enumerate(self._shape.vectors):
            for row in not_finite(column, [one.vectors[at] for one in rows]):
                bad[row] = f"the vector {column.name!r} has a component that is not finite"
        if not bad:
            return rows, []
        kept = [row for at, row in enumerate(rows) if at not in bad]
        return kept, [Failure(rows[at].key, reason) for at, reason in bad.items()]

    def _upsert(self, partition: str, rows: list[Row]) -> None:
        if not rows:
            return
        self._require_partition(partition)
        for batch in _batches(rows):
            if not self._replaces:
                self._delete(partition, [row.place.id for row in batch])
            request = UpsertRequest(collection_name=self._shape.name, num_rows=len(batch))
            if self._shape.partitioned:
                request.partition_name = partition
            fill_rows(request.fields_data, self._shape, batch)
            doing = f"writing {len(batch)} points to {self._shape.name!r}"
            reply = self._connection.call(request, MutationResult, doing, writes=True)
            if reply.upsert_cnt != len(batch) or reply.err_index:
                raise UnknownOutcome(f"{doing}: Milvus says that it wrote {reply.upsert_cnt}")

    def _delete(self, partition: str, ids: list[int | str]) -> None:
        if self._shape.partitioned and partition not in self._shape.partitions:
            self._refresh(self._shape)
            if partition not in self._shape.partitions:
                return
        for start in range(0, len(ids), _DELETES_MAX):
            part = ids[start : start + _DELETES_MAX]
            request = DeleteRequest(
                collection_name=self._shape.name,
                expr=expressions.any_of(self._shape.pk.name, part),
            )
            if self._shape.partitioned:
                request.partition_name = partition
            doing = f"deleting {len(part)} points of {self._shape.name!r}"
            # a partition that was dropped meanwhile has none of them any more
            self._connection.call(
                request, MutationResult, doing, writes=True, allow=(_NO_PARTITION,)
            )

    def _require_partition(self, partition: str) -> None:
        if not self._shape.partitioned or partition in self._shape.partitions:
            return
        self._refresh(self._shape)
        if partition in self._shape.partitions:
            return
        request = milvus_pb2.CreatePartitionRequest(
            collection_name=self._shape.name, partition_name=partition
        )
        doing = f"making the partition {partition!r} of {self._shape.name!r}"
        try:
            self._connection.call(request, common_pb2.Status, doing)
        except VecferryError:
            # another worker may have been first, which not every version says so
            self._refresh(self._shape)
            if partition not in self._shape.partitions:
                raise
        self._refresh(self._shape)


def require_writable(shape: Shape) -> None:
    """Refuse a collection whose keys Milvus chooses.

    Raises:
        ConfigError: Its primary key is made by Milvus (``auto_id``).
    """
    if shape.auto_id:
        raise ConfigError(
            f"{shape.name!r} cannot be a target: Milvus makes its {shape.pk.name!r} (auto_id), so "
            f"that a repeated write would be a second row; make it without auto_id"
        )


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and size + row.size > REQUEST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch
