"""What becomes of a collection in another database, field by field, before it moves.

Pure: two schemas and two sets of capabilities in, a plan out. Each field is
rated *exact*, *widened* (another type that holds every value), *carried* (kept
in a reserved ``_vf_`` field and restored on the way back), *lossy* or
*dropped*; the last two are refused until the file acknowledges them by name.
What the schema cannot tell, a sample of points does (:mod:`vecferry.mapping.sample`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from vecferry.errors import ConfigError
from vecferry.mapping.index import plan_index
from vecferry.mapping.names import Mapping
from vecferry.mapping.rating import (
    REFUSED,
    FieldRating,
    Held,
    check_names,
    rate_ids,
    rate_namespaces,
    rate_vector,
)
from vecferry.mapping.transforms import transform_schema
from vecferry.model import Collection, VectorSpec
from vecferry.ports import Capabilities, Ref
from vecferry.settings import CollectionSettings

__all__ = ["FieldRating", "Plan", "Side", "plan_mapping"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one collection.

    Attributes:
        mapping: How each point is renamed.
        source: The source's schema.
        planned: The target's, as it would be created.
        collection: The target's: to be created, or as it exists.
        fields: Every field's rating.
        acknowledged: The fields whose loss is accepted.
        obstacles: What no acknowledgement helps against.
        warnings: What the user should know and need not acknowledge.
        sampled: How many points were tried.
    """

    mapping: Mapping
    source: Collection
    planned: Collection
    collection: Collection
    fields: tuple[FieldRating, ...]
    acknowledged: tuple[str, ...]
    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    sampled: int = 0

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it cannot go ahead; empty when it can."""
        unaccepted = [
            f"{rated.field} is {rated.rating}: {rated.reason}; acknowledge = [{rated.field!r}] accepts that"
            for rated in self.fields
            if rated.rating in REFUSED and rated.field not in self.acknowledged
        ]
        return (*unaccepted, *self.obstacles)


class Side(NamedTuple):
    """A store's schema of the collection and what the store can do."""

    collection: Collection
    capabilities: Capabilities


def plan_mapping(
    source: Side,
    capabilities: Capabilities,
    settings: CollectionSettings,
    existing: Collection | None = None,
    *,
    same_vendor: bool = False,
) -> Plan:
    """Plan how ``source`` is held by a target with these capabilities.

    Args:
        source: The source's side.
        capabilities: The target's.
        settings: The collection's part of the file, patterns resolved.
        existing: The target's collection, when it is already there.
        same_vendor: Both sides are of one type: the vendor's own words carry over.
    """
    untransformed = source.collection
    source = source._replace(collection=transform_schema(untransformed, settings.transforms))
    names = _vector_names(source, capabilities, settings, existing)
    held, warnings = [], _warnings(source, capabilities)
    for spec in source.collection.vectors:
        index = plan_index(
            spec, settings.index.words_for(spec.name), capabilities, same_vendor=same_vendor
        )
        metric = spec.metric or settings.metrics.get(spec.name)
        wanted = replace(spec, name=names[spec.name], metric=metric, index=index.words)
        there = existing.vector(wanted.name) if existing else None
        held.append(rate_vector(spec, wanted, capabilities, there))
        warnings += index.warnings
    if not capabilities.several_vectors:
        held = _only_one(held, settings)
    made = Collection(
        name=settings.target or settings.source,
        vectors=tuple(each.spec for each in held if each.spec is not None),
        id_types=source.collection.id_types,
        id_bytes_max=source.collection.id_bytes_max,
        namespaces=source.collection.namespaces,
        options=source.collection.options,
    )
    warnings += _unit_length(made.vectors, source.capabilities, capabilities)
    moved = tuple(
        (spec.name, names[spec.name])
        for spec, each in zip(source.collection.vectors, held, strict=True)
        if each.spec is not None
    )
    logical = source.collection.name
    return Plan(
        mapping=Mapping(Ref(logical, logical), Ref(made.name, logical), moved),
        source=untransformed,
        planned=made,
        collection=existing or made,
        fields=(
            *(each.rating for each in held),
            rate_ids(source.collection, capabilities),
            *rate_namespaces(source.collection, capabilities),
        ),
        acknowledged=settings.acknowledge,
        obstacles=tuple(_obstacles(source, made, held, (capabilities, settings, existing))),
        warnings=tuple(warnings),
    )


def _obstacles(
    source: Side,
    made: Collection,
    held: Sequence[Held],
    target: tuple[Capabilities, CollectionSettings, Collection | None],
) -> list[str]:
    capabilities, settings, existing = target
    found = [each.refusal for each in held if each.refusal]
    found += _without_metric(source.collection, settings)
    if not made.vectors and source.collection.vectors:
        found.append("the target holds none of the vectors: nothing would be left to search")
    if existing is None:
        return found + check_names(made, capabilities)
    return found + _differences(made.vectors, existing)


def _vector_names(
    source: Side,
    capabilities: Capabilities,
    settings: CollectionSettings,
    existing: Collection | None,
) -> dict[str, str]:
    """Name each vector in the target: the user's word, the only one there, or its own name."""
    known = [spec.name for spec in source.collection.vectors]
    for setting, given in (
        ("vectors", settings.vectors),
        ("metrics", settings.metrics),
        ("index.vectors", settings.index.vectors),
    ):
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"collections.{setting} names {name!r}, which {source.collection.name!r} does "
                    f"not have: it has {', '.join(map(repr, known))}"
                )
    names = {}
    # among several dense ones it needs a name in every database
    is_alone = sum(spec.kind != "sparse" for spec in source.collection.vectors) == 1
    for name in known:
        is_unnamed = is_alone and name == source.capabilities.unnamed_vector
        names[name] = settings.vectors.get(
            name, capabilities.unnamed_vector if is_unnamed else name
        )
    if existing is not None and len(known) == len(existing.vectors) == 1 and not settings.vectors:
        names[known[0]] = existing.vectors[0].name
    return names


def _only_one(held: Sequence[Held], settings: CollectionSettings) -> list[Held]:
    """Keep one dense vector where the target holds no more: the first that is not given up."""
    rivals = [each for each in held if each.spec is not None and each.spec.kind != "sparse"]
    wanted = [each for each in rivals if each.rating.field not in settings.acknowledge]
    kept = (wanted or rivals)[:1]
    reason = "the target holds one vector for each point, and another one is taken"
    return [
        each._replace(
            spec=None, rating=each.rating._replace(rating="dropped", target="-", reason=reason)
        )
        if each in rivals and each not in kept
        else each
        for each in held
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
        for what, unknown in (("kind", ""), ("dim", 0), ("metric", None)):
            ours, theirs = getattr(spec, what), getattr(there, what)
            if ours != theirs and unknown not in (ours, theirs):
                found.append(
                    f"{what} of vector {spec.name!r} is {theirs} in the target's {existing.name!r} "
                    f"and {ours} in the source: make it anew, or set collections.target"
                )
    return found


def _warnings(source: Side, target: Capabilities) -> list[str]:
    if source.capabilities.embedded or target.embedded:
        return ["an embedded database is for trying Vecferry, not for a migration that matters"]
    return []


def _unit_length(
    made: Sequence[VectorSpec], source: Capabilities, target: Capabilities
) -> list[str]:
    return [
        f"vectors.{spec.name}: the target stores vectors at unit length under cosine: their norm is "
        f"lost, and their direction is compared with a tolerance"
        for spec in made
        if spec.metric == "cosine"
        and target.normalises
        and not source.normalises
        and spec.kind != "sparse"
    ]
