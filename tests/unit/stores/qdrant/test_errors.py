import grpc
import httpx
import pytest
from qdrant_client.common import client_exceptions
from qdrant_client.http import exceptions

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)
from vecferry.stores.qdrant.errors import CODES, translate_errors

FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]

WRITING = {
    "CANCELLED": UnknownOutcome,
    "UNKNOWN": UnknownOutcome,
    "INVALID_ARGUMENT": RecordError,
    "DEADLINE_EXCEEDED": UnknownOutcome,
    "NOT_FOUND": HaltError,
    "ALREADY_EXISTS": ConfigError,
    "PERMISSION_DENIED": HaltError,
    "RESOURCE_EXHAUSTED": TransientError,
    "FAILED_PRECONDITION": TransientError,
    "ABORTED": UnknownOutcome,
    "OUT_OF_RANGE": RecordError,
    "UNIMPLEMENTED": HaltError,
    "INTERNAL": UnknownOutcome,
    "UNAVAILABLE": UnknownOutcome,
    "DATA_LOSS": HaltError,
    "UNAUTHENTICATED": HaltError,
}


class Refusal(grpc.RpcError):
    def __init__(self, code, metadata=()):
        self._code, self._metadata = code, metadata

    def code(self):
        return self._code

    def details(self):
        return "details"

    def trailing_metadata(self):
        return self._metadata


def translated(error: Exception, **when: bool) -> VecferryError:
    with pytest.raises(VecferryError) as raised, translate_errors("writing", **when):
        raise error
    assert raised.value.__cause__ is error
    assert str(raised.value).startswith("writing")
    return raised.value


def test_every_status_code_has_a_meaning():
    assert set(CODES) == set(FAILURES), "a code that gRPC has and the adapter does not map"


@pytest.mark.parametrize("code", FAILURES)
def test_a_write_s_failure_is_what_the_table_says(code):
    assert type(translated(Refusal(code), writes=True)) is WRITING[code.name]


@pytest.mark.parametrize("code", FAILURES)
def test_a_read_has_no_unknown_outcome(code):
    expected = TransientError if WRITING[code.name] is UnknownOutcome else WRITING[code.name]
    assert type(translated(Refusal(code))) is expected


@pytest.mark.parametrize("code", FAILURES)
def test_at_connect_what_was_configured_is_to_blame(code):
    waits = issubclass(WRITING[code.name], TransientError)
    assert type(translated(Refusal(code), connecting=True)) is (
        TransientError if waits else ConfigError
    )


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None)]
)
def test_retry_after_is_read_from_the_trailer(value, expected):
    error = translated(Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, [("Retry-After", value)]))
    assert isinstance(error, TransientError)
    assert error.retry_after_s == expected


def test_long_details_are_cut():
    class Long(Refusal):
        def details(self):
            return "x" * 100_000

    assert len(str(translated(Long(grpc.StatusCode.INTERNAL)))) < 500


def unexpected(status: int) -> Exception:
    return exceptions.UnexpectedResponse(status, "Reason", b"body with a vector", httpx.Headers())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, RecordError),
        (401, HaltError),
        (403, HaltError),
        (404, HaltError),
        (408, UnknownOutcome),
        (409, ConfigError),
        (413, RecordError),
        (418, HaltError),
        (422, RecordError),
        (429, TransientError),
        (500, UnknownOutcome),
        (503, UnknownOutcome),
    ],
)
def test_a_rest_status_is_what_the_table_says(status, expected):
    error = translated(unexpected(status), writes=True)
    assert type(error) is expected
    assert "body" not in str(error)


EXAMPLES = {
    exceptions.ApiException: (exceptions.ApiException(), HaltError),
    exceptions.UnexpectedResponse: (unexpected(500), UnknownOutcome),
    exceptions.ResponseHandlingException: (
        exceptions.ResponseHandlingException(httpx.ReadTimeout("slow")),
        UnknownOutcome,
    ),
    client_exceptions.QdrantException: (client_exceptions.QdrantException("x"), HaltError),
    client_exceptions.ResourceExhaustedResponse: (
        client_exceptions.ResourceExhaustedResponse("slow down", 3),
        TransientError,
    ),
}


def vendor_exceptions() -> list[type[Exception]]:
    found = [
        value
        for module in (exceptions, client_exceptions)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == module.__name__
    ]
    assert len(found) >= 5
    return found


@pytest.mark.parametrize("vendors", vendor_exceptions())
def test_every_exception_of_the_vendor_s_client_is_translated(vendors):
    error, expected = EXAMPLES[vendors]
    assert type(translated(error, writes=True)) is expected


def test_a_refused_connection_of_the_rest_client_was_not_sent():
    error = exceptions.ResponseHandlingException(httpx.ConnectError("refused"))
    assert type(translated(error, writes=True)) is TransientError


def test_what_is_not_the_vendor_s_passes():
    with pytest.raises(KeyError), translate_errors("writing"):
        raise KeyError
