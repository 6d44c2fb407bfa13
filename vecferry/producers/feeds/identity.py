"""The id that an application gives, as the source types it: a key of another type would never be found."""

from collections.abc import Collection
from uuid import UUID

from vecferry.errors import RecordError
from vecferry.model import Id

ANY = ("int", "str", "uuid")


def source_id(given: Id, types: Collection[str]) -> Id:
    """Return an id as a collection's points have it.

    Args:
        given: The application's. A text that can only be the spelling of a UUID
            is taken for one: Qdrant's own clients write it so.
        types: Those of the collection's ids: ``int``, ``str``, ``uuid``.

    Raises:
        RecordError: No point of the collection can have this id. A hint of it
            would say that another point changed, and this one would be lost.
    """
    kind = "uuid" if isinstance(given, UUID) else "str" if isinstance(given, str) else "int"
    if kind in types:
        return given
    if isinstance(given, str) and "uuid" in types:
        try:
            return UUID(given)
        except ValueError:
            pass
    raise RecordError(
        f"nothing is sent: no point can have the id {given!r}, because ids are of type "
        f"{' or '.join(sorted(types))} here"
    )
