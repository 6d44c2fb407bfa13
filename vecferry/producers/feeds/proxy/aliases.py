"""Which collection a write goes to, whatever it calls it.

An alias can be switched at any moment, so it is looked up for each write and
the write is sent to the collection that was found: what is announced and what
is written are the same, also when the alias is switched in between.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from vecferry.producers.feeds.proxy.refusals import RefusalError, Why


class LookUp(Protocol):
    """What the database says, asked with the client's own credentials."""

    async def aliases(self) -> Mapping[str, str]:
        """Return the collections by their aliases."""
        ...

    async def collections(self) -> frozenset[str]:
        """Return the names of the collections."""
        ...


class Destination(NamedTuple):
    """Where a write goes.

    Attributes:
        collection: The real name.
        moves: Whether it is one that moves.
        is_alias: Whether the client used another name.
    """

    collection: str
    moves: bool
    is_alias: bool = False


async def find_destination(name: str, moved: frozenset[str], look: LookUp) -> Destination:
    """Return where a write to ``name`` goes.

    A name that moves is taken as it is: Qdrant lets no alias have a collection's name.

    Raises:
        RefusalError: These credentials see neither a collection nor an alias of that
            name. It could be an alias that they do not see, so nothing goes out.
        RelayedError: The database refuses to tell.
    """
    if name in moved:
        return Destination(name, True)
    target = (await look.aliases()).get(name)
    if target is not None:
        return Destination(target, target in moved, True)
    if name in await look.collections():
        return Destination(name, False)
    raise RefusalError(Why.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")


async def find_scope(name: str, moved: frozenset[str], look: LookUp) -> Destination:
    """Return what a request that concerns a whole collection may change.

    Never an alias that must be replaced: to drop an alias's name drops nothing.

    Raises:
        RelayedError: The database refuses to tell.
    """
    if name in moved:
        return Destination(name, True)
    target = (await look.aliases()).get(name, name)
    return Destination(target, target in moved)
