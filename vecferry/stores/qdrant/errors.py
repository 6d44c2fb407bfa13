"""What Qdrant's errors mean, in one place.

By status code alone: a message's text is for people and changes with the server.
A request that changes something and got no clear answer has an unknown outcome;
the same answer to a request that reads is merely transient.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from vecferry.errors import VecferryError
from vecferry.stores.outcomes import Meaning, error_of
from vecferry.stores.outcomes import retry_after_s as asked_s
from vecferry.stores.rpc_codes import CODES

_HTTP: Mapping[int, Meaning] = {
    400: "record",
    401: "rights",
    403: "rights",
    404: "halt",
    408: "unknown",
    409: "exists",
    413: "record",
    422: "record",
    429: "refused",
}

_DETAILS_MAX = 300

_ADVICE: Mapping[Meaning, str] = {
    "rights": "check api_key, and that the key may do this",
    "old": "Qdrant 1.13 or newer is needed",
    "halt": "look at the collection, then start again",
}


@contextmanager
def translate_errors(
    doing: str, *, writes: bool = False, connecting: bool = False
) -> Iterator[None]:
    """Raise Vecferry's errors ``from`` what gRPC or the vendor's REST client raises.

    Args:
        doing: What was tried, and on what: "writing 12 points to 'docs'".
        writes: The request changes something, so that no answer is no "no".
        connecting: It is one of the first requests, or makes a collection: what a
            person configured is to blame, not a record and not the data.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise _translate(_of_rpc(error), doing, (writes, connecting)) from error
    except (ApiException, QdrantException) as error:
        raise _translate(_of_client(error), doing, (writes, connecting)) from error


_Answer = tuple[Meaning, str, float | None]


def _of_rpc(error: Any) -> _Answer:
    code = error.code()
    details = (error.details() or "")[:_DETAILS_MAX]
    return CODES[code], f"{code.name}: {details}", asked_s(error.trailing_metadata())


def _of_client(error: Exception) -> _Answer:
    if isinstance(error, ResourceExhaustedResponse):
        return "refused", "429 Too Many Requests", float(error.retry_after_s)
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or 0
        return _of_status(status), f"{status} {error.reason_phrase}", None
    if isinstance(error, ResponseHandlingException):
        sent = not isinstance(error.source, httpx.ConnectError | httpx.ConnectTimeout)
        return "unknown" if sent else "refused", type(error.source).__name__, None
    return "halt", type(error).__name__, None


def _of_status(status: int) -> Meaning:
    if status in _HTTP:
        return _HTTP[status]
    return "unknown" if status >= 500 or status == 0 else "halt"


def _translate(answer: _Answer, doing: str, when: tuple[bool, bool]) -> VecferryError:
    meaning, details, retry_after_s = answer
    message = f"{doing}: Qdrant answered {details}"
    if advice := _ADVICE.get(meaning):
        message = f"{message}; {advice}"
    return error_of(meaning, message, when, retry_after_s)
