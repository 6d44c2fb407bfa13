"""Cells of scalar fields, exact or said not to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError
from vecferry.stores.milvus.scalars import cell, fill_column, read_column, read_json, spread
from vecferry.stores.milvus.shape import Column
from vecferry.stores.milvus.wire import FieldData

TEXT = Column("t", DataType.VarChar, params={"max_length": 8})
TAGS = Column(
    "tags", DataType.Array, element=DataType.VarChar, params={"max_length": 8, "max_capacity": 3}
)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("b", DataType.Bool), True),
        (Column("i", DataType.Int8), -128),
        (Column("i", DataType.Int16), 32767),
        (Column("i", DataType.Int32), -(2**31)),
        (Column("i", DataType.Int64), 2**53 + 1),
        (Column("f", DataType.Float), 0.5),
        (Column("f", DataType.Float), 0.10000000149011612),
        (Column("d", DataType.Double), 0.1),
        (TEXT, "üüüü"),
        (TEXT, ""),
        (Column("j", DataType.JSON), {"a": None, "b": [2**70, 1.0, "ü"]}),
        (TAGS, ["a", ""]),
        (TAGS, []),
        (Column("a", DataType.Array, element=DataType.Float, params={"max_capacity": 2}), [0.5]),
        (Column("a", DataType.Array, element=DataType.Bool, params={"max_capacity": 2}), [True]),
    ],
)
def test_what_a_field_holds_comes_back_the_same(column, value):
    held = cell(column, value)
    assert held.exact
    message = FieldData()
    fill_column(message, column, [held.value])
    (read,) = read_column(FieldData.FromString(message.SerializeToString()), column, 1)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column("b", DataType.Bool), 1),
        (Column("i", DataType.Int8), 128),
        (Column("i", DataType.Int64), 2**63),
        (Column("i", DataType.Int64), 3.0),
        (Column("i", DataType.Int64), True),
        (Column("f", DataType.Float), 0.1),
        (Column("f", DataType.Float), 3),
        (Column("f", DataType.Float), 1e300),
        (Column("d", DataType.Double), 3),
        (Column("d", DataType.Double), 10**400),
        (TEXT, "üüüüü"),
        (TEXT, 5),
        (Column("j", DataType.JSON), "text"),
        (Column("j", DataType.JSON), [1]),
        (Column("j", DataType.JSON), {"a": "x" * 65_536}),
        (TAGS, ["a", 5]),
        (TAGS, ["a"] * 4),
        (TAGS, "abc"),
        (TEXT, None),
    ],
)
def test_what_a_field_would_change_is_said_to_be_inexact_and_still_fits(column, value):
    held = cell(column, value)
    assert not held.exact
    fill_column(FieldData(), column, [held.value])


def test_a_newer_server_takes_any_json():
    column = Column("j", DataType.JSON)
    assert cell(column, "text", free_json=True) == (b'"text"', True)


def test_a_null_of_a_nullable_field_is_told_from_an_empty_value():
    column = Column("t", DataType.VarChar, nullable=True, params={"max_length": 8})
    message = FieldData()
    fill_column(message, column, ["", None, "a"])
    assert list(message.scalars.string_data.data) == ["", "a"]
    assert read_column(message, column, 3) == ["", None, "a"]


@given(st.lists(st.integers() | st.none()))
def test_nulls_are_found_whether_or_not_they_take_a_place(values):
    valid = [value is not None for value in values]
    full = [0 if value is None else value for value in values]
    compact = [value for value in values if value is not None]
    assert spread(full, valid, len(values), "f") == values
    assert spread(compact, valid, len(values), "f") == values


def test_a_reply_with_too_few_values_halts():
    with pytest.raises(HaltError, match="2 values of 'f' for 3 rows"):
        spread([1, 2], [], 3, "f")


@pytest.mark.parametrize(
    ("data", "value"),
    [(b'{"a":1}', {"a": 1}), (b"null", None), (b"", None), (b"abc", "abc"), (b'"abc"', "abc")],
)
def test_json_is_read_and_what_milvus_lite_gives_without_quotes_is_text(data, value):
    assert read_json(data) == value
