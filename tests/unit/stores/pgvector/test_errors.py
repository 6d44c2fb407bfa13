import inspect

import asyncpg
import pytest

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)
from vecferry.stores.pgvector.errors import CLASSES, CODES, OutOfTimeError, translate_errors

STATES = sorted(
    {
        error.sqlstate: error
        for error in vars(asyncpg).values()
        if inspect.isclass(error)
        and issubclass(error, asyncpg.PostgresError)
        and isinstance(error.sqlstate, str)
        and len(error.sqlstate) == 5
    }.items()
)
"""Every error of Postgres that the driver knows, by its code."""

WRITING = {
    **dict.fromkeys(("08", "57P"), UnknownOutcome),
    **dict.fromkeys(("09", "22", "23", "44", "54", "P0"), RecordError),
    **dict.fromkeys(("40", "53", "55", "58", "72", "HV", "57", "XX"), TransientError),
    **dict.fromkeys(
        ("02", "03", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "24", "25", "26", "27"),
        HaltError,
    ),
    **dict.fromkeys(("28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F"), HaltError),
    **dict.fromkeys(("42", "F0", "10"), HaltError),
    **dict.fromkeys(("42P06", "42P07"), ConfigError),
    **dict.fromkeys(("40003", "25P03"), UnknownOutcome),
    **dict.fromkeys(("0A000", "25006", "57P03"), TransientError),
    **dict.fromkeys(("57P04", "XX001", "XX002"), HaltError),
}
"""By code, then by the first three letters, then by class."""


def translated(error: Exception, **when: bool) -> VecferryError:
    with pytest.raises(VecferryError) as raised, translate_errors("writing", **when):
        raise error
    assert raised.value.__cause__ is error
    assert str(raised.value).startswith("writing: ")
    return raised.value


@pytest.mark.parametrize(("state", "kind"), STATES)
def test_every_error_of_postgres_has_its_meaning_for_a_write(state: str, kind: type) -> None:
    assert state[:2] in CLASSES or state[:2] in ("00", "01")
    expected = WRITING.get(state) or WRITING.get(state[:3]) or WRITING[state[:2]]
    found = translated(kind("a message"), writes=True)
    assert type(found) is (OutOfTimeError if state == "57014" else expected), state


@pytest.mark.parametrize(("state", "kind"), STATES)
def test_no_read_is_of_unknown_outcome_and_no_first_request_halts(state: str, kind: type) -> None:
    assert not isinstance(translated(kind("a message")), UnknownOutcome)
    assert isinstance(translated(kind("a message"), first=True), ConfigError | TransientError)


def test_every_class_in_the_table_is_one_that_the_driver_knows_or_the_manual() -> None:
    assert {state[:2] for state, _ in STATES} <= CLASSES.keys()
    assert {code[:2] for code in CODES} <= CLASSES.keys()


def test_an_unknown_code_says_the_least() -> None:
    error = asyncpg.PostgresError("new")
    error.sqlstate = "ZZ123"
    assert type(translated(error, writes=True)) is UnknownOutcome
    assert type(translated(error)) is TransientError


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("out of step"),
        asyncpg.exceptions.ProtocolError("garbage"),
        ConnectionResetError("reset"),
        TimeoutError(),
        OSError("no route"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_broke_says_nothing_of_a_write(error: Exception) -> None:
    assert type(translated(error, writes=True)) is UnknownOutcome
    assert type(translated(error)) is TransientError


def test_a_value_is_never_in_a_message() -> None:
    error = asyncpg.InvalidTextRepresentationError('invalid input syntax: "the secret"')
    assert "secret" not in str(translated(error, writes=True))
    assert "secret" not in str(translated(asyncpg.DataError("the secret"), writes=True))
    assert type(translated(asyncpg.DataError("the secret"), writes=True)) is RecordError
