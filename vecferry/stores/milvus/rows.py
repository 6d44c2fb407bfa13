"""Rows of a reply as points, and points as the columns of a request."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError, RecordError
from vecferry.model import Id, Image, Key, Point
from vecferry.payload import decode_payload, encode_payload
from vecferry.stores.identity import ID_FIELD, pack, unpack
from vecferry.stores.milvus.scalars import JSON_BYTES_MAX, cell, fill_column, read_column
from vecferry.stores.milvus.shape import Column, Place, Shape, namespace_of
from vecferry.stores.milvus.vectors import fill_vectors, read_vectors, wire_bytes

META = "$meta"


class Read(NamedTuple):
    """A row that was read: its primary key in Milvus, and the point."""

    native: int | str
    point: Point


class Row(NamedTuple):
    """A row to write: its place, its vectors by column, its cells and its dynamic fields."""

    key: Key
    place: Place
    vectors: tuple[bytes | None, ...]
    cells: tuple[Any, ...]
    meta: bytes

    @property
    def size(self) -> int:
        """What it takes on the wire, about."""
        cells = sum(len(one) if isinstance(one, str | bytes | list) else 8 for one in self.cells)
        return 32 + len(self.meta) + cells + sum(len(one) for one in self.vectors if one)


def primary_keys(fields: Any, shape: Shape) -> list[int | str]:
    """Return the primary keys of a reply's rows.

    Raises:
        HaltError: The reply has no such field.
    """
    for message in fields:
        if message.field_name == shape.pk.name:
            scalars = message.scalars
            return list(scalars.long_data.data if shape.int_keys else scalars.string_data.data)
    if not fields:
        return []
    raise HaltError(f"Milvus gave rows of {shape.name!r} without their {shape.pk.name!r}")


def read_rows(fields: Any, shape: Shape, logical: str, partition: str) -> list[Read]:
    """Return the points of a reply's rows, in its order.

    Args:
        fields: Its ``FieldData``.
        shape: The collection's.
        logical: The collection's name in keys.
        partition: Which partition was asked for.

    Raises:
        HaltError: A field is missing, or does not have one value per row.
        RecordError: A payload cannot be JSON (a NaN in a scalar field).
    """
    natives = primary_keys(fields, shape)
    by_name = {message.field_name: message for message in fields}
    if META not in by_name:
        dynamic = next((message for message in fields if message.is_dynamic), None)
        if dynamic is not None:
            by_name[META] = dynamic
    rows = len(natives)
    if not rows:
        return []
    for column in (*shape.vectors, *shape.scalars):
        if column.name not in by_name:
            raise HaltError(f"Milvus gave rows of {shape.name!r} without {column.name!r}")
    vectors = [
        (column.name, read_vectors(by_name[column.name], column, rows)) for column in shape.vectors
    ]
    scalars = [
        (column, read_column(by_name[column.name], column, rows)) for column in shape.scalars
    ]
    metas = by_name[META].scalars.json_data.data if META in by_name else [b"{}"] * rows
    if len(metas) != rows:
        raise HaltError(f"Milvus gave {len(metas)} dynamic fields for {rows} rows")
    reader = _Reader(shape, logical, partition)
    found = []
    for at, native in enumerate(natives):
        key, payload = reader.payload(native, metas[at], [(c, v[at]) for c, v in scalars])
        held = {name: there for name, column in vectors if (there := column[at]) is not None}
        found.append(Read(native, Point(key, Image(held, payload))))
    return found


def read_keys(
    fields: Any, natives: Sequence[int | str], where: tuple[Shape, str, str]
) -> list[Key]:
    """Return the keys of a search's hits, from their ids and dynamic fields."""
    shape, logical, partition = where
    metas: Sequence[bytes] = [b""] * len(natives)
    for message in fields:
        if message.field_name == META or message.is_dynamic:
            metas = message.scalars.json_data.data
    reader = _Reader(shape, logical, partition)
    return [
        reader.payload(native, meta, ())[0] for native, meta in zip(natives, metas, strict=True)
    ]


class _Reader:
    """Puts keys and payloads of one partition together."""

    def __init__(self, shape: Shape, logical: str, partition: str) -> None:
        self._shape = shape
        self._logical = logical
        self._partition = partition
        self._namespace = namespace_of(partition) if shape.partitioned else ""
        self._native = int if shape.int_keys else str

    def payload(
        self, native: int | str, meta: bytes, cells: Sequence[tuple[Column, Any]]
    ) -> tuple[Key, bytes]:
        stored = decode_payload(bytes(meta)) if meta else {}
        key, fields = unpack(stored, native, self._logical, self._own_id)
        ours = ID_FIELD in stored and stored[ID_FIELD] != fields.get(ID_FIELD)
        if self._namespace and not key.namespace:
            key = Key(key.collection, self._namespace, key.id)
        for column, value in cells:
            self._merge(fields, column, value, ours)
        try:
            return key, encode_payload(fields)
        except RecordError as error:
            raise RecordError(f"{key}: {error}") from error

    def _merge(self, fields: dict[str, Any], column: Column, value: Any, ours: bool) -> None:
        free = self._shape.free_json
        if column.name in fields:
            # carried, and still what the cell was made of; else the cell was written since
            if cell(column, fields[column.name], free).value != cell(column, value, free).value:
                fields[column.name] = value
        elif value is not None or not ours:
            fields[column.name] = value

    def _own_id(self, key: Key) -> Id:
        if key.namespace == self._namespace and type(key.id) is self._native:
            return key.id  # most points: a hash would be another value than the row's
        try:
            place = self._shape.place(key)
        except RecordError:
            return ""
        return place.id if place.partition == self._partition else ""


def make_row(shape: Shape, point: Point) -> Row:
    """Return a point as a row of the collection.

    Raises:
        RecordError: The collection cannot hold it; the message says what.
    """
    place = shape.place(point.key)
    if not shape.vector_names.issuperset(point.image.vectors):
        stranger = min(point.image.vectors.keys() - shape.vector_names)
        raise RecordError(f"{shape.name!r} has no vector {stranger!r}")
    vectors = tuple(
        wire_bytes(column, point.image.vectors.get(column.name)) for column in shape.vectors
    )
    cells, payload, carried = split_payload(shape, point.image.payload)
    return Row(point.key, place, vectors, cells, dynamic_field(shape, point.key, payload, carried))


def split_payload(
    shape: Shape, data: bytes
) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Return the cells of the scalar fields, the fields beside them, and those to carry.

    Raises:
        RecordError: A field that needs a value has none.
    """
    payload = decode_payload(data)
    carried: dict[str, Any] = {}
    cells = tuple(_take(shape, column, payload, carried) for column in shape.scalars)
    for name in (shape.pk.name, META, *(column.name for column in shape.vectors)):
        if name in payload:  # a field of the schema has that name
            carried[name] = payload.pop(name)
    return cells, payload, carried


def _take(shape: Shape, column: Column, payload: dict[str, Any], carried: dict[str, Any]) -> Any:
    if column.name not in payload:
        if column.nullable:
            return None
        raise RecordError(
            f"the payload has no {column.name!r}, a field of {shape.name!r} that needs a value"
        )
    value = payload.pop(column.name)
    held = cell(column, value, shape.free_json)
    if not held.exact:
        carried[column.name] = value
    return held.value


def dynamic_field(
    shape: Shape, key: Key, payload: dict[str, Any], carried: dict[str, Any]
) -> bytes:
    """Return what the dynamic field holds, ``b""`` where there is none.

    Raises:
        RecordError: It would be too large, or there is none and it would hold something.
    """
    if shape.dynamic:
        packed = encode_payload(pack(payload, key, carried))
        if len(packed) > JSON_BYTES_MAX:
            raise RecordError(
                f"the fields beside the schema's take {len(packed)} bytes, and Milvus holds "
                f"{JSON_BYTES_MAX} of them"
            )
        return packed
    if shape.place(key).id != key.id:
        raise RecordError(f"{shape.name!r} has no dynamic field to keep the original id in")
    # what is null and in no need of being told from missing loses nothing that Milvus could hold
    rest = {**payload, **{name: value for name, value in carried.items() if value is not None}}
    if rest:
        raise RecordError(f"{shape.name!r} has no dynamic field, and no field for {min(rest)!r}")
    return b""


def fill_rows(fields: Any, shape: Shape, rows: Sequence[Row]) -> None:
    """Write rows into a request's ``fields_data``."""
    fill_column(fields.add(), shape.pk, [row.place.id for row in rows])
    for at, column in enumerate(shape.vectors):
        fill_vectors(fields.add(), column, [row.vectors[at] for row in rows])
    for at, column in enumerate(shape.scalars):
        fill_column(fields.add(), column, [row.cells[at] for row in rows])
    if shape.dynamic:
        meta = fields.add(is_dynamic=True)
        fill_column(meta, Column(META, DataType.JSON), [row.meta for row in rows])
