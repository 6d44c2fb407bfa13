"""Components that are changed: to the nearest value, or refused."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vecferry.digest import floats
from vecferry.errors import RecordError
from vecferry.mapping.components import cast, normalise
from vecferry.model import Dense, Dtype, Multi, Sparse

floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
components = st.lists(floats32, min_size=1, max_size=12)


def dense(values: list[float]) -> Dense:
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def values_of(vector: Dense) -> list[float]:
    found = floats(vector.dtype, vector.data)
    return (
        np.frombuffer(vector.data, "i1" if vector.dtype == "int8" else "u1").tolist()
        if found is None
        else found.tolist()
    )


@given(components)
def test_a_normalised_vector_has_the_exact_quotients_rounded_once_or_is_zero(
    values: list[float],
) -> None:
    vector = dense(values)
    made = normalise("v", vector)
    assert isinstance(made, Dense)
    length = math.sqrt(math.fsum(value * value for value in values))
    wanted = [value / (length or 1.0) for value in values]
    assert made.data == np.array(wanted).astype("<f4").tobytes()


def test_each_row_of_a_multivector_gets_the_length_one_and_zeros_stay() -> None:
    rows = np.array([[3, 4], [0, 0], [0, -2]], "<f4")
    made = normalise("m", Multi("float32", 2, 3, rows.tobytes()))
    wanted = np.array([[0.6, 0.8], [0, 0], [0, -1]], "<f4")
    assert made == Multi("float32", 2, 3, wanted.tobytes())


@pytest.mark.parametrize(
    "vector",
    [Sparse(b"", b""), Dense("int8", 1, b"\1"), Dense("binary", 8, b"\1"), dense([float("nan")])],
)
def test_what_has_no_length_is_refused(vector: Dense | Sparse) -> None:
    with pytest.raises(RecordError, match="'v' has"):
        normalise("v", vector)


_STEPS: dict[Dtype, tuple[int, int, float]] = {
    # digits, the exponent of the smallest step, the largest value
    "float16": (11, -24, 65504.0),
    "bfloat16": (8, -133, 3.3895313892515355e38),
}


def nearest(value: float, dtype: Dtype) -> Fraction:
    digits, smallest, _ = _STEPS[dtype]
    if value == 0:
        return Fraction(0)
    step = Fraction(2) ** max(math.frexp(value)[1] - digits, smallest)
    return round(Fraction(value) / step) * step  # Fraction rounds half to even, exactly


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@given(value=floats32)
def test_a_float_becomes_the_nearest_one_and_a_tie_the_even_one(dtype: Dtype, value: float) -> None:
    wanted = nearest(value, dtype)
    if abs(wanted) > _STEPS[dtype][2]:
        with pytest.raises(RecordError, match=f"beyond what {dtype} has"):
            cast("v", dense([value]), dtype)  # type: ignore[arg-type]
        return
    made = cast("v", dense([value]), dtype)
    assert isinstance(made, Dense)
    assert made.dtype == dtype
    assert Fraction(values_of(made)[0]) == wanted
    assert math.copysign(1, values_of(made)[0]) == math.copysign(1, value)


def test_a_scale_is_not_rounded_twice_on_the_way_to_bfloat16() -> None:
    # 1 + 2**-8 + 2**-33: by way of float32 it would be a tie, and go down to the even 1.0
    value, scale = 1.0, 1 + 2**-8 + 2**-33
    assert values_of(cast("v", dense([value]), "bfloat16", scale)) == [1 + 2**-7]  # type: ignore[arg-type]
    assert np.float32(scale) == np.float32(1 + 2**-8)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8))
def test_int8_is_rounded_to_the_nearest_and_ties_to_even(values: list[float]) -> None:
    made = cast("v", dense(values), "int8", 127.0)
    assert isinstance(made, Dense)
    assert values_of(made) == [round(value * 127.0) for value in values]


@pytest.mark.parametrize(
    ("dtype", "value"), [("int8", 127.5), ("int8", -128.6), ("uint8", -0.6), ("uint8", 256)]
)
def test_a_component_beyond_the_type_is_refused_and_never_cut_off(
    dtype: Dtype, value: float
) -> None:
    with pytest.raises(RecordError, match=f"which is all {dtype} has"):
        cast("v", dense([value]), dtype)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    for dtype in ("float16", "bfloat16", "int8"):
        with pytest.raises(RecordError, match="not finite"):
            cast("v", dense([value]), dtype)  # type: ignore[arg-type]


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=8))
def test_integers_become_floats_and_come_back(values: list[int]) -> None:
    before = Dense("int8", len(values), struct.pack(f"{len(values)}b", *values))
    for dtype in ("float32", "float16", "bfloat16"):
        assert cast("v", cast("v", before, dtype), "int8") == before  # type: ignore[arg-type]


@given(components)
def test_a_cast_to_its_own_type_changes_no_bit(values: list[float]) -> None:
    assume(values)
    assert cast("v", dense(values), "float32") == dense(values)


def test_sparse_and_binary_vectors_are_not_cast() -> None:
    for vector in (Sparse(b"", b""), Dense("binary", 8, b"\1")):
        with pytest.raises(RecordError, match="no components"):
            cast("v", vector, "float16")
