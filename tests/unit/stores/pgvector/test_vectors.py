import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Multi, Sparse, Vector
from vecferry.stores.pgvector.vectors import (
    NoRoomError,
    VectorColumn,
    decode_vectors,
    encode_vectors,
    fit_vector,
)

VECTOR = VectorColumn("v", "vector", 3)
HALF, BIT, WORDS = (
    VectorColumn("h", "halfvec", 3),
    VectorColumn("b", "bit", 12),
    VectorColumn("w", "sparsevec", 0),
)


def dense(*values: float, dtype: str = "float32", kind: str = "<f4") -> Dense:
    return Dense(dtype, len(values), np.array(values, kind).tobytes())  # type: ignore[arg-type]


def sparse(indices: list[int], values: list[float]) -> Sparse:
    return Sparse(np.array(indices, "<u4").tobytes(), np.array(values, "<f4").tobytes())


def test_the_bytes_are_those_of_pgvector_s_binary_form() -> None:
    assert encode_vectors(VECTOR, [dense(1, -0.0, 2), None]) == [
        struct.pack(">hhfff", 3, 0, 1, -0.0, 2),
        None,
    ]
    half = Dense("float16", 3, np.array([1, -0.0, 2], "<f2").tobytes())
    assert encode_vectors(HALF, [half]) == [struct.pack(">hheee", 3, 0, 1, -0.0, 2)]
    assert encode_vectors(BIT, [Dense("binary", 12, b"\xab\xc0")]) == [
        struct.pack(">i", 12) + b"\xab\xc0"
    ]
    assert encode_vectors(WORDS, [sparse([0, 7], [1, 2]), sparse([], [])]) == [
        struct.pack(">iiiiiff", 1_000_000_000, 2, 0, 0, 7, 1, 2),
        None,
    ]


@given(st.lists(st.none() | st.lists(st.floats(width=32, allow_nan=False), min_size=1), max_size=5))
def test_vectors_come_back_bit_for_bit_also_of_different_dimensions(
    rows: list[list[float] | None],
) -> None:
    column = VectorColumn("v", "vector", 0)
    vectors: list[Vector | None] = [None if row is None else dense(*row) for row in rows]
    assert decode_vectors(column, encode_vectors(column, vectors)) == vectors


@pytest.mark.parametrize(
    ("column", "vector"),
    [
        (HALF, Dense("float16", 3, b"\x01\x80\x00\x3c\xff\x7b")),
        (BIT, Dense("binary", 12, b"\xab\xc0")),
        (WORDS, sparse([0, 7, 999_999_999], [1, -2, 1e-45])),
    ],
)
def test_the_other_types_come_back_bit_for_bit(column: VectorColumn, vector: Vector) -> None:
    assert fit_vector(column, vector) is vector
    assert decode_vectors(column, encode_vectors(column, [None, vector])) == [None, vector]


def test_an_empty_sparse_vector_in_a_row_is_none() -> None:
    assert decode_vectors(WORDS, [struct.pack(">iii", 5, 0, 0)]) == [None]


@pytest.mark.parametrize(
    ("column", "cell"),
    [(VECTOR, b"\0\3\0\0" + b"\0" * 8), (WORDS, struct.pack(">iii", 5, 1, 0))],
)
def test_damaged_bytes_halt(column: VectorColumn, cell: bytes) -> None:
    with pytest.raises(HaltError):
        decode_vectors(column, [cell])


def test_numbers_are_widened_where_the_column_is_float32() -> None:
    found = fit_vector(VECTOR, Dense("int8", 3, b"\xff\x00\x01"))
    assert found == dense(-1, 0, 1)


@pytest.mark.parametrize(
    ("column", "vector"),
    [
        (VECTOR, dense(1, 2)),
        (VECTOR, dense(1, 2, float("nan"))),
        (VECTOR, dense(1, 2, float("inf"))),
        (VECTOR, Dense("float32", 3, b"\0" * 8)),
        (VECTOR, Dense("binary", 3, b"\xe0")),
        (VECTOR, Multi("float32", 3, 1, b"\0" * 12)),
        (VECTOR, sparse([1], [1])),
        (HALF, dense(1, 2, 3)),
        (HALF, Dense("float16", 3, b"\x00\x7c" * 3)),
        (BIT, Dense("binary", 12, b"\xab\xc1")),
        (BIT, dense(*range(12))),
        (WORDS, dense(1, 2, 3)),
        (WORDS, Sparse(b"\0" * 4, b"")),
        (WORDS, sparse([1], [float("nan")])),
    ],
)
def test_what_does_not_fit_is_refused(column: VectorColumn, vector: Vector) -> None:
    with pytest.raises(RecordError) as raised:
        fit_vector(column, vector)
    assert not isinstance(raised.value, NoRoomError)


@pytest.mark.parametrize(
    "vector",
    [
        sparse([1_000_000_000], [1]),
        sparse([1, 2], [1, 0]),
        sparse(list(range(16_001)), [1] * 16_001),
    ],
)
def test_a_sparse_vector_without_room_can_be_kept_beside(vector: Sparse) -> None:
    with pytest.raises(NoRoomError):
        fit_vector(WORDS, vector)
    fit_vector(WORDS, sparse(list(range(16_000)), [1] * 16_000))
