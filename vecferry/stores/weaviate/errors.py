"""What Weaviate's errors mean, in one place: by status code alone, never by text.

Weaviate gives UNKNOWN over gRPC for most of what goes wrong, so a request that
changes something and got it has an unknown outcome, and one that reads is tried
again; whether the class is still there is asked elsewhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import httpx

from vecferry.errors import TransientError
from vecferry.stores.outcomes import Meaning, error_of, retry_after_s
from vecferry.stores.rpc_codes import CODES

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
    when = (writes, connecting)
    try:
        yield
    except grpc.RpcError as error:
        code: Any = error.code()
        asked_s = retry_after_s(error.trailing_metadata())
        said = _said(CODES[code], f"{doing}: Weaviate answered {code.name}")
        raise error_of(CODES[code], said, when, asked_s) from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        meaning = meaning_of(status)
        asked_s = retry_after_s(error.response.headers.items())
        said = _said(meaning, f"{doing}: Weaviate answered {status}")
        raise error_of(meaning, said, when, asked_s) from error
    except httpx.HTTPError as error:
        message = f"{doing}: {type(error).__name__}"
        if isinstance(error, _NOT_SENT):
            raise NotConnectedError(f"{message}; nothing was sent") from error
        meaning = "halt" if isinstance(error, _OUR_FAULT) else "unknown"
        raise error_of(meaning, _said(meaning, message), when) from error


def _said(meaning: Meaning, message: str) -> str:
    advice = _ADVICE.get(meaning)
    return f"{message}; {advice}" if advice else message
