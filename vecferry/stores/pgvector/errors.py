"""What PostgreSQL's errors mean, in one place.

By SQLSTATE alone: its class (the first two characters), and single codes where a
class holds several things. An ERROR rolls its transaction back, so it says that
nothing was changed; a connection that broke says nothing of a write.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import asyncpg

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)

Meaning = Literal["refused", "lost", "record", "halt", "exists", "rights"]
"""refused: nothing was changed, try later; lost: a write may have landed; record: this
input can never apply; halt: going on could lose data; exists: what should be made is
there; rights: the credentials do not reach."""

CLASSES: Mapping[str, Meaning] = {
    **dict.fromkeys(("00", "01", "02", "03", "0A", "0B", "0F", "0L", "0P", "0Z"), "halt"),
    **dict.fromkeys(("10", "20", "21", "24", "25", "26", "27"), "halt"),
    "08": "lost",
    **dict.fromkeys(("09", "22", "23"), "record"),
    "28": "rights",
    **dict.fromkeys(("2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F"), "halt"),
    "40": "refused",  # deadlock, serialization: rolled back
    "42": "halt",
    "44": "record",  # a view's CHECK OPTION
    **dict.fromkeys(("53", "55", "57", "72"), "refused"),
    "54": "record",  # a program's limit: too deep, too large for an index
    "58": "refused",  # the file system: rolled back, and may be well again
    "F0": "halt",
    "HV": "refused",
    "P0": "record",  # a trigger that refuses the row
    "XX": "refused",
}
"""Each class of Appendix A of PostgreSQL's documentation."""

CODES: Mapping[str, Meaning] = {
    "0A000": "refused",  # a plan of a table that has changed meanwhile
    "25006": "refused",  # read-only: the primary has moved
    "25P03": "lost",
    "40003": "lost",
    "42501": "rights",
    "42P06": "exists",
    "42P07": "exists",
    # the server ends the connection: what it was doing may have been committed
    **dict.fromkeys(("57P01", "57P02", "57P05"), "lost"),
    "57P04": "halt",
    **dict.fromkeys(("XX001", "XX002"), "halt"),  # damaged data
}
"""Codes that mean something else than the rest of their class."""

_ADVICE: Mapping[Meaning, str] = {
    "rights": "check user, password and database, and that the user may do this",
    "halt": "look at the table, then start again",
}
_DETAILS_MAX = 300
_CANCELED = "57014"


class OutOfTimeError(TransientError):
    """A statement's time was over, and it was rolled back: half as much may be done in time."""


def meaning_of(sqlstate: str | None) -> Meaning:
    """Return what a SQLSTATE says about the request; an unknown one says the least."""
    code = sqlstate or ""
    return CODES.get(code) or CLASSES.get(code[:2], "lost")


@contextmanager
def translate_errors(doing: str, *, writes: bool = False, first: bool = False) -> Iterator[None]:
    """Raise Vecferry's errors ``from`` what asyncpg raises.

    Args:
        doing: What was tried, and on what: "writing 12 points to 'docs'".
        writes: The request changes something, so that no answer is no "no".
        first: It is the first request, or makes a table: what a person configured is
            to blame, not a record and not the data.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        meaning = meaning_of(error.sqlstate)
        details = f"SQLSTATE {error.sqlstate} ({type(error).__name__})"
        if error.sqlstate == _CANCELED:
            raise OutOfTimeError(f"{doing}: Postgres answered {details}") from error
        if meaning != "record" or first:  # what refuses a value often quotes it
            details = f"{details}: {str(error.args[0])[:_DETAILS_MAX]}"
        raise _translate(meaning, f"{doing}: Postgres answered {details}", writes, first) from error
    except asyncpg.DataError as error:
        raise RecordError(f"{doing}: a value does not fit its type") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # a broken connection, in many classes; TimeoutError is an OSError
        details = f"{type(error).__name__}: {str(error)[:_DETAILS_MAX]}"
        raise _translate("lost", f"{doing}: {details}", writes, first) from error


def _translate(meaning: Meaning, message: str, writes: bool, first: bool) -> VecferryError:
    if advice := _ADVICE.get(meaning):
        message = f"{message}; {advice}"
    if first and meaning in ("record", "halt", "exists", "rights"):
        return ConfigError(message)
    if meaning == "refused" or (meaning == "lost" and not writes):
        return TransientError(message)
    return _ERRORS[meaning](message)


_ERRORS: Mapping[Meaning, type[VecferryError]] = {
    "lost": UnknownOutcome,
    "record": RecordError,
    "halt": HaltError,
    "exists": ConfigError,
    "rights": HaltError,
}
