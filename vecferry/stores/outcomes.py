"""From what an answer means to the error that says what to do about it: one rule for the stores.

Each store's ``errors`` module says what its database's answers mean; this says
what follows. A request that changes something and got no clear answer has an
unknown outcome; the same answer to a request that reads is merely transient.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)

Meaning = Literal["refused", "unknown", "record", "halt", "exists", "rights", "old"]
"""refused: nothing was changed, try later; unknown: it may land; record: this input
can never apply; halt: going on could lose data; exists: what should be made is there;
rights: the credentials do not reach; old: the server has no such request."""

_ERRORS: Mapping[Meaning, Callable[[str], VecferryError]] = {
    "unknown": UnknownOutcome,
    "record": RecordError,
    "halt": HaltError,
    "rights": HaltError,
    "old": HaltError,
    "exists": ConfigError,
}


def error_of(
    meaning: Meaning, message: str, when: tuple[bool, bool], retry_after_s: float | None = None
) -> VecferryError:
    """Return the error of an answer.

    Args:
        meaning: Of the answer.
        message: For people.
        when: Whether the request changes something, so that no answer is no "no",
            and whether what a person configured is to blame for what fails.
        retry_after_s: Seconds that the server asks for.
    """
    writes, connecting = when
    if connecting and meaning not in ("refused", "unknown"):
        return ConfigError(message)
    if meaning == "refused" or (meaning == "unknown" and not writes):
        return TransientError(message, retry_after_s=retry_after_s)
    return _ERRORS[meaning](message)


def retry_after_s(headers: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for; None without one, or for a date."""
    for name, value in headers or ():
        if name.lower() == "retry-after":
            try:
                return max(0.0, float(value))
            except ValueError:
                return None  # a date; the worker's own backoff will do
    return None
