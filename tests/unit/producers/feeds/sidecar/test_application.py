import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest

from vecferry.errors import ConfigError, RecordError, TransientError
from vecferry.producers.feeds.options import Options
from vecferry.producers.feeds.session import LogUnavailable
from vecferry.producers.feeds.sidecar.application import Limits, Sidecar
from vecferry.producers.feeds.sidecar.bodies import BODY_BYTES_MAX
from vecferry.producers.feeds.writes import OpenWrite

_T = TypeVar("_T")


class Write(OpenWrite):
    """Notes what becomes of it."""

    def __init__(self, feed: "RecordingFeed", told: tuple[Any, ...]) -> None:
        self._feed = feed
        feed.told.append(told)

    def fresh(self) -> None:
        if self._feed.refuses_fresh:
            raise LogUnavailable("the log is away")
        self._feed.told.append(("fresh",))

    def found(self, ids: Any) -> None:
        self._feed.told.append(("found", list(ids)))

    def done(self, *, ids: Any = None, position: str = "") -> None:
        self._feed.told.append(("done", list(ids or ()), position))

    def unknown(self) -> None:
        self._feed.told.append(("unknown",))


class RecordingFeed:
    """A feed that writes down what it is asked."""

    def __init__(self, **options: Any) -> None:
        self.options = Options(**options)
        self.told: list[tuple[Any, ...]] = []
        self.fails_with: Exception | None = None
        self.refuses_fresh = False
        self.gate = threading.Event()
        self.gate.set()
        self._threads = ThreadPoolExecutor(2)

    @property
    def collections(self) -> frozenset[str]:
        self._meet()
        return frozenset({"docs", "books"})

    def begin(
        self, collection: str, ids: Any, *, namespace: str = "", verb: str = "unknown"
    ) -> OpenWrite:
        self._meet()
        return Write(self, ("begin", collection, list(ids), namespace, verb))

    def begin_filter(self, collection: str, *, verb: str = "unknown") -> OpenWrite:
        self._meet()
        return Write(self, ("begin_filter", collection, verb))

    async def begun(self, begin: Callable[[], OpenWrite]) -> OpenWrite:
        return await self.in_thread(begin)

    async def in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.wrap_future(self._threads.submit(call))

    def close(self) -> None:
        self.gate.set()
        self._threads.shutdown()

    def _meet(self) -> None:
        assert self.gate.wait(60)
        if self.fails_with is not None:
            raise self.fails_with


class Client:
    """Calls the application in the test's own event loop."""

    def __init__(self, inner: httpx.AsyncClient, sidecar: Sidecar) -> None:
        self._inner, self.sidecar = inner, sidecar

    async def post(self, name: str, **body: Any) -> httpx.Response:
        return await self._inner.post(f"/v1/writes/{name}", json=body)

    async def begin(self, **more: Any) -> str:
        answer = await self.post("begin", **({"collection": "docs", "ids": [1]} | more))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["ticket"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
def feed() -> Any:
    feed = RecordingFeed()
    yield feed
    feed.close()


@contextlib.asynccontextmanager
async def served(feed: Any, **limits: Any) -> AsyncIterator[Client]:
    sidecar = Sidecar(feed, Limits(**limits))
    application = sidecar.application()
    transport = httpx.ASGITransport(app=application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield Client(client, sidecar)


def run(test: Callable[[Client], Any], feed: Any, **limits: Any) -> None:
    async def inside() -> None:
        async with served(feed, **limits) as client:
            await test(client)

    asyncio.run(inside())


def test_a_write_is_begun_and_ended(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        answer = await client.post(
            "begin", collection="docs", namespace="ns", ids=[1, "1"], verb="delete"
        )
        assert answer.json().keys() == {"ticket", "send_within_s", "request_max_s"}
        assert 0 < answer.json()["send_within_s"] <= feed.options.intent_max_s
        ticket = answer.json()["ticket"]
        ended = await client.post(
            "end", ticket=ticket, outcome="done", ids=[7], namespace="ns", position="5"
        )
        assert (ended.status_code, ended.json()) == (200, {})

    run(test, feed)
    assert feed.told == [
        ("begin", "docs", [1, "1"], "ns", "delete"),
        ("fresh",),
        ("done", [("ns", 7)], "5"),
    ]


def test_an_unknown_outcome_leaves_the_write_open(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        await client.post("end", ticket=await client.begin(), outcome="unknown")

    run(test, feed)
    assert feed.told[-1] == ("unknown",)


def test_a_write_by_a_filter_tells_its_ids_before_it_is_sent(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        ticket = await client.begin(ids=[], filter=True, verb="delete")
        for ids in ([1, 2], [3]):
            assert (await client.post("found", ticket=ticket, ids=ids)).status_code == 200
        await client.post("end", ticket=ticket, outcome="done")

    run(test, feed)
    assert feed.told == [
        ("begin_filter", "docs", "delete"),
        ("fresh",),
        ("found", [("", 1), ("", 2)]),
        ("found", [("", 3)]),
        ("done", [], ""),
    ]


@pytest.mark.parametrize(
    "body", [{"ids": []}, {"ids": [1], "filter": True}, {"ids": [1.5]}, {"ids": [1], "x": 1}]
)
def test_a_begin_that_is_not_understood_begins_nothing(
    feed: RecordingFeed, body: dict[str, Any]
) -> None:
    async def test(client: Client) -> None:
        answer = await client.post("begin", **{"collection": "docs", **body})
        assert answer.status_code == 400
        assert answer.json()["error"]

    run(test, feed)
    assert feed.told == []


@pytest.mark.parametrize("name", ["found", "renew", "end"])
def test_a_ticket_that_is_not_there_is_told_of(feed: RecordingFeed, name: str) -> None:
    more: dict[str, Any] = {"found": {"ids": [1]}, "end": {"outcome": "done"}}.get(name, {})

    async def test(client: Client) -> None:
        answer = await client.post(name, ticket="no such", **more)
        assert answer.status_code == 410
        assert "the same ids" in answer.json()["error"]

    run(test, feed)


def test_a_ticket_is_renewed(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        ticket = await client.begin()
        answer = await client.post("renew", ticket=ticket)
        assert answer.json()["ticket"] == ticket

    run(test, feed)
    assert feed.told[1:3] == [("fresh",), ("fresh",)]


def test_a_renewal_that_is_refused_ends_the_ticket(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        ticket = await client.begin()
        feed.refuses_fresh = True
        assert (await client.post("renew", ticket=ticket)).status_code == 503
        assert (await client.post("renew", ticket=ticket)).status_code == 410

    run(test, feed)


@pytest.mark.parametrize(
    ("error", "code", "retry_after"),
    [
        (LogUnavailable("the log is away"), 503, "1"),
        (TransientError("later", retry_after_s=4.2), 503, "5"),
        (RecordError("a key is too large"), 400, None),
        (ConfigError("never prepared"), 500, None),
    ],
)
def test_an_error_of_the_feed_has_its_answer_and_leaves_no_ticket(
    feed: RecordingFeed, error: Exception, code: int, retry_after: str | None
) -> None:
    feed.fails_with = error

    async def test(client: Client) -> None:
        answer = await client.post("begin", collection="docs", ids=[1])
        assert answer.status_code == code
        assert answer.headers.get("retry-after") == retry_after
        assert str(error) in answer.json()["error"]
        feed.fails_with = None
        await client.begin()  # its room was given back
        assert len(client.sidecar.tickets) == 1

    run(test, feed, tickets_max=1)


def test_too_many_open_writes_are_refused_before_they_are_announced(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        ticket = await client.begin()
        answer = await client.post("begin", collection="docs", ids=[2])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert len(feed.told) == 2
        await client.post("end", ticket=ticket, outcome="done")
        await client.begin()

    run(test, feed, tickets_max=1)


def test_too_many_waits_for_kafka_are_refused_and_the_others_go_on(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        feed.gate.clear()
        waiting = asyncio.create_task(client.post("begin", collection="docs", ids=[1]))
        while not client.sidecar._waiting:
            await asyncio.sleep(0.01)
        refused = await client.post("begin", collection="docs", ids=[2])
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        feed.gate.set()
        assert (await waiting).status_code == 200

    run(test, feed, waiting_max=1)


def test_a_ticket_expires_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecferry.producers.feeds.sidecar.application._EXPIRE_S", 0.01)
    feed = RecordingFeed(request_max_s=0.1, intent_max_s=0.1)

    async def test(client: Client) -> None:
        await client.begin()
        while len(client.sidecar.tickets):
            await asyncio.sleep(0.01)

    run(test, feed)
    assert feed.told[-1] == ("unknown",)
    feed.close()


def test_what_is_open_at_the_end_is_left_to_the_sweep(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        await client.begin()

    run(test, feed)
    assert feed.told[-1] == ("unknown",)


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer wrong"}, {"authorization": "é"}])
def test_without_the_token_nothing_is_begun(feed: RecordingFeed, header: dict[str, str]) -> None:
    async def test(client: Client) -> None:
        body = {"collection": "docs", "ids": [1]}
        coded = {name: value.encode() for name, value in header.items()}
        answer = await client._inner.post("/v1/writes/begin", json=body, headers=coded)
        assert answer.status_code == 401
        assert "secret" not in answer.text
        right = {"authorization": "Bearer secret"}
        assert (
            await client._inner.post("/v1/writes/begin", json=body, headers=right)
        ).status_code == 200
        assert (await client.get("/healthz")).status_code == 200

    run(test, feed, token="secret")
    assert [one[0] for one in feed.told[:2]] == ["begin", "fresh"]


def test_a_page_in_a_browser_cannot_begin_a_write(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        raw = json.dumps({"collection": "docs", "ids": [1]})
        simple = await client._inner.post(
            "/v1/writes/begin", content=raw, headers={"content-type": "text/plain"}
        )
        assert simple.status_code == 415
        by_name = await client._inner.post(
            "/v1/writes/begin",
            content=raw,
            headers={"content-type": "application/json", "host": "elsewhere.example"},
        )
        assert by_name.status_code == 400

    run(test, feed, hosts=("127.0.0.1",))
    assert feed.told == []


def test_a_body_that_is_too_large_is_not_held(feed: RecordingFeed) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * BODY_BYTES_MAX:
            sent += 1_000_000
            yield b" " * 1_000_000

    async def test(client: Client) -> None:
        answer = await client._inner.post(
            "/v1/writes/begin", content=endless(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413

    run(test, feed)
    assert sent <= BODY_BYTES_MAX + 2_000_000


def test_health_is_whether_the_log_answers(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        answer = await client.get("/healthz")
        assert answer.json() == {"collections": ["books", "docs"], "tickets": 0}
        feed.fails_with = LogUnavailable("the log is away")
        assert (await client.get("/healthz")).status_code == 503

    run(test, feed)


def test_the_document_and_the_page_are_served(feed: RecordingFeed) -> None:
    async def test(client: Client) -> None:
        assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")
        page = await client.get("/docs")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await client.get("/v1/writes/begin")).status_code == 405

    run(test, feed)
