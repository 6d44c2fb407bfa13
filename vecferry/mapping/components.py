"""Operations on a vector's components, with the same bits on every machine.

Every number is computed in float64 by single IEEE operations, and sums exactly
(:func:`math.fsum`), so that the applier and the parity check agree whatever
processor each of them runs on.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vecferry.digest import floats
from vecferry.errors import RecordError
from vecferry.model import Dense, Dtype, Multi, Sparse, Vector

_INTEGERS: Mapping[Dtype, tuple[str, int, int]] = {
    "int8": ("i1", -128, 127),
    "uint8": ("u1", 0, 255),
}
_FLOATS: Mapping[Dtype, str] = {"float32": "<f4", "float16": "<f2"}


def normalise(name: str, vector: Vector) -> Vector:
    """Return the vector with the length 1, rounded to its own type; zeros stay zeros.

    In a multivector each row gets the length 1.

    Raises:
        RecordError: It is sparse or holds integers, or a component is not finite.
    """
    if isinstance(vector, Sparse) or (values := floats(vector.dtype, vector.data)) is None:
        raise RecordError(f"vector {name!r} has no components that could be normalised")
    _require_finite(name, values)
    rows = values.reshape(-1, vector.dim)
    # a square of a float32 is exact in float64, and so is their sum before its one rounding
    lengths = np.array([math.sqrt(math.fsum(row)) for row in np.square(rows).tolist()])
    lengths[lengths == 0.0] = 1.0
    return _with(vector, vector.dtype, _pack(name, vector.dtype, (rows / lengths[:, None]).ravel()))


def cast(name: str, vector: Vector, dtype: Dtype, scale: float = 1.0) -> Vector:
    """Return the vector's components times ``scale``, in another type.

    To the nearest value that the type has, the even one of two that are as near.

    Raises:
        RecordError: It is sparse or binary, or a component has no nearest
            value: it is not finite, or beyond the type's largest.
    """
    if isinstance(vector, Sparse) or vector.dtype == "binary":
        raise RecordError(f"vector {name!r} has no components that could become {dtype}")
    if vector.dtype == dtype and scale == 1.0:
        return vector
    values = floats(vector.dtype, vector.data)
    if values is None:
        values = np.frombuffer(vector.data, _INTEGERS[vector.dtype][0]).astype(np.float64)
    return _with(vector, dtype, _pack(name, dtype, values * scale))


def _pack(name: str, dtype: Dtype, values: npt.NDArray[np.float64]) -> bytes:
    _require_finite(name, values)
    if dtype in _INTEGERS:
        code, low, high = _INTEGERS[dtype]
        rounded = np.rint(values)
        if ((rounded < low) | (rounded > high)).any():
            raise RecordError(
                f"vector {name!r} has components beyond {low}…{high}, which is all {dtype} has"
            )
        return rounded.astype(code).tobytes()
    if dtype == "bfloat16":
        return _bfloat16(name, values)
    with np.errstate(over="ignore", under="ignore"):
        packed = values.astype(_FLOATS[dtype])
    _require_in_range(name, dtype, np.isfinite(packed).all())
    return packed.tobytes()


def _bfloat16(name: str, values: npt.NDArray[np.float64]) -> bytes:
    # from float64 in one rounding: by way of float32 a tie could be made that was none
    fractions, exponents = np.frexp(values)
    steps = np.maximum(exponents - 8, -133)  # 8 binary digits, the last of a subnormal is 2**-133
    rounded = np.ldexp(np.rint(np.ldexp(fractions, exponents - steps)), steps)
    with np.errstate(over="ignore"):
        wide = rounded.astype("<f4")
    _require_in_range(name, "bfloat16", np.isfinite(wide).all())
    upper: npt.NDArray[np.uint16] = (wide.view("<u4") >> 16).astype("<u2")
    return upper.tobytes()


def _require_finite(name: str, values: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise RecordError(f"vector {name!r} has components that are not finite")


def _require_in_range(name: str, dtype: Dtype, is_finite: np.bool) -> None:
    if not is_finite:
        raise RecordError(f"vector {name!r} has components beyond what {dtype} has")


def _with(vector: Dense | Multi, dtype: Dtype, data: bytes) -> Vector:
    return vector._replace(dtype=dtype, data=data)
