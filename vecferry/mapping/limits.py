"""What a source's schema demands of payload fields and ids, and what of it the target will demand."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vecferry.model import Collection

_WORDS = ("type", "element", "max_length", "max_capacity", "nullable")
_ORDINARY = "an ordinary field of the payload, without this"
_KEPT = "the same, where this version of the target has it"


class Limit(NamedTuple):
    """A demand of the source's schema that no vector has; the words are the vendors' own.

    Attributes:
        field: A typed payload field's name, or ``id``.
        source: What it is there.
        target: What it will be.
    """

    field: str
    source: str
    target: str


def plan_limits(
    source: Collection, planned: Collection, existing: Collection | None, *, same_vendor: bool
) -> list[Limit]:
    """Return a row for each typed payload field of the source, and for ids that it makes itself.

    Args:
        source: As the source describes it.
        planned: What would be made in the target, after the transforms.
        existing: What is there already.
        same_vendor: The source's own words are those of the target.
    """
    if existing is not None:
        there = _typed(existing)
    else:
        there = dict.fromkeys(_typed(planned), _KEPT) if same_vendor else {}
    rows = [
        Limit(name, words, there.get(name, _ORDINARY)) for name, words in _typed(source).items()
    ]
    if _makes_ids(source):
        rows.append(
            Limit("id", "made by the database (auto_id)", "kept; whoever writes there gives it")
        )
    return rows


def _own_words(collection: Collection) -> Iterator[Mapping[str, Any]]:
    for own in collection.options.values():
        if isinstance(own, Mapping):
            yield own


def _typed(collection: Collection) -> dict[str, str]:
    return {
        field["name"]: ", ".join(
            str(value) if word == "type" else f"{word} {value}"
            for word in _WORDS
            if (value := field.get(word))
        )
        for own in _own_words(collection)
        for field in (*own.get("fields", ()), *own.get("columns", ()))
    }


def _makes_ids(collection: Collection) -> bool:
    return any(own.get("auto_id") for own in _own_words(collection))
