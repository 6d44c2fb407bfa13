"""The REST side before a scripted Qdrant, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from vecferry.producers.feeds.proxy import ProxyOptions, bodies
from vecferry.producers.feeds.proxy.gate import Gate
from vecferry.producers.feeds.proxy.rest import RestProxy
from vecferry.settings import StoreSettings
from vecferry.testing.proxies import RecordingFeed
from vecferry.testing.waiting import wait_until

SOURCE = StoreSettings(type="qdrant", url="http://qdrant:6333")
BODY = b'{"points":[{"id":1,"vector":[1.0]}]}'
COMPLETED = {"result": {"operation_id": 1, "status": "completed"}, "status": "ok", "time": 0.1}
Script = Callable[[httpx.Request], httpx.Response]


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=COMPLETED)


class Scripted:
    """A proxy before a script.

    Attributes:
        feed: What it announces to.
        got: The requests that came to Qdrant, with their bodies.
    """

    def __init__(self, script: Script = answer, **options: Any) -> None:
        self.feed, self.got = RecordingFeed("docs"), list[tuple[httpx.Request, bytes]]()
        self._script = script
        self._options = ProxyOptions(SOURCE, **options)

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, given))

    async def _ask(self, method: str, path: str, given: dict[str, Any]) -> httpx.Response:
        rest = RestProxy(Gate(self.feed, self._options, 30.0), self._options)
        for name in ("_reads", "_writes"):
            await getattr(rest, name).aclose()
            client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
            client.headers.clear()
            setattr(rest, name, client)
        transport = httpx.ASGITransport(rest)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            reply = await client.request(method, path, **given)
        await rest.close()
        return reply

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.got.append((request, await request.aread()))
        reply = self._script(request)
        if not hasattr(reply, "_content"):
            return reply
        # one that was given whole cannot be streamed
        return httpx.Response(reply.status_code, headers=reply.headers, stream=_Raw(reply.content))

    def ends(self, *steps: str) -> None:
        wait_until(lambda: self.feed.steps() == list(steps))


def test_a_write_goes_out_as_it_came_but_for_wait() -> None:
    proxy = Scripted()
    reply = proxy.ask(
        "PUT",
        "/collections/docs/points?wait=false&ordering=strong",
        content=BODY,
        headers={"api-key": "k", "X-Trace": "7", "Accept-Encoding": "gzip"},
    )
    assert (reply.status_code, reply.json()) == (200, COMPLETED)
    ((request, body),) = proxy.got
    assert body == BODY
    assert str(request.url) == (
        "http://qdrant:6333/collections/docs/points?ordering=strong&wait=true"
    )
    assert request.headers["api-key"] == "k"
    assert request.headers["x-trace"] == "7"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == "qdrant:6333"
    proxy.ends("begin", "done")


def test_no_credential_is_added_to_a_clients_own() -> None:
    proxy = Scripted()
    proxy.ask("PUT", "/collections/docs/points", content=BODY)
    request, _ = proxy.got[0]
    assert not {"api-key", "authorization"} & set(request.headers)


@pytest.mark.parametrize("status", ["acknowledged", "wait_timeout"])
def test_a_write_that_was_only_noted_stays_open(status: str) -> None:
    reply = {"result": {"operation_id": 1, "status": status}}
    proxy = Scripted(lambda _: httpx.Response(200, json=reply))
    assert proxy.ask("PUT", "/collections/docs/points", content=BODY).json() == reply
    proxy.ends("begin", "unknown")


def test_without_that_look_it_would_count_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "is_applied", lambda _: True)
    reply = {"result": {"operation_id": 1, "status": "acknowledged"}}
    proxy = Scripted(lambda _: httpx.Response(200, json=reply))
    proxy.ask("PUT", "/collections/docs/points", content=BODY)
    proxy.ends("begin", "done")


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (400, "done"),
        (404, "done"),
        (429, "done"),
        (408, "unknown"),
        (500, "unknown"),
        (503, "unknown"),
    ],
)
def test_an_error_of_qdrants_is_passed_on_and_ends_the_write_as_it_says(
    status: int, end: str
) -> None:
    def script(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            status, json={"status": {"error": "so"}}, headers={"Retry-After": "7"}
        )

    proxy = Scripted(script)
    reply = proxy.ask("POST", "/collections/docs/points/delete", json={"points": [1]})
    assert (reply.status_code, reply.headers["retry-after"]) == (status, "7")
    assert reply.json() == {"status": {"error": "so"}}
    proxy.ends("begin", end)


@pytest.mark.parametrize(
    ("error", "status", "end"),
    [
        (httpx.ConnectError, 503, "refused"),
        (httpx.ConnectTimeout, 503, "refused"),
        (httpx.ReadError, 502, "unknown"),
        (httpx.ReadTimeout, 502, "unknown"),
        (httpx.RemoteProtocolError, 502, "unknown"),
        (httpx.WriteError, 502, "unknown"),
    ],
)
def test_a_connection_that_fails_tells_whether_the_write_may_land(
    error: type[httpx.TransportError], status: int, end: str
) -> None:
    def script(request: httpx.Request) -> httpx.Response:
        raise error("broken", request=request)

    proxy = Scripted(script)
    reply = proxy.ask("PUT", "/collections/docs/points", content=BODY)
    assert reply.status_code == status
    assert ("retry-after" in reply.headers) is (status == 503)
    proxy.ends("begin", end)


def test_while_kafka_is_away_a_write_is_refused_and_a_read_is_not() -> None:
    proxy = Scripted()
    proxy.feed.is_down = True
    reply = proxy.ask("PUT", "/collections/docs/points", content=BODY)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
    assert "Kafka does not answer" in reply.json()["status"]["error"]
    assert proxy.got == []
    assert proxy.ask("POST", "/collections/docs/points/scroll", json={}).status_code == 200
    assert len(proxy.got) == 1


async def _chunks() -> AsyncIterator[bytes]:
    yield BODY[:10]
    yield BODY[10:]


@pytest.mark.parametrize("content", [BODY, _chunks], ids=["whole", "in chunks"])
def test_a_body_beyond_the_bound_is_refused(content: Any) -> None:
    def ask(limit: int) -> tuple[int, int]:
        proxy = Scripted(body_bytes_max=limit)
        given = content if isinstance(content, bytes) else content()
        reply = proxy.ask("PUT", "/collections/docs/points", content=given)
        return reply.status_code, len(proxy.got)

    assert ask(len(BODY) - 1) == (413, 0)
    assert ask(len(BODY)) == (200, 1)


def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async def dribbles() -> AsyncIterator[bytes]:
        yield BODY[:10]
        await asyncio.Event().wait()

    proxy = Scripted(body_max_s=0.05)
    reply = proxy.ask("PUT", "/collections/docs/points", content=dribbles())
    assert reply.status_code == 408
    assert proxy.got == []


def test_a_compressed_write_is_refused_because_its_points_cannot_be_told() -> None:
    proxy = Scripted()
    headers = {"content-encoding": "gzip"}
    reply = proxy.ask("PUT", "/collections/docs/points", content=b"\x1f\x8b", headers=headers)
    assert reply.status_code == 415
    assert proxy.got == []


@pytest.mark.parametrize("path", ["/collections/docs/points/teleport", "/cluster/recover"])
def test_what_nobody_knows_is_refused_by_its_name(path: str) -> None:
    proxy = Scripted()
    reply = proxy.ask("POST", path, json={})
    assert reply.status_code == 501
    assert f"POST {path}" in reply.json()["status"]["error"]
    assert proxy.got == []


def test_a_read_and_its_answer_stay_as_they_are() -> None:
    packed = b"not really packed"

    def script(_: httpx.Request) -> httpx.Response:
        headers = [("content-encoding", "br"), ("x-a", "1"), ("x-a", "2"), ("connection", "close")]
        return httpx.Response(206, stream=_Raw(packed), headers=headers)

    proxy = Scripted(script)
    asked = b'{"vector": [1.0],   "limit": 3}'
    reply = proxy.ask(
        "POST",
        "/collections/a%20b/points/search?consistency=all",
        content=asked,
        headers={"api-key": "k", "accept-encoding": "br"},
    )
    request, body = proxy.got[0]
    assert body == asked
    assert request.url.raw_path == b"/collections/a%20b/points/search?consistency=all"
    assert request.headers["accept-encoding"] == "br"
    assert (reply.status_code, reply.content) == (206, packed)
    assert reply.headers.get_list("x-a") == ["1", "2"]
    assert "connection" not in reply.headers
    assert proxy.feed.steps() == []


class _Raw(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


def test_a_refused_look_up_is_the_answer_and_nothing_is_written() -> None:
    def script(_: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"status": {"error": "forbidden"}})

    proxy = Scripted(script)
    reply = proxy.ask("PUT", "/collections/now/points", content=BODY, headers={"api-key": "k"})
    assert (reply.status_code, reply.json()) == (403, {"status": {"error": "forbidden"}})
    assert [(r.url.path, r.headers["api-key"]) for r, _ in proxy.got] == [("/aliases", "k")]


def test_a_look_up_that_makes_no_sense_lets_nothing_out() -> None:
    proxy = Scripted(lambda _: httpx.Response(200, text="<html>"))
    assert proxy.ask("PUT", "/collections/now/points", content=BODY).status_code == 503
    assert proxy.feed.steps() == []


def test_a_collection_made_of_another_is_refused() -> None:
    proxy = Scripted()
    body = {"vectors": {}, "init_from": {"collection": "other"}}
    assert proxy.ask("PUT", "/collections/docs", json=body).status_code == 501
    assert proxy.got == []
    assert proxy.ask("PUT", "/collections/else", json=body).status_code == 200


def test_a_snapshot_is_restored_with_waiting_and_its_body_is_not_kept() -> None:
    def script(request: httpx.Request) -> httpx.Response:
        found = {"result": {"aliases": []}} if request.url.path == "/aliases" else {"result": True}
        return httpx.Response(200, json=found)

    proxy = Scripted(script, body_bytes_max=10)
    reply = proxy.ask("POST", "/collections/docs/snapshots/upload?wait=false", content=b"x" * 1000)
    assert reply.json() == {"result": True}
    request, body = proxy.got[-1]
    assert (request.url.query, len(body)) == (b"wait=true", 1000)
    assert proxy.feed.steps() == ["whole", "done"]


def test_an_error_speaks_qdrants_json() -> None:
    reply = Scripted().ask("PUT", "/collections/docs/points", content=b"{")
    assert reply.status_code == 400
    assert set(json.loads(reply.text)) == {"status", "time", "result"}
