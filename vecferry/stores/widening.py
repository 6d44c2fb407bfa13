"""Vectors of every number type as float32, exactly: for databases that hold nothing else."""

from collections.abc import Mapping

import numpy as np

from vecferry.errors import RecordError
from vecferry.model import Dtype

_NUMPY: Mapping[Dtype, str] = {"float16": "<f2", "int8": "i1", "uint8": "u1"}


def to_float32(dtype: Dtype, data: bytes) -> bytes:
    """Return the components as little-endian float32; each one's value is kept.

    Raises:
        RecordError: ``binary`` has no exact float32 form of the same dimension.
    """
    if dtype == "float32":
        return data
    if dtype == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).tobytes()
    if dtype == "binary":
        raise RecordError("the database holds no binary vectors")
    return np.frombuffer(data, _NUMPY[dtype]).astype("<f4").tobytes()
