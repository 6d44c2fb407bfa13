"""What becomes of a collection in another database, field by field, before it moves.

Pure: two schemas and two sets of capabilities in, a plan out. Each field is
rated *exact*, *widened* (another type that holds every value), *carried* (kept
in a reserved ``_vf_`` field and restored on the way back), *lossy* or
*dropped*; the last two are refused until the file acknowledges them by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from vecferry.errors import ConfigError
from vecferry.mapping.index import translate_index
from vecferry.mapping.names import Mapping
from vecferry.model import BITS, Collection, VectorSpec
from vecferry.ports import Capabilities, Ref
from vecferry.settings import CollectionSettings

Rating = Literal["exact", "widened", "carried", "lossy", "dropped"]


class FieldRating(NamedTuple):
    """What becomes of one field.

    Attributes:
        field: Its name, as an acknowledgement spells it.
        rating: See the module.
        source: The field as the source has it.
        target: The field as the target will have it.
        reason: Why it is not exact; empty when it is.
    """

    field: str
    rating: Rating
    source: str
    target: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one collection.

    Attributes:
        mapping: How each point is renamed.
        collection: The target's schema: to be created, or as it exists.
        fields: Every field's rating.
        refusals: Why it cannot go ahead; empty when it can.
        warnings: What the user should know and need not acknowledge.
    """

    mapping: Mapping
    collection: Collection
    fields: tuple[FieldRating, ...]
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


class Side(NamedTuple):
    """A store's schema of the collection and what the store can do."""

    collection: Collection
    capabilities: Capabilities


def plan_mapping(
    source: Side,
    capabilities: Capabilities,
    settings: CollectionSettings,
    existing: Collection | None = None,
) -> Plan:
    """Plan how ``source`` is held by a target with these capabilities.

    Args:
        source: The source's side.
        capabilities: The target's.
        settings: The collection's part of the file, patterns resolved.
        existing: The target's collection, when it is already there.
    """
    names = _vector_names(source, capabilities, settings, existing)
    specs = [
        _fit(spec, names[spec.name], capabilities, settings) for spec in source.collection.vectors
    ]
    made = Collection(
        name=settings.target or settings.source,
        vectors=tuple(spec for spec in specs if spec is not None),
        id_types=source.collection.id_types,
        id_bytes_max=source.collection.id_bytes_max,
        options=source.collection.options,
    )
    fields = [
        *(
            _rate_vector(spec, fitted, capabilities)
            for spec, fitted in zip(source.collection.vectors, specs, strict=True)
        ),
        _rate_ids(source.collection, capabilities),
        *_rate_namespaces(source, capabilities),
    ]
    refusals = [
        f"{rated.field} is {rated.rating}: {rated.reason}; acknowledge = [{rated.field!r}] accepts that"
        for rated in fields
        if rated.rating in ("lossy", "dropped") and rated.field not in settings.acknowledge
    ]
    refusals += _without_metric(source.collection, settings)
    if existing is not None:
        refusals += _differences(made.vectors, existing)
    return Plan(
        mapping=Mapping(
            source=Ref(source.collection.name, source.collection.name),
            target=Ref(made.name, source.collection.name),
            vectors=tuple((spec.name, names[spec.name]) for spec in source.collection.vectors),
        ),
        collection=existing or made,
        fields=tuple(fields),
        refusals=tuple(refusals),
        warnings=tuple(_warnings(made.vectors, source.capabilities, capabilities)),
    )


def _vector_names(
    source: Side,
    capabilities: Capabilities,
    settings: CollectionSettings,
    existing: Collection | None,
) -> dict[str, str]:
    """Name each vector in the target: the user's word, the only one there, or its own name."""
    known = [spec.name for spec in source.collection.vectors]
    for name in settings.vectors:
        if name not in known:
            raise ConfigError(
                f"collections.vectors names {name!r}, which {source.collection.name!r} does not have: "
                f"it has {', '.join(map(repr, known))}"
            )
    names = {}
    for name in known:
        is_unnamed = name == source.capabilities.unnamed_vector
        names[name] = settings.vectors.get(
            name, capabilities.unnamed_vector if is_unnamed else name
        )
    if existing is not None and len(known) == len(existing.vectors) == 1 and not settings.vectors:
        names[known[0]] = existing.vectors[0].name
    return names


def _fit(
    spec: VectorSpec, name: str, capabilities: Capabilities, settings: CollectionSettings
) -> VectorSpec | None:
    """Return the vector as the target can hold it, or None where it cannot."""
    metric = spec.metric or settings.metrics.get(spec.name)
    fitted = replace(spec, name=name, metric=metric, index=translate_index(spec.index))
    if spec.kind == "sparse":
        return fitted if capabilities.sparse else None
    if spec.kind == "multi" and not capabilities.multi:
        return None
    if metric is not None and metric not in capabilities.metrics:
        return None
    if spec.dtype in capabilities.dtypes:
        return fitted
    is_number = spec.dtype != "binary"
    return (
        replace(fitted, dtype="float32") if is_number and "float32" in capabilities.dtypes else None
    )


def _rate_vector(
    spec: VectorSpec, fitted: VectorSpec | None, capabilities: Capabilities
) -> FieldRating:
    field, there = f"vectors.{spec.name}", _spell(spec)
    if fitted is None:
        can = ", ".join(sorted(capabilities.dtypes) + sorted(capabilities.metrics))
        return FieldRating(
            field, "dropped", there, "-", f"the target cannot hold {there} (it has {can})"
        )
    if fitted.dtype != spec.dtype:
        bits = f"{BITS[spec.dtype]} bits become {BITS[fitted.dtype]}"
        return FieldRating(field, "widened", there, _spell(fitted), f"{bits}, every value is kept")
    return FieldRating(field, "exact", there, _spell(fitted))


def _spell(spec: VectorSpec) -> str:
    shape = "" if spec.kind == "sparse" else f"[{spec.dim}]"
    return (
        f"{spec.name or '(unnamed)'}: {spec.kind} {spec.dtype}{shape} {spec.metric or 'no metric'}"
    )


def _rate_ids(source: Collection, capabilities: Capabilities) -> FieldRating:
    there = " or ".join(sorted(source.id_types))
    if source.id_types <= capabilities.id_types and capabilities.int_min < 0:
        return FieldRating("id", "exact", there, there)
    if source.id_types <= capabilities.id_types:
        return FieldRating(
            "id",
            "exact",
            there,
            there,
            f"integers outside {capabilities.int_min}…{capabilities.int_max} are carried in _vf_id",
        )
    kept = " or ".join(
        sorted(capabilities.id_types & source.id_types | {"uuid"} & capabilities.id_types)
    )
    return FieldRating(
        "id",
        "carried",
        there,
        kept,
        "others become a UUIDv5 of the key (docs/target-ids.md), the original is in _vf_id",
    )


def _rate_namespaces(source: Side, capabilities: Capabilities) -> list[FieldRating]:
    names = [name for name in source.collection.namespaces if name]
    if not names:
        return []
    there = f"{len(names)} besides the default one"
    if capabilities.namespaces:
        return [FieldRating("namespaces", "exact", there, there)]
    return [
        FieldRating(
            "namespaces", "carried", there, "_vf_ns", "the target has no container for them"
        )
    ]


def _without_metric(source: Collection, settings: CollectionSettings) -> list[str]:
    return [
        f"vectors.{spec.name} has no index, so its metric is unknown and never guessed: "
        f"create the index, or set collections.metrics.{spec.name or chr(34) * 2}"
        for spec in source.vectors
        if spec.metric is None and spec.kind != "sparse" and spec.name not in settings.metrics
    ]


def _differences(made: Sequence[VectorSpec], existing: Collection) -> list[str]:
    """Tell how a collection that is already there does not fit."""
    found = []
    for spec in made:
        there = existing.vector(spec.name)
        if there is None:
            has = ", ".join(repr(other.name) for other in existing.vectors)
            found.append(
                f"{existing.name!r} has no vector {spec.name!r} (it has {has}): map it in collections.vectors"
            )
            continue
        for what in ("kind", "dim", "metric", "dtype"):
            ours, theirs = getattr(spec, what), getattr(there, what)
            if ours != theirs and not (what == "metric" and None in (ours, theirs)):
                found.append(
                    f"{what} of vector {spec.name!r} is {theirs} in the target's {existing.name!r} and {ours} in the source"
                )
    return found


def _warnings(made: Sequence[VectorSpec], source: Capabilities, target: Capabilities) -> list[str]:
    warned = [
        f"vectors.{spec.name}: the target stores vectors at unit length under cosine: their norm is "
        f"lost, and their direction is compared with a tolerance"
        for spec in made
        if spec.metric == "cosine"
        and target.normalises
        and not source.normalises
        and spec.kind == "dense"
    ]
    if source.embedded or target.embedded:
        warned.append(
            "an embedded database is for trying Vecferry, not for a migration that matters"
        )
    return warned
