"""The proxy before Qdrant's engine, with the official client over both protocols."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.http.exceptions import UnexpectedResponse

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy import ProxyOptions, aliases
from vecferry.producers.feeds.proxy import messages as wire
from vecferry.settings import StoreSettings
from vecferry.testing import engines
from vecferry.testing.certificates import Authority
from vecferry.testing.proxies import RecordingFeed, RunningProxy, Seen
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.waiting import wait_until

VECTOR = [1.0, 0.0, 0.0, 0.0]


def options(url: str, grpc_url: str, **more: Any) -> ProxyOptions:
    source = StoreSettings.model_validate(
        {"type": "qdrant", "url": url, "grpc_url": grpc_url, **more.pop("source", {})}
    )
    return ProxyOptions(source, port=0, grpc_port=0, **more)


class Scene:
    """A collection that moves, one that does not, and a proxy before both."""

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
                each, vectors_config=models.VectorParams(size=4, distance="Dot")
            )

    def close(self) -> None:
        for each in (self.name, self.other):
            self.direct.delete_collection(each)
        self.client.close()
        self.direct.close()

    def seen(self) -> list[Seen]:
        """What was announced and how it ended; waits for the last end."""
        wait_until(lambda: len(self.steps()) % 2 == 0)
        return [one for one in self.feed.seen if one.collection == self.name]

    def steps(self) -> list[str]:
        return [
            one.step
            for one in self.feed.seen
            if one.collection == self.name and one.step != "fresh"
        ]

    def begun(self) -> Seen:
        """The only announcement since the last look."""
        begins = [one for one in self.seen() if one.step in ("begin", "filter", "whole")]
        ends = [one.step for one in self.seen() if one.step in ("done", "refused", "unknown")]
        assert ends == ["done"] * len(begins)
        (begun,) = begins
        self.feed.seen.clear()
        return begun

    def points(self, name: str = "") -> dict[Any, Any]:
        """The payloads by id, read past the proxy."""
        found, _ = self.direct.scroll(name or self.name, limit=100)
        return {point.id: point.payload for point in found}


@pytest.fixture(scope="module")
def names() -> tuple[str, ...]:
    return tuple(f"proxy-{uuid.uuid4().hex[:8]}" for _ in range(120))


@pytest.fixture(scope="module")
def running(names: tuple[str, ...]) -> Iterator[tuple[RunningProxy, RecordingFeed]]:
    feed = RecordingFeed(*names)
    with RunningProxy(feed, options(*engines.qdrant())) as proxy:
        yield proxy, feed


@pytest.fixture(scope="module")
def unused(names: tuple[str, ...]) -> Iterator[str]:
    return iter(names)


@pytest.fixture(params=["rest", "grpc"])
def scene(
    request: pytest.FixtureRequest,
    running: tuple[RunningProxy, RecordingFeed],
    unused: Iterator[str],
) -> Iterator[Scene]:
    proxy, feed = running
    feed.seen.clear()
    scene = Scene(proxy, feed, next(unused), request.param == "rest")
    yield scene
    scene.close()


def point(identifier: Any, **payload: Any) -> models.PointStruct:
    return models.PointStruct(id=identifier, vector=VECTOR, payload=payload)


def having(**match: Any) -> models.Filter:
    return models.Filter(
        must=[
            models.FieldCondition(key=key, match=models.MatchValue(value=value))
            for key, value in match.items()
        ]
    )


def test_every_write_of_the_client_is_announced_with_its_ids(scene: Scene) -> None:
    client, name = scene.client, scene.name
    one = uuid.uuid4()
    writes: list[tuple[Callable[[], Any], str, tuple[Any, ...]]] = [
        (lambda: client.upsert(name, [point(1, a=1), point(str(one))]), "upsert", (1, one)),
        (
            lambda: client.update_vectors(name, [models.PointVectors(id=1, vector=VECTOR)]),
            "unknown",
            (1,),
        ),
        (lambda: client.set_payload(name, {"b": 2}, points=[1]), "unknown", (1,)),
        (lambda: client.overwrite_payload(name, {"c": 3}, points=[1]), "unknown", (1,)),
        (lambda: client.delete_payload(name, ["c"], points=[1]), "unknown", (1,)),
        (lambda: client.clear_payload(name, [1]), "unknown", (1,)),
        (lambda: client.delete(name, [1]), "delete", (1,)),
    ]
    for write, verb, ids in writes:
        write()
        assert scene.begun() == Seen("begin", name, verb, ids)
    assert scene.points() == {str(one): {}}


def test_a_filter_is_resolved_before_it_is_sent(scene: Scene) -> None:
    client, name = scene.client, scene.name
    client.upsert(name, [point(number, odd=number % 2) for number in range(8)])
    scene.begun()
    client.set_payload(name, {"seen": 1}, points=having(odd=0))
    assert scene.begun() == Seen("filter", name, "unknown", (0, 2, 4, 6))
    client.delete(name, having(seen=1))
    assert scene.begun() == Seen("filter", name, "delete", (0, 2, 4, 6))
    assert sorted(scene.points()) == [1, 3, 5, 7]
    client.delete(name, models.Filter())
    assert scene.begun().ids == (1, 3, 5, 7)
    assert scene.points() == {}


def test_a_batch_is_announced_with_all_that_it_names(scene: Scene) -> None:
    scene.client.upsert(scene.name, [point(1, a=1), point(2, a=2)])
    scene.begun()
    scene.client.batch_update_points(
        scene.name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(3, a=3)])),
            models.DeleteOperation(delete=models.FilterSelector(filter=having(a=2))),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 1}, points=[1])),
        ],
    )
    begun = scene.begun()
    assert (begun.step, begun.verb, set(begun.ids)) == ("filter", "unknown", {1, 2, 3})
    assert scene.points() == {1: {"a": 1, "b": 1}, 3: {"a": 3}}


def test_a_filter_of_many_pages_is_resolved_whole(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = "rest" if scene.rest else "rpc"
    monkeypatch.setattr(f"vecferry.producers.feeds.proxy.{side}.PAGE_IDS", 3)
    last = [2**64 - 1, "00000000-0000-0000-0000-000000000000", str(uuid.UUID(int=2**128 - 1))]
    scene.client.upsert(scene.name, [point(each) for each in [*range(10), *last]])
    scene.begun()
    scene.client.clear_payload(scene.name, models.FilterSelector(filter=models.Filter()))
    assert len(set(scene.begun().ids)) == 13


def test_a_filter_that_qdrant_refuses_is_refused_with_its_own_words(scene: Scene) -> None:
    if not scene.rest:
        pytest.skip("the client's own classes make no such filter")
    path = f"/collections/{scene.name}/points/delete"
    reply = httpx.post(scene.proxy.url + path, json={"filter": {"must": [{"no": "such"}]}})
    direct = httpx.post(engines.qdrant()[0] + path, json={"filter": {"must": [{"no": "such"}]}})
    assert reply.status_code == direct.status_code == 400
    assert scene.seen() == []


def test_a_write_that_asks_not_to_wait_waits(scene: Scene) -> None:
    result = scene.client.upsert(scene.name, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.COMPLETED
    assert scene.begun().ids == (1,)


def test_without_being_made_to_wait_it_would_stay_open(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scene.rest:
        pytest.skip("one protocol is enough")
    monkeypatch.setattr(wire, "WAIT", b"")
    result = scene.client.upsert(scene.name, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.ACKNOWLEDGED
    wait_until(lambda: scene.steps() == ["begin", "unknown"])


def test_a_write_to_what_does_not_move_passes_unannounced(scene: Scene) -> None:
    result = scene.client.upsert(scene.other, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.ACKNOWLEDGED
    scene.client.delete(scene.other, models.Filter())
    assert scene.points(scene.other) == {}
    assert scene.seen() == []


def alias(scene: Scene, target: str) -> str:
    name = f"{scene.name}-now"
    drop = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=target, alias_name=name)
    )
    scene.direct.update_collection_aliases([drop, create])
    return name


def test_an_alias_is_what_it_stands_for_at_that_moment(scene: Scene) -> None:
    now = alias(scene, scene.other)
    scene.client.upsert(now, [point(1)])
    assert scene.seen() == []
    alias(scene, scene.name)
    scene.client.upsert(now, [point(2)])
    assert scene.begun() == Seen("begin", scene.name, "upsert", (2,))
    assert (list(scene.points(scene.other)), list(scene.points())) == ([1], [2])
    scene.client.delete(now, having())
    assert scene.begun().ids == (2,)


def _switched_under_way(scene: Scene) -> None:
    """Write to an alias that is switched between the announcement and the request."""
    now = alias(scene, scene.name)
    scene.feed.hold.clear()
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(scene.client.upsert, now, [point(5)])
        wait_until(lambda: scene.feed.waiting > 0)
        alias(scene, scene.other)
        scene.feed.hold.set()
        writing.result(60)
    scene.begun()


def test_an_alias_that_is_switched_under_way_does_not_move_the_write(scene: Scene) -> None:
    _switched_under_way(scene)
    assert (list(scene.points()), list(scene.points(scene.other))) == ([5], [])


def test_without_the_real_name_it_would_land_where_nothing_was_announced(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = aliases.find_destination

    async def keep_the_name(*given: Any) -> aliases.Destination:
        return (await find(*given))._replace(is_alias=False)

    side = "rest" if scene.rest else "rpc"
    monkeypatch.setattr(f"vecferry.producers.feeds.proxy.{side}.find_destination", keep_the_name)
    _switched_under_way(scene)
    assert (list(scene.points()), list(scene.points(scene.other))) == ([], [5])


def test_a_collection_that_is_dropped_and_made_anew_is_read_again(scene: Scene) -> None:
    scene.client.upsert(scene.name, [point(1)])
    scene.begun()
    scene.client.delete_collection(scene.name)
    assert scene.begun().step == "whole"
    vectors = models.VectorParams(size=4, distance="Dot")
    scene.client.create_collection(scene.name, vectors_config=vectors)
    assert scene.begun().step == "whole"
    scene.client.delete_collection(scene.other)
    scene.client.create_collection(scene.other, vectors_config=vectors)
    assert scene.seen() == []
    assert scene.points() == {}


def test_reads_and_schemas_pass(scene: Scene) -> None:
    client, name = scene.client, scene.name
    client.upsert(name, [point(1, a=1), point(2, a=2)])
    scene.begun()
    client.create_payload_index(name, "a", models.PayloadSchemaType.INTEGER)
    assert client.count(name).count == 2
    assert [one.id for one in client.retrieve(name, [1])] == [1]
    assert len(client.query_points(name, query=VECTOR, limit=5).points) == 2
    assert len(client.scroll(name)[0]) == 2
    assert client.collection_exists(name)
    assert client.get_collection(name).points_count == 2
    assert name in [one.name for one in client.get_collections().collections]
    assert scene.seen() == []


def status(refused: Exception) -> int | str:
    if isinstance(refused, UnexpectedResponse):
        return refused.status_code or 0
    assert isinstance(refused, grpc.RpcError)
    code: str = refused.code().name
    return code


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
        RunningProxy(feed, options(server.url, server.grpc_url)) as proxy,
    ):
        for rest in (True, False):
            client = QdrantClient(
                url=proxy.url, grpc_port=proxy.grpc_port, prefer_grpc=not rest, timeout=60
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
            server.faults(latency_ms=300, scope="writes")
            client.upsert("docs", [point(7)])
            client.close()
            feed.seen.clear()
        server.kill()
        path = "/collections/docs/points"
        body = {"points": [{"id": 1, "vector": VECTOR}]}
        reply = httpx.put(proxy.url + path, json=body, timeout=60)
        assert reply.status_code == 503
        wait_until(lambda: feed.steps() == ["begin", "refused"])
        with grpc.insecure_channel(f"127.0.0.1:{proxy.grpc_port}") as channel:
            request = messages.DeletePoints(collection_name="docs")
            request.points.points.ids.add(num=1)
            with pytest.raises(grpc.RpcError) as away:
                messages.PointsStub(channel).Delete(request, timeout=60)
        assert away.value.code() is grpc.StatusCode.UNAVAILABLE
        assert feed.steps() == ["begin", "refused"]  # it was not even announced


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
    bounded = options(*engines.qdrant(), body_bytes_max=limit)
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
        with RunningProxy(feed, options(server.url, server.grpc_url, **known)) as proxy:
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
    client = QdrantClient(**where, api_key="secret", timeout=60)
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
    tls = options(*engines.qdrant(), cert_file=pem, key_file=pem)
    with RunningProxy(inner_feed, tls) as inner:
        source = {"tls": True, "ca_file": authority.ca_file}
        address = f"https://127.0.0.1:{inner.port}", f"127.0.0.1:{inner.grpc_port}"
        with RunningProxy(outer_feed, options(*address, source=source)) as outer:
            for rest in (True, False):
                scene = Scene(outer, outer_feed, name, rest)
                scene.client.upsert(name, [point(1)])
                assert list(scene.points()) == [1]
                scene.close()
    assert inner_feed.steps() == outer_feed.steps() == ["begin", "done"] * 2


def test_a_port_that_is_taken_is_told(running: tuple[RunningProxy, RecordingFeed]) -> None:
    proxy, feed = running
    source = options(*engines.qdrant()).source
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
