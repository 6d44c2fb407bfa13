"""What a memory collection admits: every reason for which a write is refused."""

from collections.abc import Iterator

import numpy as np

from vecferry.model import BITS, Collection, Dense, Dtype, Image, Key, Multi, Sparse, Vector
from vecferry.ports import Capabilities

_FLOATS: dict[Dtype, str] = {"float32": "<f4", "float16": "<f2"}


def find_refusal(
    schema: Collection, capabilities: Capabilities, key: Key, image: Image
) -> str | None:
    """Return why the collection cannot hold this point, or None where it can."""
    return next(
        (
            reason
            if field in ("id", "payload")
            else f"vector {field.removeprefix('vectors.')!r} {reason}"
            for field, reason in find_refusals(schema, capabilities, key, image)
        ),
        None,
    )


def find_refusals(
    schema: Collection, capabilities: Capabilities, key: Key, image: Image
) -> Iterator[tuple[str, str]]:
    """Yield each field that the collection cannot hold: ``id``, ``vectors.NAME``, ``payload``; and why."""
    reason = find_id_refusal(schema, capabilities, key)
    if reason:
        yield "id", reason
    for name, vector in image.vectors.items():
        reason = _vector_refusal(schema, name, vector)
        if reason:
            yield f"vectors.{name}", reason
    limit = capabilities.payload_bytes_max
    if limit and len(image.payload) > limit:
        yield "payload", f"the payload has {len(image.payload)} bytes, the limit is {limit}"


def find_id_refusal(schema: Collection, capabilities: Capabilities, key: Key) -> str | None:
    """Return why the collection can have no such id, or None where it can."""
    kind = {int: "int", str: "str"}.get(type(key.id), "uuid")
    if kind not in schema.id_types:
        return f"the id is a {kind}, the collection takes {' or '.join(sorted(schema.id_types))}"
    if isinstance(key.id, int) and not capabilities.int_min <= key.id <= capabilities.int_max:
        return f"the id lies beyond {capabilities.int_min} to {capabilities.int_max}"
    longest = schema.id_bytes_max
    if longest and isinstance(key.id, str) and len(key.id.encode()) > longest:
        return f"the id has {len(key.id.encode())} bytes, the limit is {longest}"
    return None


def _vector_refusal(schema: Collection, name: str, vector: Vector) -> str | None:
    spec = schema.vector(name)
    if spec is None:
        return "is not one of the collection's"
    if isinstance(vector, Sparse):
        return _sparse_refusal(vector) if spec.kind == "sparse" else f"is sparse, not {spec.kind}"
    kind = "multi" if isinstance(vector, Multi) else "dense"
    if (kind, vector.dtype, vector.dim) != (spec.kind, spec.dtype, spec.dim):
        return (
            f"is {kind} {vector.dtype} of {vector.dim} dimensions, "
            f"not {spec.kind} {spec.dtype} of {spec.dim}"
        )
    return _data_refusal(vector)


def _data_refusal(vector: Dense | Multi) -> str | None:
    rows = vector.rows if isinstance(vector, Multi) else 1
    wanted = rows * ((vector.dim * BITS[vector.dtype] + 7) // 8)
    if len(vector.data) != wanted:
        return f"has {len(vector.data)} bytes, not {wanted}"
    if not _is_finite(vector.dtype, vector.data):
        return "holds NaN or an infinity"
    return None


def _sparse_refusal(vector: Sparse) -> str | None:
    if len(vector.indices) != len(vector.values) or len(vector.indices) % 4:
        return f"has {len(vector.indices)} bytes of indices and {len(vector.values)} of values"
    indices = np.frombuffer(vector.indices, "<u4")
    if (indices[1:] <= indices[:-1]).any():
        return "has indices that are not ascending and unique"
    return None if _is_finite("float32", vector.values) else "holds NaN or an infinity"


def _is_finite(dtype: Dtype, data: bytes) -> bool:
    if dtype == "bfloat16":  # all ones in the exponent
        return not ((np.frombuffer(data, "<u2") & 0x7F80) == 0x7F80).any()
    spelled = _FLOATS.get(dtype)
    return spelled is None or bool(np.isfinite(np.frombuffer(data, spelled)).all())
