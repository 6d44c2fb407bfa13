"""Every answer of gRPC and of HTTP has a meaning."""

import inspect

import grpc
import httpx
import pytest

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)
from vecferry.stores.weaviate.errors import CODES, NotConnectedError, translate_errors

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
STATUSES = {
    400: RecordError,
    401: HaltError,
    403: HaltError,
    404: HaltError,
    408: UnknownOutcome,
    409: ConfigError,
    413: RecordError,
    418: HaltError,
    422: RecordError,
    425: TransientError,
    429: TransientError,
    500: UnknownOutcome,
    502: UnknownOutcome,
    503: UnknownOutcome,
    504: UnknownOutcome,
}
NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
OUR_FAULT = {"UnsupportedProtocol", "LocalProtocolError"}


class Refusal(grpc.RpcError):
    def __init__(self, code, metadata=()):
        self._code, self._metadata = code, metadata

    def code(self):
        return self._code

    def trailing_metadata(self):
        return self._metadata


def translated(error: Exception, **when: bool) -> VecferryError:
    with pytest.raises(VecferryError) as raised, translate_errors("writing", **when):
        raise error
    assert raised.value.__cause__ is error
    assert str(raised.value).startswith("writing")
    return raised.value


def answer(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/")
    response = httpx.Response(status, request=request, headers=headers)
    return httpx.HTTPStatusError("text", request=request, response=response)


def transport_errors() -> list[type[httpx.HTTPError]]:
    found = [one for _, one in inspect.getmembers(httpx, inspect.isclass)]
    return [one for one in found if issubclass(one, httpx.RequestError)]


def test_every_status_code_has_a_meaning():
    assert set(CODES) == set(FAILURES), "a code that gRPC has and the adapter does not map"


@pytest.mark.parametrize("code", FAILURES)
def test_a_code_is_what_the_table_says(code):
    expected = WRITING[code.name]
    assert type(translated(Refusal(code), writes=True)) is expected
    reading = TransientError if expected is UnknownOutcome else expected
    assert type(translated(Refusal(code))) is reading
    waits = issubclass(expected, TransientError)
    assert type(translated(Refusal(code), connecting=True)) is (
        TransientError if waits else ConfigError
    )


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_what_the_table_says(status):
    expected = STATUSES[status]
    assert type(translated(answer(status), writes=True)) is expected
    reading = TransientError if expected is UnknownOutcome else expected
    assert type(translated(answer(status))) is reading


@pytest.mark.parametrize("kind", transport_errors(), ids=lambda kind: kind.__name__)
def test_a_transport_s_failure_says_whether_something_was_sent(kind):
    names = {one.__name__ for one in kind.__mro__}
    found = translated(kind("text"), writes=True)
    if names & NOT_SENT:
        assert type(found) is NotConnectedError
    else:
        assert type(found) is (HaltError if names & OUR_FAULT else UnknownOutcome)


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("-1", 0.0), ("soon", None)])
def test_retry_after_is_read_from_either_door(value, expected):
    refusal = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, [("Retry-After", value)])
    for error in (refusal, answer(429, **{"retry-after": value})):
        found = translated(error)
        assert isinstance(found, TransientError)
        assert found.retry_after_s == expected
