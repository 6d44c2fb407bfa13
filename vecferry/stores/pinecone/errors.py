"""What Pinecone's answers mean, in one place.

By status code alone: a message's text is for people. A request that changes
something and got no clear answer has an unknown outcome; the same answer to a
request that reads is merely transient.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import orjson

from vecferry.errors import ConfigError, TransientError, UnknownOutcome, VecferryError
from vecferry.stores.outcomes import Meaning, error_of
from vecferry.stores.outcomes import retry_after_s as asked_s

STATUS: Mapping[int, Meaning] = {
    400: "record",
    401: "rights",
    402: "rights",  # the account is in arrears
    403: "rights",
    404: "halt",  # the index has gone
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
_DETAILS_MAX = 300

_ADVICE: Mapping[Meaning, str] = {
    "rights": "check api_key, and that the key may do this",
    "halt": "look at the index, then start again",
}


class NotConnectedError(TransientError):
    """No connection stood, so nothing was sent."""


def meaning_of(status: int) -> Meaning:
    """Return what a status code other than 2xx means."""
    if status in STATUS:
        return STATUS[status]
    return "unknown" if status >= 500 else "halt"


@contextmanager
def translate_errors(
    doing: str, *, writes: bool = False, connecting: bool = False
) -> Iterator[None]:
    """Raise Vecferry's errors ``from`` what httpx raises, also for a status of no success.

    Args:
        doing: What was tried, and on what: "writing 12 points to 'docs'".
        writes: The request changes something, so that no answer is no "no".
        connecting: It is one of the first requests, or makes an index: what a
            person configured is to blame, not a record and not the data.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _of_answer(error.response, doing, (writes, connecting)) from error
    except httpx.HTTPError as error:
        raise _of_transport(error, doing, writes) from error
    except httpx.InvalidURL as error:
        raise ConfigError(f"{doing}: the address is none") from error


def retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for; None without one, or for a date."""
    return asked_s(response.headers.items())


def _of_answer(response: httpx.Response, doing: str, when: tuple[bool, bool]) -> VecferryError:
    meaning = meaning_of(response.status_code)
    message = f"{doing}: Pinecone answered {response.status_code} {_details(response)}".rstrip()
    if advice := _ADVICE.get(meaning):
        message = f"{message}; {advice}"
    return error_of(meaning, message, when, retry_after_s(response))


def _of_transport(error: httpx.HTTPError, doing: str, writes: bool) -> VecferryError:
    name = type(error).__name__
    if isinstance(error, _NOT_SENT):
        return NotConnectedError(f"{doing}: no connection to Pinecone ({name}); nothing was sent")
    if isinstance(error, _OUR_FAULT):
        return ConfigError(f"{doing}: the request cannot be sent ({name}); check url and api_key")
    message = f"{doing}: the connection to Pinecone broke ({name})"
    return UnknownOutcome(message) if writes else TransientError(message)


def _details(response: httpx.Response) -> str:
    """Return the server's own words, cut short: of the two forms that its errors have."""
    try:
        body = orjson.loads(response.content)
    except ValueError:
        return response.reason_phrase
    inner = body.get("error", body) if isinstance(body, dict) else None
    text = inner.get("message") if isinstance(inner, dict) else None
    return text[:_DETAILS_MAX] if isinstance(text, str) else response.reason_phrase
