"""Points as rows: what each column holds of a point, and back."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vecferry.errors import RecordError
from vecferry.model import Image, Key, Point, Sparse, Vector, typed_id
from vecferry.payload import decode_payload, encode_payload
from vecferry.ports import Fit
from vecferry.stores.identity import CARRIED_FIELD, ID_FIELD, NAMESPACE_FIELD
from vecferry.stores.pgvector.columns import cell_of, json_text, selected, value_of
from vecferry.stores.pgvector.table import PAYLOAD, Place, Table, quote
from vecferry.stores.pgvector.vectors import NoRoomError, decode_vectors, fit_vector

_NOTHING = "{}"


@dataclass
class Row:
    """What a row holds of a point.

    Attributes:
        place: Where it is.
        stored: The value of ``_vf_id``: the typed id where the key is a hash of it.
        vectors: In the order of the table's.
        cells: Postgres' text of each column that is not computed, None for null.
        payload: The JSON of the fields that have no column.
        carried: The value of ``_vf_x``.
        fits: What the columns do not hold as it was.
    """

    place: Place
    stored: str | None = None
    vectors: list[Vector | None] = field(default_factory=list)
    cells: list[str | None] = field(default_factory=list)
    payload: str = _NOTHING
    carried: str | None = None
    fits: list[Fit] = field(default_factory=list)


class RefusedField(RecordError):  # noqa: N818 - it names the field
    """A field that the table cannot hold at all.

    Attributes:
        field: ``vectors.NAME`` or ``payload.NAME``.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def pack(table: Table, key: Key, image: Image) -> Row:
    """Return the row of a point.

    Raises:
        RecordError: The table cannot hold it.
    """
    row = Row(table.place(key))
    if table.keeps_ids and row.place.id != key.id:
        row.stored = typed_id(key.id)
        row.fits.append(Fit("id", "carried", "a UUIDv5 of the key takes its place"))
    apart: dict[str, Any] = {}
    _pack_vectors(table, image, row, apart)
    if table.carries and not table.columns and not _is_suspicious(image.payload):
        row.payload = image.payload.decode()
    else:
        _pack_payload(table, image.payload, row, apart)
    if apart:
        row.carried = encode_payload(apart).decode()
    return row


def _is_suspicious(payload: bytes) -> bool:
    # a letter e behind a digit may be an exponent; both are looked at closely then
    return (
        b"\\u0000" in payload
        or b"-0.0" in payload
        or any(b"%de" % digit in payload for digit in range(10))
    )


def _pack_vectors(table: Table, image: Image, row: Row, apart: dict[str, Any]) -> None:
    for name in image.vectors:
        if table.vector(name) is None:
            raise RefusedField(f"vectors.{name}", f"{table.name!r} has no vector {name!r}")
    for column in table.vectors:
        vector, where = image.vectors.get(column.name), f"vectors.{column.name}"
        if isinstance(vector, Sparse) and not vector.indices:
            vector = None
        try:
            held = None if vector is None else fit_vector(column, vector)
        except NoRoomError as error:
            if not table.carries or not isinstance(vector, Sparse):
                raise RefusedField(where, f"{where} does not fit: {error}") from error
            both = (vector.indices, vector.values)
            spelled = [base64.b64encode(part).decode() for part in both]
            apart.setdefault("vectors", {})[column.name] = spelled
            row.fits.append(Fit(where, "carried", f"{error}: kept, and found by no search"))
            held = None
        except RecordError as error:
            raise RefusedField(where, str(error)) from error
        if held is None and column.not_null:
            raise RefusedField(where, f"the point has no vector {column.name!r}, a NOT NULL column")
        if held is not vector and held is not None:
            row.fits.append(Fit(where, "widened", "every value is kept, as float32"))
        row.vectors.append(held)


def _pack_payload(table: Table, payload: bytes, row: Row, apart: dict[str, Any]) -> None:
    fields = decode_payload(payload)
    carried: dict[str, Any] = {}
    for column in table.columns:
        where = f"payload.{column.name}"
        if column.computed:
            if column.name in fields:
                del fields[column.name]
                row.fits.append(Fit(where, "lossy", "the database computes it"))
            continue
        if column.name not in fields:
            _pack_missing(table, column.name, row, apart)
            row.cells.append(None)
            continue
        value = fields.pop(column.name)
        cell = None if value is None else cell_of(column, value)
        if cell is None and value is not None:
            if not table.carries:
                raise RefusedField(where, f"the field {column.name!r} is no {column.type}")
            carried[column.name] = value
            row.fits.append(Fit(where, "carried", f"it is no {column.type}"))
        row.cells.append(cell)
    _pack_rest(table, fields, row, carried)
    if carried:
        apart["payload"] = carried


def _pack_missing(table: Table, name: str, row: Row, apart: dict[str, Any]) -> None:
    if table.carries:
        apart.setdefault("absent", []).append(name)
    else:
        row.fits.append(Fit(f"payload.{name}", "lossy", "a missing field becomes null"))


def _pack_rest(table: Table, fields: dict[str, Any], row: Row, carried: dict[str, Any]) -> None:
    if not table.carries:
        if fields:
            name = min(fields)
            raise RefusedField(f"payload.{name}", f"{table.name!r} has no column {name!r}")
        return
    kept = {}
    for name, value in fields.items():
        if "\0" not in name and json_text(value) is not None:
            kept[name] = value
        else:
            carried[name] = value
            reason = "jsonb would change it: a NUL, minus zero or a large float"
            row.fits.append(Fit(f"payload.{name}", "carried", reason))
    row.payload = encode_payload(kept).decode()


def fits_of(table: Table, key: Key, image: Image) -> list[Fit]:
    """Return what the table would not hold of a point as it is."""
    try:
        return pack(table, key, image).fits
    except RefusedField as error:
        return [Fit(error.field, "dropped", str(error))]
    except RecordError as error:
        return [Fit("id", "dropped", str(error))]


def selection(table: Table, *, keys_only: bool = False) -> str:
    """Return the list of a SELECT that :func:`read_rows` understands, of ``t``."""
    parts = [f"t.{name}" for name in table.key_columns]
    if table.keeps_ids:
        parts.append(f"t.{quote(ID_FIELD)}")
    if not keys_only:
        parts += [f"t.{quote(column.name)}" for column in table.vectors]
        parts += [selected(column, f"t.{quote(column.name)}") for column in table.columns]
        if table.carries:
            parts += [f"t.{quote(PAYLOAD)}::text", f"t.{quote(CARRIED_FIELD)}"]
    return ", ".join(f"{part} AS c{at}" for at, part in enumerate(parts))


def place_of(table: Table, record: Any) -> Place:
    """Return where a selected row is."""
    return Place(record[0], record[1] if table.spaces else "")


def read_keys(table: Table, records: Sequence[Any], logical: str) -> list[Key]:
    """Return the keys of selected rows."""
    at = 1 + table.spaces
    return [
        table.key_of(logical, *place_of(table, one), one[at] if table.keeps_ids else None)
        for one in records
    ]


def read_rows(table: Table, records: Sequence[Any], logical: str) -> list[Point]:
    """Return the points of selected rows, in their order.

    Raises:
        HaltError: They are not what this table's rows are.
    """
    keys = read_keys(table, records, logical)
    at = 1 + table.spaces + table.keeps_ids
    columns = [
        decode_vectors(column, [record[at + index] for record in records])
        for index, column in enumerate(table.vectors)
    ]
    names = [column.name for column in table.vectors]
    points = []
    for index, (key, record) in enumerate(zip(keys, records, strict=True)):
        vectors = {
            name: vector
            for name, column in zip(names, columns, strict=True)
            if (vector := column[index]) is not None
        }
        points.append(Point(key, _image(table, record[at + len(names) :], vectors)))
    return points


def _image(table: Table, cells: Sequence[Any], vectors: dict[str, Vector]) -> Image:
    fields = {
        column.name: value_of(column, cell)
        for column, cell in zip(table.columns, cells, strict=False)
    }
    if not table.carries:
        return Image(vectors, encode_payload(fields))
    payload, text = cells[len(table.columns) :]
    apart = decode_payload(text.encode()) if text else {}
    for name in apart.get("absent", ()):
        if fields.get(name) is None:
            fields.pop(name, None)
    carried = apart.get("payload", {})
    # what was written since wins over what was carried
    own = {
        name: value for name, value in fields.items() if value is not None or name not in carried
    }
    for name, (indices, values) in apart.get("vectors", {}).items():
        vectors.setdefault(name, Sparse(base64.b64decode(indices), base64.b64decode(values)))
    rest = decode_payload(payload.encode()) if payload != _NOTHING else {}
    return Image(vectors, encode_payload({**carried, **rest, **own}))


def insert_columns(table: Table) -> list[str]:
    """Return the columns that a row is written to, quoted, in the order of its parts."""
    names = [table.key]
    names += [NAMESPACE_FIELD] if table.spaces else []
    names += [ID_FIELD] if table.keeps_ids else []
    names += [column.name for column in table.vectors]
    names += [column.name for column in table.columns if not column.computed]
    names += [PAYLOAD, CARRIED_FIELD] if table.carries else []
    return [quote(name) for name in names]
