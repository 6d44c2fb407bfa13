"""What the proxy answers itself, in the words of both protocols."""

from enum import Enum
from typing import Any, NamedTuple

from vecferry.errors import VecferryError

AGAIN_S = 2
"""What a client that is refused for now is told to wait."""


class Kind(NamedTuple):
    """An HTTP status, and the name of the gRPC code that says the same."""

    status: int
    code: str


class Why(Enum):
    """Why a request is answered here."""

    INVALID = Kind(400, "INVALID_ARGUMENT")
    NOT_FOUND = Kind(404, "NOT_FOUND")
    SLOW = Kind(408, "DEADLINE_EXCEEDED")
    TOO_LARGE = Kind(413, "RESOURCE_EXHAUSTED")
    ENCODED = Kind(415, "INVALID_ARGUMENT")
    NOT_HERE = Kind(501, "UNIMPLEMENTED")
    BROKEN = Kind(502, "UNAVAILABLE")
    AWAY = Kind(503, "UNAVAILABLE")
    LATE = Kind(504, "DEADLINE_EXCEEDED")


class RefusalError(VecferryError):
    """An answer of the proxy's own.

    Attributes:
        why: The kind.
        unsent: Whether it is certain that nothing reached the database.
    """

    def __init__(self, why: Why, message: str, *, unsent: bool = True) -> None:
        super().__init__(message)
        self.why, self.unsent = why, unsent

    @property
    def retry_after_s(self) -> int | None:
        """When to try again, in seconds; None where the same request fails again."""
        return AGAIN_S if self.why is Why.AWAY else None


class RelayedError(VecferryError):
    """The database refused a look-up that a write needs: its own answer is the client's.

    Attributes:
        reply: As the protocol's own side of the proxy keeps one.
    """

    def __init__(self, reply: Any) -> None:
        super().__init__("the database refused what the write needs to be looked up")
        self.reply = reply
