import numpy as np
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Multi, Sparse, VectorSpec
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.vectors import (
    all_finite,
    fill_vector,
    from_float32,
    read_vector,
)
from vecferry.stores.widening import to_float32

RNG = np.random.default_rng(7)


def output(message: object) -> object:
    """The private form of what a server sends."""
    return wire.VectorOutput.FromString(message.SerializeToString())  # type: ignore[attr-defined]


def f4(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def u4(*values: int) -> bytes:
    return np.array(values, "<u4").tobytes()


def test_float32_crosses_bit_for_bit_even_nan_payloads():
    data = RNG.bytes(400)
    spec = VectorSpec("", dim=100)
    message = wire.Vector()
    assert fill_vector(message, Dense("float32", 100, data), spec) == data
    assert read_vector(output(message), spec) == Dense("float32", 100, data)


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_a_narrower_type_crosses_as_float32_and_comes_back_bit_for_bit(dtype):
    kind = {"float16": "<f2", "uint8": "u1"}[dtype]
    values = (
        np.arange(256).astype(kind) if dtype == "uint8" else RNG.standard_normal(256).astype(kind)
    )
    spec = VectorSpec("", dtype=dtype, dim=256)
    message = wire.Vector()
    fill_vector(message, Dense(dtype, 256, values.tobytes()), spec)
    assert message.dense.data == values.astype("<f4").tobytes()
    assert read_vector(output(message), spec) == Dense(dtype, 256, values.tobytes())


def test_every_finite_float16_survives():
    every = np.arange(2**16, dtype="<u2").view("<f2")
    every = every[np.isfinite(every)]
    assert from_float32("float16", to_float32("float16", every.tobytes())) == every.tobytes()


def test_bfloat16_and_int8_widen_exactly():
    assert to_float32("bfloat16", np.array([0x3FC0, 0xC000], "<u2").tobytes()) == f4(1.5, -2.0)
    assert to_float32("int8", np.array([-128, 127], "i1").tobytes()) == f4(-128, 127)


def test_binary_vectors_are_refused():
    with pytest.raises(RecordError, match="binary"):
        to_float32("binary", b"\x00")


SPARSE = Sparse(u4(1, 5, 70_000), f4(1, 2, 3))
MULTI = Multi("float32", 2, 3, f4(1, 2, 3, 4, 5, 6))


@pytest.mark.parametrize(
    ("vector", "spec"),
    [
        (Dense("float32", 2, f4(1, 2)), VectorSpec("d", dim=2)),
        (SPARSE, VectorSpec("s", kind="sparse")),
        (MULTI, VectorSpec("m", kind="multi", dim=2)),
    ],
)
def test_what_is_written_is_read(vector, spec):
    message = wire.Vector()
    fill_vector(message, vector, spec)
    assert read_vector(output(message), spec) == vector
    # and the client's own classes see the same
    assert qdrant.Vector.FromString(message.SerializeToString()).WhichOneof("vector") is not None


@pytest.mark.parametrize(
    ("old", "expected", "spec"),
    [
        (qdrant.VectorOutput(data=[1, 2]), Dense("float32", 2, f4(1, 2)), VectorSpec("", dim=2)),
        (
            qdrant.VectorOutput(data=[1, 2, 3], indices=qdrant.SparseIndices(data=[1, 5, 70_000])),
            SPARSE,
            VectorSpec("", kind="sparse"),
        ),
        (
            qdrant.VectorOutput(data=[1, 2, 3, 4, 5, 6], vectors_count=3),
            MULTI,
            VectorSpec("", kind="multi", dim=2),
        ),
    ],
)
def test_the_flat_fields_of_servers_before_1_16_are_read(old, expected, spec):
    assert read_vector(output(old), spec) == expected


def test_a_sparse_vector_is_sorted_by_index():
    message = qdrant.VectorOutput(sparse=qdrant.SparseVector(values=[3, 1, 2], indices=[9, 1, 5]))
    assert read_vector(output(message), VectorSpec("", kind="sparse")) == Sparse(
        u4(1, 5, 9), f4(1, 2, 3)
    )


def test_an_empty_sparse_vector_is_an_absent_one():
    message = qdrant.VectorOutput(sparse=qdrant.SparseVector())
    assert read_vector(output(message), VectorSpec("", kind="sparse")) is None


@pytest.mark.parametrize(
    ("vector", "spec", "reason"),
    [
        (Dense("float32", 3, f4(1, 2, 3)), VectorSpec("v", dim=2), "3 dimensions"),
        (Dense("float32", 2, f4(1)), VectorSpec("v", dim=2), "4 bytes"),
        (SPARSE, VectorSpec("v", dim=2), "is sparse"),
        (Sparse(u4(1), f4(1, 2)), VectorSpec("v", kind="sparse"), "4 bytes of indices"),
        (
            Multi("float32", 2, 2, f4(1, 2)),
            VectorSpec("v", kind="multi", dim=2),
            "8 bytes for 2 x 2",
        ),
    ],
)
def test_a_vector_of_another_shape_is_refused_by_name(vector, spec, reason):
    with pytest.raises(RecordError, match=reason):
        fill_vector(wire.Vector(), vector, spec)


@pytest.mark.parametrize(
    ("message", "spec"),
    [
        (qdrant.VectorOutput(dense=qdrant.DenseVector(data=[1])), VectorSpec("v", dim=2)),
        (
            qdrant.VectorOutput(data=[1, 2, 3], vectors_count=2),
            VectorSpec("v", kind="multi", dim=2),
        ),
    ],
)
def test_a_vector_of_a_size_that_was_not_described_halts(message, spec):
    with pytest.raises(HaltError, match="made anew"):
        read_vector(output(message), spec)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_component_among_many_is_found(bad):
    assert all_finite([f4(1, 2), f4(3)])
    assert not all_finite([f4(1, 2), f4(bad)])
