"""What the service answered to each try of a Pinecone client: it tries again without telling.

A try that broke may land after the one that was answered, so such a write has
an unknown outcome. The answers' log sequence numbers are read here, too: some
methods of the client do not return them.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import httpx

from vecferry.stores.pinecone.errors import meaning_of
from vecferry.stores.pinecone.freshness import WRITTEN

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Answers:
    """The answers of one call.

    Attributes:
        is_broken: Whether some try got none, or one that leaves its outcome open.
        position: The highest log sequence number, as text; empty for none.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.is_broken = False
        self.position = ""

    def take(self, response: httpx.Response) -> None:
        """Look at one answer."""
        if response.status_code >= 300:
            self.is_broken |= meaning_of(response.status_code) == "unknown"
            return
        number = response.headers.get(WRITTEN, "")
        if number.isdigit() and int(number) >= int(self.position or 0):
            self.position = number


_CURRENT: ContextVar[Answers | None] = ContextVar("answers", default=None)


@contextlib.contextmanager
def watched(client: Any) -> Iterator[Answers]:
    """Watch the answers to what is sent inside, in this thread or task.

    Args:
        client: An ``Index`` or ``AsyncIndex``; what watches stays in its place.
    """
    http = client._http
    connection = http._ensure_client() if hasattr(http, "_ensure_client") else http._client
    retrying = connection._transport
    if not isinstance(retrying._transport, _Watching):
        retrying._transport = _Watching(retrying._transport)
    answers = Answers()
    token = _CURRENT.set(answers)
    try:
        yield answers
    finally:
        _CURRENT.reset(token)


class _Watching(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that shows each answer to whoever watches."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _noticed():
            response: httpx.Response = self._inner.handle_request(request)
        _take(response)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _noticed():
            response: httpx.Response = await self._inner.handle_async_request(request)
        _take(response)
        return response

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


@contextlib.contextmanager
def _noticed() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        answers = _CURRENT.get()
        if answers is not None and not isinstance(error, _NOT_SENT):
            answers.is_broken = True
        raise


def _take(response: httpx.Response) -> None:
    answers = _CURRENT.get()
    if answers is not None:
        answers.take(response)
