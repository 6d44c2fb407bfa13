"""Every code that Milvus can answer with leads to one of our errors."""

import grpc
import pytest
from pymilvus import exceptions
from pymilvus.grpc_gen import common_pb2

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)
from vecferry.stores.milvus.errors import (
    CODES,
    LEGACY_CODES,
    RPC_CODES,
    StatusError,
    TooLargeError,
    translate_errors,
)


class Rpc(grpc.RpcError):
    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code

    def details(self):
        return "what it says is for people"


def translated(error, **when):
    with pytest.raises(VecferryError) as caught, translate_errors("writing", **when):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def status(code=0, legacy=0, retriable=False):
    return StatusError(
        common_pb2.Status(code=code, error_code=legacy, reason="text", retriable=retriable)
    )


def test_every_code_of_grpc_is_mapped():
    assert set(RPC_CODES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
@pytest.mark.parametrize("writes", [True, False])
def test_each_code_of_grpc_becomes_an_error_of_ours(code, writes):
    error = translated(Rpc(code), writes=writes)
    assert not isinstance(error, UnknownOutcome) or writes


def test_every_older_code_is_mapped():
    numbers = {value.number for value in common_pb2.ErrorCode.DESCRIPTOR.values}
    assert set(LEGACY_CODES) == numbers - {common_pb2.Success}
    for number in LEGACY_CODES:
        assert isinstance(translated(status(legacy=number), writes=True), VecferryError)


def test_every_code_that_the_client_names_is_mapped():
    assert {int(code) for code in exceptions.ErrorCode} - {0} <= set(CODES)


def test_every_code_of_milvus_lite_is_mapped():
    lite = pytest.importorskip("milvus_lite.adapter.grpc.errors")
    for legacy, code, _name in lite._EXCEPTION_TO_CODE.values():
        assert code in CODES or legacy in LEGACY_CODES, (legacy, code)


def vendors_exceptions():
    named = [getattr(exceptions, name) for name in dir(exceptions)]
    return [
        one
        for one in named
        if isinstance(one, type) and issubclass(one, exceptions.MilvusException)
    ]


@pytest.mark.parametrize("kind", vendors_exceptions())
def test_each_exception_of_the_client_becomes_an_error_of_ours(kind):
    assert isinstance(translated(kind(code=65535, message="text")), TransientError)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Rpc(grpc.StatusCode.DEADLINE_EXCEEDED), UnknownOutcome),
        (Rpc(grpc.StatusCode.UNAVAILABLE), UnknownOutcome),
        (Rpc(grpc.StatusCode.RESOURCE_EXHAUSTED), TooLargeError),
        (status(8), TransientError),
        (status(9), TransientError),
        (status(100), HaltError),
        (status(101), ConfigError),
        (status(1100), RecordError),
        (status(1400), HaltError),
        (status(legacy=common_pb2.RateLimit), TransientError),
        (status(legacy=common_pb2.CollectionNotExists), HaltError),
        (status(), UnknownOutcome),
    ],
)
def test_a_write_that_fails_says_what_to_do(error, expected):
    assert type(translated(error, writes=True)) is expected


def test_what_a_server_did_not_classify_never_condemns_a_record():
    assert (
        type(translated(status(65535, common_pb2.UnexpectedError), writes=True)) is UnknownOutcome
    )
    assert type(translated(status(65535, common_pb2.UnexpectedError))) is TransientError


def test_a_code_from_the_future_that_may_be_retried_is_not_fatal():
    assert type(translated(status(100, retriable=True))) is TransientError
    assert type(translated(status(987_654), writes=True)) is UnknownOutcome


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED])
def test_the_first_request_blames_the_configuration(code):
    assert type(translated(Rpc(code), first=True)) is ConfigError
