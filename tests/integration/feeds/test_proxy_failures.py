"""What the proxy does when the log, the database or the client fails."""

import socket
from collections.abc import Iterator

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.http.exceptions import UnexpectedResponse

from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.testing.proxied import VECTOR, Scene, point, proxy_options, status
from vecferry.testing.proxies import RecordingFeed, RunningProxy
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.waiting import wait_until


def test_a_refusal_of_qdrants_is_passed_on_and_ends_the_write(scene: Scene) -> None:
    with pytest.raises((UnexpectedResponse, grpc.RpcError)) as refused:
        scene.client.upsert(scene.name, [models.PointStruct(id=1, vector=[1.0])])
    assert status(refused.value) == (400 if scene.rest else "INVALID_ARGUMENT")
    assert scene.begun().ids == (1,)


def test_a_collection_that_is_not_there_is_not_found(scene: Scene) -> None:
    with pytest.raises((UnexpectedResponse, grpc.RpcError)) as refused:
        scene.client.upsert("nowhere", [point(1)])
    assert status(refused.value) == (404 if scene.rest else "NOT_FOUND")


def test_while_kafka_is_away_writes_are_refused_and_reads_go_on(scene: Scene) -> None:
    scene.feed.is_down = True
    try:
        with pytest.raises((UnexpectedResponse, grpc.RpcError)) as refused:
            scene.client.upsert(scene.name, [point(1)])
        assert status(refused.value) == (503 if scene.rest else "UNAVAILABLE")
        assert scene.client.count(scene.name).count == 0
    finally:
        scene.feed.is_down = False
    assert scene.points() == {}


def test_an_error_of_the_database_leaves_the_write_open() -> None:
    feed = RecordingFeed("docs")
    with (
        QdrantServer() as server,
        RunningProxy(feed, proxy_options(server.url, server.grpc_url)) as proxy,
    ):
        for rest in (True, False):
            client = QdrantClient(
                url=proxy.url,
                grpc_port=proxy.grpc_port,
                prefer_grpc=not rest,
                timeout=60,
                check_compatibility=False,
            )
            if rest:
                vectors = models.VectorParams(size=4, distance="Dot")
                client.create_collection("docs", vectors_config=vectors)
            feed.seen.clear()
            server.faults(fail_share=1.0, kind="internal", applied=True)
            with pytest.raises((UnexpectedResponse, grpc.RpcError)) as refused:
                client.upsert("docs", [point(int(rest))])
            assert status(refused.value) == (500 if rest else "INTERNAL")
            wait_until(lambda: feed.steps() == ["begin", "unknown"])
            server.faults()
            client.close()


def _ask(proxy: RunningProxy, *, rest: bool) -> str:
    """Delete a point and return what the refusal says."""
    if rest:
        path = f"{proxy.url}/collections/docs/points/delete"
        reply = httpx.post(path, json={"points": [1]}, timeout=60)
        assert reply.status_code in (502, 503)
        return str(reply.json()["status"]["error"])
    request = messages.DeletePoints(collection_name="docs")
    request.points.points.ids.add(num=1)
    with (
        grpc.insecure_channel(f"127.0.0.1:{proxy.grpc_port}") as channel,
        pytest.raises(grpc.RpcError) as away,
    ):
        messages.PointsStub(channel).Delete(request, timeout=60)
    assert away.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(away.value.details())


@pytest.mark.parametrize("rest", [True, False], ids=["rest", "grpc"])
def test_a_database_that_is_not_there_is_told_from_one_that_broke(rest: bool) -> None:
    feed = RecordingFeed("docs")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can
        address = f"127.0.0.1:{held.getsockname()[1]}"
        nowhere = proxy_options(f"http://{address}", address)
        _asked_nowhere(feed, nowhere, rest)


def _asked_nowhere(feed: RecordingFeed, nowhere: ProxyOptions, rest: bool) -> None:
    with RunningProxy(feed, nowhere) as proxy:
        assert "nothing was written" in _ask(proxy, rest=rest)
        # REST tells when it is sent, gRPC only when there is a connection before that
        wait_until(lambda: feed.steps() == (["begin", "refused"] if rest else []))


def test_a_client_that_gives_up_does_not_cut_its_write_off(
    running: tuple[RunningProxy, RecordingFeed], unused: Iterator[str]
) -> None:
    proxy, feed = running
    scene = Scene(proxy, feed, next(unused), rest=False)
    feed.seen.clear()
    feed.hold.clear()
    request = messages.UpsertPoints(collection_name=scene.name)
    made = request.points.add()
    made.id.num = 3
    made.vectors.vector.data.extend(VECTOR)
    with grpc.insecure_channel(f"127.0.0.1:{proxy.grpc_port}") as channel:
        call = messages.PointsStub(channel).Upsert.future(request)
        wait_until(lambda: feed.waiting > 0)
        call.cancel()
    feed.hold.set()
    wait_until(lambda: scene.steps() == ["begin", "done"])
    assert list(scene.points()) == [3]
    scene.close()
