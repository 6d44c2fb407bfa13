"""A source whose schema changes in mid-flight: what is new may come along, what is different may not."""

from collections.abc import Mapping, Sequence
from typing import Any

from vecferry.mapping.decided import first_difference, schema_words
from vecferry.model import Collection


def changes(kept: Mapping[str, Any], now: Collection) -> str | None:
    """Return how a schema differs from the one that was planned, None where it does not matter.

    New payload fields and namespaces are no change: no schema names them, or they
    are containers that the target makes when it needs them. A metric that has
    become known (an index was made) is none either.

    Args:
        kept: As :func:`~vecferry.mapping.decided.schema_words` wrote it.
        now: What the source says now.
    """
    words = schema_words(now)
    for name, vector in words["vectors"].items():
        before = kept.get("vectors", {}).get(name, {})
        if before and before.get("metric") is None:
            vector["metric"] = None
    return first_difference(kept, words)


def ways_on(name: str, difference: str) -> str:
    """Return what to tell when a collection's schema has changed.

    Args:
        name: Of the collection in the source.
        difference: Of :func:`changes`.
    """
    return (
        f"the schema of {name!r} in the source has changed since the plan: {difference}. Nothing was lost: "
        f"what was captured is in the log, and no more is read. Undo the change and start the worker "
        f"again; or look at `vecferry plan`, give the migration another name, and run `vecferry init` "
        f"and `vecferry up`"
    )


def planned_schemas(plan: object) -> dict[str, Mapping[str, Any]]:
    """Return the source's schemas of a decided plan, by collection; none where it holds none."""
    if not isinstance(plan, Mapping):
        return {}
    collections: Mapping[str, Mapping[str, Any]] = plan.get("collections", {})
    return {name: each["source_schema"] for name, each in collections.items()}


def first_change(
    planned: Mapping[str, Mapping[str, Any]], found: Sequence[Collection]
) -> str | None:
    """Return what to tell of the first collection that has changed, None where none has."""
    for collection in found:
        kept = planned.get(collection.name)
        difference = changes(kept, collection) if kept is not None else None
        if difference:
            return ways_on(collection.name, difference)
    return None
