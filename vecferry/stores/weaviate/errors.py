"""What Weaviate's errors mean, in one place: by status code alone, never by text.

Weaviate gives UNKNOWN over gRPC for most of what goes wrong, so a request that
changes something and got it has an unknown outcome, and one that reads is tried
again; whether the class is still there is asked elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import grpc
import httpx

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

CODES: Mapping[grpc.StatusCode, Meaning] = {
    grpc.StatusCode.CANCELLED: "unknown",
    grpc.StatusCode.UNKNOWN: "unknown",
    grpc.StatusCode.INVALID_ARGUMENT: "record",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unknown",
    grpc.StatusCode.NOT_FOUND: "halt",
    grpc.StatusCode.ALREADY_EXISTS: "exists",
    grpc.StatusCode.PERMISSION_DENIED: "rights",
    grpc.StatusCode.UNAUTHENTICATED: "rights",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "refused",
    grpc.StatusCode.FAILED_PRECONDITION: "refused",
    grpc.StatusCode.ABORTED: "unknown",
    grpc.StatusCode.OUT_OF_RANGE: "record",
    grpc.StatusCode.UNIMPLEMENTED: "old",
    grpc.StatusCode.INTERNAL: "unknown",
    grpc.StatusCode.UNAVAILABLE: "unknown",  # a stream that broke; see Connection for refused
    grpc.StatusCode.DATA_LOSS: "halt",
}
"""Every code but OK."""

STATUS: Mapping[int, Meaning] = {
    400: "record",
    401: "rights",
    403: "rights",
    404: "halt",
    408: "unknown",
    409: "exists",
    413: "record",
    422: "record",
    425: "refused",
    429: "refused",
}
"""Those that mean something of their own; see :func:`meaning_of` for the others."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_ADVICE: Mapping[Meaning, str] = {
    "rights": "check api_key, and that the key may do this",
    "old": "Weaviate 1.27 or newer is needed",
    "halt": "look at the class, then start again",
}
_ERRORS: Mapping[Meaning, Callable[[str], VecferryError]] = {
    "unknown": UnknownOutcome,
    "record": RecordError,
    "halt": HaltError,
    "rights": HaltError,
    "old": HaltError,
    "exists": ConfigError,
}


class NotConnectedError(TransientError):
    """No connection stood, so nothing was sent."""


def meaning_of(status: int) -> Meaning:
    """Return what an HTTP status other than 2xx means."""
    if status in STATUS:
        return STATUS[status]
    return "unknown" if status >= 500 else "halt"


@contextmanager
def translate_errors(
    doing: str, *, writes: bool = False, connecting: bool = False
) -> Iterator[None]:
    """Raise Vecferry's errors ``from`` what gRPC or httpx raises.

    Args:
        doing: What was tried, and on what: "writing 12 points to 'Docs'".
        writes: The request changes something, so that no answer is no "no".
        connecting: It is one of the first requests, or makes a class: what a
            person configured is to blame, not a record and not the data.
    """
    try:
        yield
    except grpc.RpcError as error:
        code: Any = error.code()
        raise _translate(CODES[code], f"{doing}: Weaviate answered {code.name}")(
            writes, connecting, _retry_after(error.trailing_metadata() or ())
        ) from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise _translate(meaning_of(status), f"{doing}: Weaviate answered {status}")(
            writes, connecting, _retry_after(error.response.headers.items())
        ) from error
    except httpx.HTTPError as error:
        message = f"{doing}: {type(error).__name__}"
        if isinstance(error, _NOT_SENT):
            raise NotConnectedError(f"{message}; nothing was sent") from error
        meaning: Meaning = "halt" if isinstance(error, _OUR_FAULT) else "unknown"
        raise _translate(meaning, message)(writes, connecting, None) from error


def _translate(
    meaning: Meaning, message: str
) -> Callable[[bool, bool, float | None], VecferryError]:
    advice = _ADVICE.get(meaning)
    said = f"{message}; {advice}" if advice else message

    def build(writes: bool, connecting: bool, retry_after_s: float | None) -> VecferryError:
        if connecting and meaning not in ("refused", "unknown"):
            return ConfigError(said)
        if meaning == "refused" or (meaning == "unknown" and not writes):
            return TransientError(said, retry_after_s=retry_after_s)
        return _ERRORS[meaning](said)

    return build


def _retry_after(pairs: Any) -> float | None:
    for name, value in pairs:
        if name.lower() == "retry-after":
            try:
                return max(0.0, float(value))
            except ValueError:
                return None  # a date; the worker's own backoff will do
    return None
