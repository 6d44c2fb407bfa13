import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Multi, Sparse, VectorSpec
from vecferry.stores.pinecone.vectors import (
    SPARSE_VALUES_MAX,
    dense_values,
    read_dense,
    read_sparse,
    sparse_values,
    spell,
    spelled_safely,
)

DENSE, SPARSE = VectorSpec("", dim=3, metric="l2"), VectorSpec("words", "sparse", metric="dot")
TWICE = np.array([0x15AE43FD], "<u4").view("<f4")


def dense(*values: float) -> Dense:
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def sparse(indices: list[int], values: list[float]) -> Sparse:
    return Sparse(np.array(indices, "<u4").tobytes(), np.array(values, "<f4").tobytes())


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.tuples(finite, finite, finite).filter(any))
def test_a_vector_comes_back_bit_by_bit(values: tuple[float, float, float]) -> None:
    vector = dense(*values)
    assert read_dense(orjson.loads(spell(dense_values(vector, DENSE))), DENSE) == vector


def test_random_bits_come_back_also_through_a_double() -> None:
    bits = np.random.default_rng(1).integers(0, 0x7F800000, 200_000, dtype=np.uint32)
    values = np.concatenate([bits.view("<f4"), -bits.view("<f4")])
    read = np.array(orjson.loads(spell(spelled_safely(values))), "<f8").astype("<f4")
    assert read.tobytes() == values.tobytes()


def test_the_float_whose_shortest_decimal_is_rounded_twice_goes_as_a_double() -> None:
    for values in (TWICE, -TWICE):
        shortest = np.array(orjson.loads(spell(values)), "<f8").astype("<f4")
        assert shortest.tobytes() != values.tobytes(), "or nothing would have to be done"
        read = np.array(orjson.loads(spell(spelled_safely(values))), "<f8").astype("<f4")
        assert read.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (dense(1, 2), "2 dimensions"),
        (dense(0, -0.0, 0), "zeros"),
        (dense(1, np.nan, 2), "NaN"),
        (dense(1, np.inf, 2), "NaN or an infinity"),
        (sparse([1], [1]), "not dense"),
        (Multi("float32", 3, 1, bytes(12)), "not dense"),
        (Dense("float32", 3, bytes(8)), "2 of 3"),
        (Dense("binary", 3, b"\1"), "binary"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(vector: object, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        dense_values(vector, DENSE)  # type: ignore[arg-type]


def test_other_number_types_are_widened() -> None:
    vector = Dense("int8", 3, np.array([-128, 0, 127], "i1").tobytes())
    assert dense_values(vector, DENSE).tolist() == [-128, 0, 127]


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (sparse([], []), "0 values"),
        (sparse(list(range(SPARSE_VALUES_MAX + 1)), [1] * (SPARSE_VALUES_MAX + 1)), "values"),
        (sparse([1], [np.nan]), "NaN"),
        (dense(1, 2, 3), "not sparse"),
        (Sparse(bytes(4), bytes(8)), "4 bytes of indices"),
    ],
)
def test_a_sparse_vector_that_does_not_fit_is_refused(vector: object, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        sparse_values(vector, SPARSE)  # type: ignore[arg-type]


def test_a_sparse_vector_comes_back_in_ascending_order() -> None:
    vector = sparse([0, 5, 2**32 - 1], [0.5, -1, 1e-30])
    read = orjson.loads(spell(sparse_values(vector, SPARSE)))
    assert read_sparse(read) == vector
    mixed = {name: [inner[2], inner[0], inner[1]] for name, inner in read.items()}
    assert read_sparse(mixed) == vector
    assert read_sparse({"indices": [], "values": []}) is None


def test_a_record_of_another_size_stops_the_work() -> None:
    with pytest.raises(HaltError, match="made anew"):
        read_dense([1.0, 2.0], DENSE)
