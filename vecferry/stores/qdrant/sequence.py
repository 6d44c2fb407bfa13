"""Qdrant's order of ids: integers by value, then UUIDs by value.

Scroll returns points in this order from an offset on, which is inclusive. A
place in it is spelled as a typed id.
"""

from collections.abc import Sequence
from uuid import UUID

from vecferry.errors import ConfigError
from vecferry.model import parse_typed_id, typed_id
from vecferry.ports import Bounds
from vecferry.stores.qdrant.points import NativeId

_LAST_INTEGER = 2**64 - 1
_LAST_UUID = 2**128 - 1


def place(identifier: NativeId) -> tuple[bool, int]:
    """Return what sorts ids as Qdrant does."""
    if isinstance(identifier, UUID):
        return True, identifier.int
    return False, identifier


def following(identifier: NativeId) -> NativeId | None:
    """Return the very next id that there can be, or None after the last one."""
    if isinstance(identifier, UUID):
        return None if identifier.int == _LAST_UUID else UUID(int=identifier.int + 1)
    return UUID(int=0) if identifier == _LAST_INTEGER else identifier + 1


def read_edge(text: str | None) -> NativeId | None:
    """Return the id that bounds are spelled with.

    Raises:
        ConfigError: The bounds are not Qdrant's.
    """
    if text is None:
        return None
    try:
        identifier = parse_typed_id(text)
    except ValueError:
        identifier = ""
    if isinstance(identifier, str):
        raise ConfigError(f"{text!r} is not a bound of a Qdrant collection")
    return identifier


def cut(sample: Sequence[NativeId], parts: int) -> list[Bounds]:
    """Return at most ``parts`` bounds of about equal shares of the sample.

    The first has no beginning and the last no end, and each begins where the one
    before it ends: every id that there is or will be is in exactly one.
    """
    ordered = sorted(sample, key=place)
    edges: list[str | None] = [None]
    for part in range(1, parts):
        at = part * len(ordered) // parts
        edge = typed_id(ordered[at]) if 0 < at < len(ordered) else None
        if edge is not None and edge != edges[-1]:
            edges.append(edge)
    return [Bounds("", low, high) for low, high in zip(edges, [*edges[1:], None], strict=True)]
