"""Who may come in and with how much: keys, certificates, bounds, ports."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.http.exceptions import UnexpectedResponse

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.testing import engines
from vecferry.testing.certificates import Authority
from vecferry.testing.proxied import Scene, having, point, proxy_options, status
from vecferry.testing.proxies import RecordingFeed, RunningProxy
from vecferry.testing.qdrant import QdrantServer


def test_a_method_that_nobody_knows_is_refused_by_its_name(
    running: tuple[RunningProxy, RecordingFeed],
) -> None:
    proxy, _ = running
    with (
        grpc.insecure_channel(f"127.0.0.1:{proxy.grpc_port}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary("/qdrant.Points/Teleport")(b"", timeout=60)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "/qdrant.Points/Teleport" in refused.value.details()
    reply = httpx.post(f"{proxy.url}/collections/a/points/teleport", json={}, timeout=60)
    assert reply.status_code == 501
    assert "/collections/a/points/teleport" in reply.json()["status"]["error"]


def _large(proxy: RunningProxy, name: str) -> tuple[int, str]:
    """Send two writes of some 40 kB and return how each protocol answered."""
    points = [{"id": number, "vector": [0.123456789] * 4} for number in range(700)]
    reply = httpx.put(f"{proxy.url}/collections/{name}/points", json={"points": points}, timeout=60)
    request = messages.UpsertPoints(collection_name=name)
    for number in range(700):
        made = request.points.add()
        made.id.num = number
        made.vectors.vector.data.extend([0.1] * 4)
        made.payload["a"].string_value = "x" * 30
    with grpc.insecure_channel(f"127.0.0.1:{proxy.grpc_port}") as channel:
        try:
            messages.PointsStub(channel).Upsert(request, timeout=60)
        except grpc.RpcError as refused:
            return reply.status_code, refused.code().name
    return reply.status_code, "OK"


@pytest.mark.parametrize(
    ("limit", "answers"), [(10_000, (413, "RESOURCE_EXHAUSTED")), (1_000_000, (200, "OK"))]
)
def test_a_write_is_as_large_as_the_bound_and_no_larger(
    limit: int, answers: tuple[int, str], unused: Iterator[str]
) -> None:
    name = next(unused)
    feed = RecordingFeed(name)
    bounded = proxy_options(*engines.qdrant(), body_bytes_max=limit)
    with RunningProxy(feed, bounded) as proxy:
        scene = Scene(proxy, feed, name, rest=True)
        assert _large(proxy, name) == answers
        scene.close()
    assert (feed.steps() == []) is (limit < 40_000)


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_clients_own_key_goes_through_and_none_is_added() -> None:
    feed = RecordingFeed("docs")
    with QdrantServer(api_key="secret") as server:
        known = {"source": {"api_key": "secret"}}  # the proxy's own settings have it
        with RunningProxy(feed, proxy_options(server.url, server.grpc_url, **known)) as proxy:
            for grpc_first in (False, True):
                where: dict[str, Any] = {
                    "url": proxy.url,
                    "grpc_port": proxy.grpc_port,
                    "prefer_grpc": grpc_first,
                }
                _with_key(where, make=not grpc_first)
                _without_key(where)
    assert {one.step for one in feed.seen} == {"whole", "begin", "filter", "fresh", "done"}


def _with_key(where: dict[str, Any], *, make: bool) -> None:
    client = QdrantClient(**where, api_key="secret", timeout=60, check_compatibility=False)
    if make:
        vectors = models.VectorParams(size=4, distance="Dot")
        client.create_collection("docs", vectors_config=vectors)
        create = models.CreateAlias(collection_name="docs", alias_name="now")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    client.upsert("now", [point(1, a=1)])
    client.delete("now", having(a=1))
    assert client.count("docs").count == 0
    client.close()


def _without_key(where: dict[str, Any]) -> None:
    client = QdrantClient(**where, timeout=60, check_compatibility=False)
    for write in (
        lambda: client.upsert("docs", [point(1)]),
        lambda: client.upsert("now", [point(1)]),
        lambda: client.delete("docs", models.Filter()),
        lambda: client.count("docs"),
    ):
        with pytest.raises((UnexpectedResponse, grpc.RpcError)) as refused:
            write()
        assert status(refused.value) in (401, 403, "UNAUTHENTICATED", "PERMISSION_DENIED")
    client.close()


def test_it_listens_with_a_certificate_and_trusts_one_authority(
    tmp_path: Path, unused: Iterator[str]
) -> None:
    name = next(unused)
    inner_feed, outer_feed = RecordingFeed(name), RecordingFeed(name)
    authority = Authority(tmp_path)
    pem = authority.keystore
    tls = proxy_options(*engines.qdrant(), cert_file=pem, key_file=pem)
    with RunningProxy(inner_feed, tls) as inner:
        source = {"tls": True, "ca_file": authority.ca_file}
        address = f"https://127.0.0.1:{inner.port}", f"127.0.0.1:{inner.grpc_port}"
        with RunningProxy(outer_feed, proxy_options(*address, source=source)) as outer:
            for rest in (True, False):
                scene = Scene(outer, outer_feed, name, rest)
                scene.client.upsert(name, [point(1)])
                assert list(scene.points()) == [1]
                scene.close()
    assert inner_feed.steps() == outer_feed.steps() == ["begin", "done"] * 2


def test_a_port_that_is_taken_is_told(running: tuple[RunningProxy, RecordingFeed]) -> None:
    proxy, feed = running
    source = proxy_options(*engines.qdrant()).source
    for port, grpc_port in ((proxy.port, 0), (0, proxy.grpc_port)):
        with (
            pytest.raises(ConfigError, match="listen"),
            RunningProxy(feed, ProxyOptions(source, port=port, grpc_port=grpc_port)),
        ):
            pass


def test_many_connections_make_no_threads(running: tuple[RunningProxy, RecordingFeed]) -> None:
    proxy, _ = running
    before = threading.active_count()
    with httpx.Client(limits=httpx.Limits(max_connections=60)) as client:
        streams = [client.stream("GET", f"{proxy.url}/collections", timeout=60) for _ in range(60)]
        for stream in streams:
            assert stream.__enter__().status_code == 200
        assert threading.active_count() < before + 20
        for stream in streams:
            stream.__exit__(None, None, None)
