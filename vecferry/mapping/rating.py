"""How well a database holds each part of a schema, from what it says that it can do."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from vecferry.model import BITS, Collection, Dtype, VectorSpec
from vecferry.ports import Capabilities, Rating

WORST_LAST: Sequence[Rating] = ("exact", "widened", "carried", "lossy", "dropped")
"""The ratings, from the best to the worst."""

REFUSED: frozenset[Rating] = frozenset({"lossy", "dropped"})
"""Those that the user must accept by name."""

_HELD_BY: dict[Dtype, frozenset[Dtype]] = {
    "float32": frozenset(),
    "float16": frozenset({"float32"}),
    "bfloat16": frozenset({"float32"}),
    "int8": frozenset({"float32", "float16", "bfloat16"}),
    "uint8": frozenset({"float32", "float16", "bfloat16"}),
    "binary": frozenset(),
}
"""The types that hold every value of another: an int8 fits into the 8 bits of bfloat16's digits."""


class FieldRating(NamedTuple):
    """What becomes of one field.

    Attributes:
        field: Its name, as an acknowledgement spells it.
        rating: The worst that was found; see :data:`vecferry.ports.Rating`.
        source: The field as the source has it.
        target: The field as the target will have it.
        reason: Why it is not exact; empty when it is.
        example: A key of the sample that is rated so; empty where the schema alone says it.
        share: The part of the sample that is not exact, 0 to 1.
    """

    field: str
    rating: Rating
    source: str
    target: str
    reason: str = ""
    example: str = ""
    share: float = 0.0


class Held(NamedTuple):
    """A vector as the target can hold it, or why it cannot.

    Attributes:
        spec: For the target; None where it is left out.
        rating: Its row.
        refusal: What no acknowledgement helps against; empty when there is nothing.
    """

    spec: VectorSpec | None
    rating: FieldRating
    refusal: str = ""


def is_worse(rating: Rating, than: Rating) -> bool:
    """Whether one rating keeps less than another."""
    return WORST_LAST.index(rating) > WORST_LAST.index(than)


def rate_vector(
    spec: VectorSpec, wanted: VectorSpec, capabilities: Capabilities, existing: VectorSpec | None
) -> Held:
    """Rate one vector.

    Args:
        spec: As the source holds it.
        wanted: The same with its name, metric and index for the target.
        capabilities: The target's.
        existing: The target's vector, when it is there already.
    """
    field, there = f"vectors.{spec.name}", spell_vector(spec)
    missing = _missing(wanted, capabilities)
    if missing:
        return Held(None, FieldRating(field, "dropped", there, "-", missing))
    if existing and "binary" in (spec.dtype, existing.dtype) and spec.dtype != existing.dtype:
        refusal = (
            f"{field}: {spec.dtype} vectors do not fit the {existing.dtype} ones that are there"
        )
        return Held(None, FieldRating(field, "dropped", there, "-", "another type"), refusal)
    dtype = existing.dtype if existing else _dtype(spec, capabilities)
    if dtype is None:
        has = ", ".join(sorted(capabilities.dtypes))
        reason = f"the target holds no {spec.dtype} vectors (it has {has})"
        return Held(None, FieldRating(field, "dropped", there, "-", reason))
    if wanted.kind == "dense" and wanted.metric not in capabilities.metrics | {None}:
        has = ", ".join(sorted(capabilities.metrics))
        refusal = (
            f"{field}: the target has no metric {wanted.metric} (it has {has}), and under another "
            f"one searches would answer something else: choose another target, or transform the "
            f"vectors so that a metric it has ranks the same"
        )
        return Held(None, FieldRating(field, "dropped", there, "-", "no such metric"), refusal)
    made = replace(wanted, dtype=dtype)
    rating, reason = _rate_dtype(spec, dtype)
    return Held(made, FieldRating(field, rating, there, spell_vector(made), reason))


def _missing(spec: VectorSpec, capabilities: Capabilities) -> str:
    """Return why a database has no place for such a vector, whatever its type."""
    if spec.kind == "sparse":
        return "" if capabilities.sparse else "the target holds no sparse vectors"
    if spec.kind == "multi" and not capabilities.multi:
        return "the target holds no multivectors"
    if 0 < capabilities.dim_max < spec.dim:
        return f"the target holds vectors of at most {capabilities.dim_max:,} dimensions"
    return ""


def _dtype(spec: VectorSpec, capabilities: Capabilities) -> Dtype | None:
    if spec.kind == "sparse" or spec.dtype in capabilities.dtypes:
        return spec.dtype
    if spec.dtype == "binary":
        return None
    if "float32" in capabilities.dtypes:
        return "float32"
    others = sorted(_HELD_BY[spec.dtype] & capabilities.dtypes)
    return others[0] if others else None


def _rate_dtype(spec: VectorSpec, dtype: Dtype) -> tuple[Rating, str]:
    if dtype == spec.dtype or spec.kind == "sparse":
        return "exact", ""
    bits = f"{BITS[spec.dtype]} bits become {BITS[dtype]}"
    if dtype in _HELD_BY[spec.dtype]:
        return "widened", f"{bits}, every value is kept"
    return "lossy", f"{spec.dtype} becomes {dtype}: values are rounded or cut off"


def spell_vector(spec: VectorSpec) -> str:
    """Spell a vector for people."""
    shape = "" if spec.kind == "sparse" else f"[{spec.dim}]"
    return (
        f"{spec.name or '(unnamed)'}: {spec.kind} {spec.dtype}{shape} {spec.metric or 'no metric'}"
    )


def rate_ids(source: Collection, capabilities: Capabilities) -> FieldRating:
    """Rate the ids by their types."""
    there = " or ".join(sorted(source.id_types))
    if source.id_types <= capabilities.id_types:
        bounded = "int" in source.id_types and capabilities.int_min >= 0
        reason = (
            f"integers outside {capabilities.int_min}…{capabilities.int_max} are carried in _vf_id"
        )
        return FieldRating("id", "exact", there, there, reason if bounded else "")
    kept = capabilities.id_types & source.id_types | {"uuid"} & capabilities.id_types
    return FieldRating(
        "id",
        "carried",
        there,
        " or ".join(sorted(kept)) or "str",
        "others become a UUIDv5 of the key (docs/target-ids.md), the original is in _vf_id",
    )


def rate_namespaces(source: Collection, capabilities: Capabilities) -> list[FieldRating]:
    """Rate the namespaces, where there are any besides the default one."""
    names = [name for name in source.namespaces if name]
    if not names:
        return []
    there = f"{len(names)} besides the default one"
    if capabilities.namespaces:
        return [FieldRating("namespaces", "exact", there, there)]
    reason = "the target has no container for them"
    return [FieldRating("namespaces", "carried", there, "_vf_ns", reason)]


def check_names(made: Collection, capabilities: Capabilities) -> list[str]:
    """Return which names the target would not take, and what to set instead."""
    refused = []
    if not _matches(capabilities.collection_name, made.name):
        refused.append(
            f"the target takes no collection of the name {made.name!r} (it must match "
            f"{capabilities.collection_name}): set collections.target"
        )
    refused += [
        f"the target takes no vector of the name {spec.name!r} (it must match "
        f"{capabilities.vector_name}): name it in collections.vectors"
        for spec in made.vectors
        if spec.name != capabilities.unnamed_vector
        and not _matches(capabilities.vector_name, spec.name)
    ]
    return refused


def _matches(pattern: str, name: str) -> bool:
    return not pattern or re.fullmatch(pattern, name) is not None
