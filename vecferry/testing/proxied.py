"""A collection behind a proxy, and the official client before it."""

from typing import Any

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.settings import StoreSettings
from vecferry.testing import engines
from vecferry.testing.proxies import RecordingFeed, RunningProxy, Seen
from vecferry.testing.waiting import wait_until

VECTOR = [1.0, 0.0, 0.0, 0.0]


def proxy_options(url: str, grpc_url: str, **more: Any) -> ProxyOptions:
    """Return the options of a proxy before these addresses, on free ports."""
    source = StoreSettings.model_validate(
        {"type": "qdrant", "url": url, "grpc_url": grpc_url, **more.pop("source", {})}
    )
    return ProxyOptions(source, port=0, grpc_port=0, **more)


class Scene:
    """A collection that moves, one that does not, and a proxy before both.

    Attributes:
        proxy, feed: The proxy and what it announces to.
        name, other: The collection that moves, and the other one.
        rest: Whether ``client`` speaks REST, else gRPC.
        client, direct: Through the proxy, and past it.
    """

    def __init__(self, proxy: RunningProxy, feed: RecordingFeed, name: str, rest: bool) -> None:
        self.proxy, self.feed, self.name, self.rest = proxy, feed, name, rest
        self.other = f"{name}-other"
        self.client = QdrantClient(
            url=proxy.url, grpc_port=proxy.grpc_port, prefer_grpc=not rest, timeout=60
        )
        url, grpc_url = engines.qdrant()
        self.direct = QdrantClient(
            url=url, grpc_port=int(grpc_url.rpartition(":")[2]), prefer_grpc=True, timeout=60
        )
        for each in (name, self.other):
            self.direct.create_collection(
                each, vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)
            )

    def close(self) -> None:
        """Remove both collections."""
        for each in (self.name, self.other):
            self.direct.delete_collection(each)
        self.client.close()
        self.direct.close()

    def seen(self) -> list[Seen]:
        """Return what was announced and how it ended; waits for the last end."""
        wait_until(lambda: len(self.steps()) % 2 == 0)
        return [one for one in self.feed.seen if one.collection == self.name]

    def steps(self) -> list[str]:
        """Return the names of the steps, without the checks of age."""
        return [
            one.step
            for one in self.feed.seen
            if one.collection == self.name and one.step != "fresh"
        ]

    def begun(self) -> Seen:
        """Return the only announcement since the last look."""
        begins = [one for one in self.seen() if one.step in ("begin", "filter", "whole")]
        ends = [one.step for one in self.seen() if one.step in ("done", "refused", "unknown")]
        assert ends == ["done"] * len(begins)
        (begun,) = begins
        self.feed.seen.clear()
        return begun

    def points(self, name: str = "") -> dict[Any, Any]:
        """Return the payloads by id, read past the proxy."""
        found, _ = self.direct.scroll(name or self.name, limit=100)
        return {point.id: point.payload for point in found}


def point(identifier: Any, **payload: Any) -> models.PointStruct:
    """Return a point with that payload."""
    return models.PointStruct(id=identifier, vector=VECTOR, payload=payload)


def having(**match: Any) -> models.Filter:
    """Return a filter on the payload's fields."""
    return models.Filter(
        must=[
            models.FieldCondition(key=key, match=models.MatchValue(value=value))
            for key, value in match.items()
        ]
    )


def status(refused: Exception) -> int | str:
    """Return how a client was refused: an HTTP status, or a gRPC code's name."""
    if isinstance(refused, UnexpectedResponse):
        return refused.status_code or 0
    assert isinstance(refused, grpc.RpcError)
    code: str = refused.code().name
    return code
