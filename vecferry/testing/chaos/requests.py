"""An application's requests to a Qdrant over REST, and what became of each."""

import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

_UNCERTAIN = 500
_TIMED_OUT = 408

Sent = Callable[[], None]
"""Called when a request is out and its reply not yet read."""


class UncertainError(Exception):
    """No reply, or one that does not tell: it may have landed, or may land yet."""


class Requests:
    """One connection, for one thread; it is made again after every failure."""

    def __init__(self, url: str, collection: str, timeout_s: float) -> None:
        """Send to ``collection``; nothing is opened yet."""
        self._host, self._timeout_s = urlsplit(url).netloc, timeout_s
        self._path = f"/collections/{collection}"
        self._connection: http.client.HTTPConnection | None = None

    def change(self, method: str, path: str, body: object, sent: Sent = lambda: None) -> bool:
        """Send one write; return whether it was carried out, or definitely refused.

        Raises:
            UncertainError: It cannot be told.
        """
        status, _ = self._send(method, f"{path}?wait=true", body, sent)
        if status >= _UNCERTAIN or status == _TIMED_OUT:
            raise UncertainError(f"status {status}")
        return status < http.client.BAD_REQUEST

    def matching(self, condition: object) -> Iterator[tuple[str, int]]:
        """Yield the ids that a filter finds, each in the namespace that Qdrant has none of.

        Raises:
            UncertainError: Not all of them can be told.
        """
        offset: object = None
        while True:
            body = {"filter": condition, "limit": 64, "with_payload": False, "offset": offset}
            status, result = self._send("POST", "/points/scroll", body, lambda: None)
            if status >= http.client.BAD_REQUEST:
                raise UncertainError(f"status {status}")
            yield from (("", int(point["id"])) for point in result["points"])
            offset = result["next_page_offset"]
            if offset is None:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, path: str, body: object, sent: Sent) -> tuple[int, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=self._timeout_s)
        headers = {"content-type": "application/json"}
        try:
            self._connection.request(method, self._path + path, json.dumps(body), headers)
            sent()
            reply = self._connection.getresponse()
            document = json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise UncertainError(type(error).__name__) from error
        return reply.status, document.get("result")


def point(identifier: int, numbers: Sequence[float], payload: object) -> dict[str, object]:
    """Return a point with two vectors, as a request names it."""
    return {
        "id": identifier,
        "vector": {"v": list(numbers[:8]), "w": list(numbers[8:12])},
        "payload": payload,
    }


SCHEMA = {"vectors": {"v": {"size": 8, "distance": "Dot"}, "w": {"size": 4, "distance": "Euclid"}}}
"""Metrics under which a vector keeps its bits."""
