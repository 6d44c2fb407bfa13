"""Strict reading of a JSON object: every field is taken, or the request is refused."""

from collections.abc import Mapping
from typing import Any

from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError


class Fields:
    """The fields of one JSON object; :meth:`close` refuses what nobody took.

    A field that is null counts as absent, as in Qdrant.
    """

    def __init__(self, body: object, what: str) -> None:
        if not isinstance(body, Mapping):
            raise BadInputError(f"{what} must be an object, not {type(body).__name__}")
        self._left = dict(body)
        self._what = what

    def take(self, name: str, default: Any = None) -> Any:
        """Return the field, or ``default`` where it is absent or null."""
        value = self._left.pop(name, None)
        return default if value is None else value

    def need(self, name: str) -> Any:
        """Return the field.

        Raises:
            BadInputError: It is absent.
        """
        value = self.take(name)
        if value is None:
            raise BadInputError(f"missing field `{name}` in {self._what}")
        return value

    def skip(self, *names: str) -> None:
        """Drop fields that mean nothing to a server with one node."""
        for name in names:
            self._left.pop(name, None)

    def refuse(self, *names: str) -> None:
        """Refuse fields of Qdrant that this server does not implement."""
        for name in names:
            if self.take(name) is not None:
                raise NotImplementedHereError(f"`{name}` in {self._what} is not implemented")

    def only(self, *names: str) -> dict[str, Any]:
        """Return those of ``names`` that are set, and refuse any other field."""
        values = {name: self.take(name) for name in names}
        self.close()
        return {name: value for name, value in values.items() if value is not None}

    def close(self) -> None:
        """Refuse the fields that are left.

        Raises:
            BadInputError: There is one.
        """
        if self._left:
            names = ", ".join(f"`{name}`" for name in sorted(self._left))
            raise BadInputError(f"unknown field {names} in {self._what}")


def listed(value: object, what: str) -> list[Any]:
    """Return ``value`` as a list.

    Raises:
        BadInputError: It is something else.
    """
    if not isinstance(value, list | tuple):
        raise BadInputError(f"{what} must be a list, not {type(value).__name__}")
    return list(value)
