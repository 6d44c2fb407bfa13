"""What a write names: ids, filters, or everything."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from vecferry.producers.feeds.proxy.refusals import RefusalError, Why
from vecferry.stores.qdrant.points import NativeId

VERBS = {"upsert": "upsert", "delete": "delete"}
"""A hint's verb by the operation's name; of others it is unknown: they make no point and remove none."""

_INTEGER_MAX = 2**64 - 1


class Change(NamedTuple):
    """The points that one write may touch.

    Attributes:
        verb: ``upsert``, ``delete`` or ``unknown``.
        ids: Named ones.
        filters: Each in its protocol's own spelling: JSON, or a message's bytes.
    """

    verb: str
    ids: tuple[NativeId, ...] = ()
    filters: tuple[bytes, ...] = ()


def join(changes: Sequence[Change]) -> Change:
    """Return what a batch of writes may touch."""
    verbs = {change.verb for change in changes}
    return Change(
        verbs.pop() if len(verbs) == 1 else "unknown",
        tuple(one for change in changes for one in change.ids),
        tuple(one for change in changes for one in change.filters),
    )


def native_ids(given: Iterable[int | str]) -> tuple[NativeId, ...]:
    """Return ids as Qdrant types them: numbers, and UUIDs in whatever spelling.

    Raises:
        RefusalError: One is neither; Qdrant would refuse it, too.
    """
    return tuple(_native(one) for one in given)


def _native(given: int | str) -> NativeId:
    if isinstance(given, int):
        if 0 <= given <= _INTEGER_MAX:
            return given
        raise RefusalError(Why.INVALID, f"the id {given} is not an unsigned integer of 64 bits")
    try:
        return UUID(given)
    except ValueError as error:
        raise RefusalError(Why.INVALID, "an id is a text that is no UUID") from error


def selected(verb: str, ids: Iterable[int | str] | None, filter_: bytes | None) -> Change:
    """Return what a selector names; ids win where there are both, as in Qdrant.

    Raises:
        RefusalError: It names nothing.
    """
    if ids is not None:
        return Change(verb, native_ids(ids))
    if filter_ is None:
        raise RefusalError(Why.INVALID, "the write names neither points nor a filter")
    return Change(verb, (), (filter_,))
