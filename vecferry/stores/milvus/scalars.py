"""Cells of scalar fields: payload values to Milvus' types, and back.

A value that a field cannot hold exactly is stored as near as the type allows,
and the original is carried in ``_vf_x``: when the point is read, the carried
value wins as long as the cell still is what that value becomes.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError, RecordError
from vecferry.payload import decode_payload, encode_payload
from vecferry.stores.milvus.shape import Column

JSON_BYTES_MAX = 65_536
_INTEGERS = {
    DataType.Int8: 2**7,
    DataType.Int16: 2**15,
    DataType.Int32: 2**31,
    DataType.Int64: 2**63,
}
_SLOTS = {
    DataType.Bool: "bool_data",
    **dict.fromkeys((DataType.Int8, DataType.Int16, DataType.Int32), "int_data"),
    DataType.Int64: "long_data",
    DataType.Float: "float_data",
    DataType.Double: "double_data",
    DataType.VarChar: "string_data",
    DataType.JSON: "json_data",
    DataType.Array: "array_data",
}


class Cell(NamedTuple):
    """What a field holds of a value: None for null, and whether it is the value itself."""

    value: Any
    exact: bool


def cell(column: Column, value: Any, free_json: bool = False) -> Cell:
    """Return the cell of a payload's value."""
    if value is None:
        return Cell(None if column.nullable else _EMPTY[column.type], False)
    if column.type == DataType.JSON:
        return _json_cell(value, free_json)
    if column.type == DataType.Array:
        return _array_cell(column, value)
    return _plain_cell(column.type, column.max_length, value)


def _plain_cell(kind: int, max_length: int, value: Any) -> Cell:
    if kind == DataType.Bool:
        return Cell(value, True) if isinstance(value, bool) else Cell(False, False)
    if kind == DataType.VarChar:
        fits = isinstance(value, str) and len(value.encode()) <= max_length
        return Cell(value, True) if fits else Cell("", False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell(_EMPTY[kind], False)
    if kind in _INTEGERS:
        limit = _INTEGERS[kind]
        fits = isinstance(value, int) and -limit <= value < limit
        return Cell(value, True) if fits else Cell(0, False)
    return _float_cell(kind, value)


def _float_cell(kind: int, value: float) -> Cell:
    try:
        near = float(value)
        if kind == DataType.Float:
            with np.errstate(over="ignore"):
                near = float(np.float32(near))
    except OverflowError:
        near = math.inf
    if not math.isfinite(near):
        return Cell(0.0, False)
    return Cell(near, isinstance(value, float) and near == value)


def _json_cell(value: Any, free: bool) -> Cell:
    if not free and not isinstance(value, dict):
        return Cell(b"{}", False)
    data = encode_payload({"v": value})[len(b'{"v":') : -1]
    return Cell(data, True) if len(data) <= JSON_BYTES_MAX else Cell(b"{}", False)


def _array_cell(column: Column, value: Any) -> Cell:
    if not isinstance(value, list) or len(value) > column.params.get("max_capacity", 0):
        return Cell([], False)
    cells = [_plain_cell(column.element, column.max_length, item) for item in value]
    exact = all(one.exact for one in cells)
    return Cell([one.value for one in cells], True) if exact else Cell([], False)


_EMPTY = {
    DataType.Bool: False,
    **dict.fromkeys(_INTEGERS, 0),
    DataType.Float: 0.0,
    DataType.Double: 0.0,
    DataType.VarChar: "",
    DataType.JSON: b"{}",
    DataType.Array: [],
}


def fill_column(message: Any, column: Column, cells: Sequence[Any]) -> None:
    """Write the cells into a ``FieldData``; a null takes no place in the values."""
    message.field_name, message.type = column.name, column.type
    if column.nullable:
        message.valid_data.extend(value is not None for value in cells)
        cells = [value for value in cells if value is not None]
    if column.type != DataType.Array:
        _fill(message.scalars, column.type, cells)
        return
    arrays = message.scalars.array_data
    arrays.element_type = column.element
    for items in cells:
        _fill(arrays.data.add(), column.element, items)


def _fill(scalars: Any, kind: int, values: Sequence[Any]) -> None:
    slot = getattr(scalars, _SLOTS[kind])
    slot.SetInParent()  # which type it is must be said of an empty one, too
    if kind == DataType.Float:
        slot.data = np.array(values, "<f4").tobytes()
    else:
        slot.data.extend(values)


def read_column(message: Any, column: Column, rows: int) -> list[Any]:
    """Return a column's payload values, one per row, None for null.

    Raises:
        HaltError: The reply does not have one value per row.
    """
    if column.type == DataType.Array:
        values = [_values(items, column.element) for items in message.scalars.array_data.data]
    else:
        values = _values(message.scalars, column.type)
    return spread(values, message.valid_data, rows, column.name)


def spread(values: Sequence[Any], valid: Sequence[bool], rows: int, name: str) -> list[Any]:
    """Return one value per row, whether or not the nulls took a place among them.

    Raises:
        HaltError: There is no way to tell which value belongs to which row.
    """
    if not valid and len(values) == rows:
        return list(values)
    if len(valid) == rows:
        if len(values) == rows:
            return [value if there else None for value, there in zip(values, valid, strict=True)]
        if len(values) == sum(valid):
            given = iter(values)
            return [next(given) if there else None for there in valid]
    raise HaltError(f"Milvus gave {len(values)} values of {name!r} for {rows} rows")


def _values(scalars: Any, kind: int) -> list[Any]:
    data = getattr(scalars, _SLOTS[kind]).data
    if kind == DataType.Float:
        return [float(value) for value in np.frombuffer(data, "<f4")]
    if kind == DataType.JSON:
        return [read_json(value) for value in data]
    return list(data)


def read_json(data: bytes) -> Any:
    """Return a JSON value, integers with every digit.

    Milvus Lite gives a string without its quotes; what is no JSON is that string.
    """
    if not data:
        return None
    try:
        return decode_payload(b'{"v":%s}' % data)["v"]
    except RecordError:
        return data.decode()
