"""Vectors cross the wire as bytes."""

import numpy as np
import pytest
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Multi, Sparse
from vecferry.stores.milvus.shape import Column
from vecferry.stores.milvus.vectors import fill_vectors, not_finite, read_vectors, wire_bytes
from vecferry.stores.milvus.wire import FieldData


def column(kind=DataType.FloatVector, dim=8, nullable=False):
    return Column("v", kind, nullable, params={"dim": dim} if dim else {})


def through_the_wire(spec, rows):
    message = FieldData()
    fill_vectors(message, spec, [wire_bytes(spec, row) for row in rows])
    return read_vectors(FieldData.FromString(message.SerializeToString()), spec, len(rows))


SPARSE = Sparse(np.array([1, 2**32 - 1], "<u4").tobytes(), np.array([0.5, 2], "<f4").tobytes())


@pytest.mark.parametrize(
    ("spec", "vector"),
    [
        (column(), Dense("float32", 8, bytes(range(32)))),
        (column(DataType.Float16Vector), Dense("float16", 8, bytes(range(16)))),
        (column(DataType.BFloat16Vector), Dense("bfloat16", 8, bytes(range(16)))),
        (column(DataType.Int8Vector), Dense("int8", 8, bytes(range(8)))),
        (column(DataType.BinaryVector, 16), Dense("binary", 16, b"\x01\x80")),
        (column(DataType.SparseFloatVector, 0), SPARSE),
    ],
)
def test_every_kind_of_vector_keeps_its_bits(spec, vector):
    assert through_the_wire(spec, [vector, vector]) == [vector, vector]


def test_an_absent_vector_is_absent_where_the_field_can_be_null():
    vector = Dense("float32", 8, bytes(32))
    spec = column(nullable=True)
    assert through_the_wire(spec, [None, vector, None]) == [None, vector, None]
    sparse = column(DataType.SparseFloatVector, 0)
    assert through_the_wire(sparse, [None, SPARSE]) == [None, SPARSE]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("float16", np.array([0.1, 6e-8] * 4, "<f2")), ("int8", np.arange(-4, 4, dtype="i1"))],
)
def test_a_narrower_vector_is_widened_exactly(dtype, values):
    wide = wire_bytes(column(), Dense(dtype, 8, values.tobytes()))
    assert np.frombuffer(wide, "<f4").tolist() == values.astype("<f4").tolist()


def test_a_bfloat16_is_the_upper_half_of_a_float32():
    wide = wire_bytes(column(dim=1), Dense("bfloat16", 1, b"\x80\xbf"))
    assert np.frombuffer(wide, "<f4").tolist() == [-1.0]


@pytest.mark.parametrize(
    ("spec", "vector", "says"),
    [
        (column(), Dense("float32", 7, bytes(28)), "7 components"),
        (column(), Dense("float32", 8, bytes(31)), "31 bytes"),
        (column(), None, "no vector"),
        (column(), SPARSE, "not dense"),
        (column(), Multi("float32", 8, 1, bytes(32)), "not dense"),
        (column(), Dense("binary", 8, b"\x00"), "binary"),
        (column(DataType.SparseFloatVector, 0), Dense("float32", 8, bytes(32)), "not sparse"),
        (column(DataType.SparseFloatVector, 0), Sparse(bytes(8), bytes(4)), "2 indices"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused_with_its_shape(spec, vector, says):
    with pytest.raises(RecordError, match=says):
        wire_bytes(spec, vector)


@pytest.mark.parametrize(
    ("kind", "bad", "good"),
    [
        (DataType.FloatVector, np.array([1, np.nan], "<f4"), np.array([1, 3e38], "<f4")),
        (DataType.FloatVector, np.array([1, -np.inf], "<f4"), np.array([1, 0], "<f4")),
        (DataType.Float16Vector, np.array([1, np.inf], "<f2"), np.array([1, 65504], "<f2")),
        (DataType.BFloat16Vector, np.array([1, 0xFFC0], "<u2"), np.array([1, 0x7F7F], "<u2")),
        (DataType.Int8Vector, None, np.array([-1, 127], "i1")),
    ],
)
def test_a_row_that_is_not_finite_is_found(kind, bad, good):
    rows = [good.tobytes(), None, bad.tobytes() if bad is not None else good.tobytes()]
    assert not_finite(column(kind, 2), rows) == ([2] if bad is not None else [])


def test_a_sparse_row_that_is_not_finite_is_found():
    spec = column(DataType.SparseFloatVector, 0)
    bad = Sparse(SPARSE.indices, np.array([1, np.nan], "<f4").tobytes())
    assert not_finite(spec, [wire_bytes(spec, SPARSE), wire_bytes(spec, bad)]) == [1]


def test_a_reply_that_is_not_whole_vectors_halts():
    message = FieldData()
    message.vectors.float_vector.data = bytes(33)
    with pytest.raises(HaltError, match="33 bytes"):
        read_vectors(message, column(), 1)


def test_an_unsorted_sparse_vector_is_read_sorted():
    spec = column(DataType.SparseFloatVector, 0)
    shuffled = Sparse(np.array([9, 4], "<u4").tobytes(), np.array([0.9, 0.4], "<f4").tobytes())
    (read,) = through_the_wire(spec, [shuffled])
    assert np.frombuffer(read.indices, "<u4").tolist() == [4, 9]
    assert np.frombuffer(read.values, "<f4").round(2).tolist() == pytest.approx([0.4, 0.9])
