"""Which of Qdrant's answers say that nothing was changed, and which say nothing."""

import asyncio

import grpc as rpc
import httpx
import pytest
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from vecferry.producers.feeds.clients.qdrant import is_open, refuses


def _done() -> models.UpdateResult:
    return models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)


class _Rpc(rpc.RpcError):
    def __init__(self, code: rpc.StatusCode) -> None:
        self._code = code

    def code(self) -> rpc.StatusCode:
        return self._code

    def details(self) -> str:
        return ""

    def trailing_metadata(self) -> None:
        return None


def _status(code: int) -> UnexpectedResponse:
    return UnexpectedResponse(code, "", b"", httpx.Headers())


@pytest.mark.parametrize(
    ("error", "is_definite"),
    [
        (_status(400), True),
        (_status(404), True),
        (_status(422), True),
        (_status(403), True),
        (_status(500), False),
        (_status(503), False),
        (_status(408), False),
        (ResourceExhaustedResponse("busy", 1), True),
        (ResponseHandlingException(httpx.ConnectError("refused")), True),
        (ResponseHandlingException(httpx.ReadTimeout("slow")), False),
        (ResponseHandlingException(httpx.RemoteProtocolError("broken")), False),
        (_Rpc(rpc.StatusCode.INVALID_ARGUMENT), True),
        (_Rpc(rpc.StatusCode.DEADLINE_EXCEEDED), False),
        (_Rpc(rpc.StatusCode.UNAVAILABLE), False),
        (ValueError("an argument"), True),
        (TypeError("an argument"), True),
        (AssertionError("no result"), False),
        (KeyboardInterrupt(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_an_outcome_is_definite_or_unknown(error: BaseException, is_definite: bool) -> None:
    assert refuses(error) is is_definite


def test_a_result_that_was_only_acknowledged_is_open() -> None:
    acknowledged = models.UpdateResult(operation_id=1, status=models.UpdateStatus.ACKNOWLEDGED)
    assert is_open(acknowledged)
    assert is_open([_done(), acknowledged])
    assert not is_open(_done())
    assert not is_open(True)
