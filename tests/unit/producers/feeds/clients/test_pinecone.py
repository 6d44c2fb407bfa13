"""A captured Pinecone client over the scripted service, and a log in memory."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pinecone import AsyncIndex, Index, Pinecone
from pinecone.errors.exceptions import ApiError, PineconeValueError

from vecferry.errors import ConfigError
from vecferry.model import parse_key
from vecferry.producers.feeds.clients import captured_by
from vecferry.producers.feeds.clients.pinecone import RULES, index_of
from vecferry.record import HintKind
from vecferry.testing.feeds import MemoryFeed
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.waiting import wait_until

SPEC = {"serverless": {"cloud": "aws", "region": "us-east-1"}}
ROW = [1.0, 2.0]


@pytest.fixture(scope="module")
def service() -> Iterator[PineconeServer]:
    with PineconeServer() as running:
        yield running


class Scene:
    """An index that moves, its client, and the captured one."""

    def __init__(self, service: PineconeServer, name: str = "docs") -> None:
        self.service, self.feed = service, MemoryFeed(partitions=1)
        with contextlib.closing(Pinecone(api_key="k", host=service.url)) as control:
            with contextlib.suppress(ApiError):
                control.indexes.delete(name)
            control.indexes.create(name=name, dimension=2, metric="euclidean", spec=SPEC)
        self.host = f"{service.url}/i/{name}"
        self.original = Index(host=self.host, api_key="k")
        self.client: Any = captured_by(self.feed, self.original)

    def hints(self, kind: HintKind) -> list[tuple[set[Any], str, str]]:
        return [
            (
                {(parse_key(key).namespace, parse_key(key).id) for key in hint.keys},
                hint.verb,
                hint.position,
            )
            for hint in self.feed.hints()
            if hint.kind is kind
        ]


@pytest.fixture
def scene(service: PineconeServer) -> Iterator[Scene]:
    service.script()
    made = Scene(service)
    yield made
    made.original.close()
    service.script()


@pytest.mark.parametrize("cls", [Index, AsyncIndex])
def test_every_public_name_of_the_client_was_reviewed(cls: type) -> None:
    assert RULES.unreviewed(cls) == frozenset()
    assert not RULES.passes & RULES.captures.keys()
    assert not RULES.refused.keys() & (RULES.captures.keys() | RULES.passes)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("https://docs-1-a1b2c3d.svc.aped-4627-b74a.pinecone.io", "docs-1"),
        ("docs-a1b2c3d.svc.us-east1-gcp.pinecone.io", "docs"),
        ("http://127.0.0.1:5080/i/docs", "docs"),
    ],
)
def test_the_host_tells_the_name_of_the_index(host: str, name: str) -> None:
    assert index_of(host) == name


def test_a_host_that_tells_no_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Feed\.writing"):
        index_of("https://vectors.example.org")


def test_writes_of_every_form_are_announced_and_end_with_their_number(scene: Scene) -> None:
    scene.client.upsert(vectors=[("a", ROW), {"id": "b", "values": ROW}], namespace="red")
    scene.client.update(id="a", set_metadata={"n": 1}, namespace="red")
    scene.client.delete(ids=["b"], namespace="red")
    scene.client.upsert(vectors=[("a", ROW)])
    keys = [{("red", "a"), ("red", "b")}, {("red", "a")}, {("red", "b")}, {("", "a")}]
    assert scene.hints(HintKind.INTENT) == [
        (found, verb, "")
        for found, verb in zip(keys, ["upsert", "upsert", "delete", "upsert"], strict=True)
    ]
    ended = [(found, position) for found, _, position in scene.hints(HintKind.DONE)]
    assert ended == list(zip(keys, ["1", "2", "3", "1"], strict=True))
    assert set(scene.client.fetch(ids=["a"], namespace="red").vectors) == {"a"}


def test_the_clients_own_refusals_end_the_write(scene: Scene) -> None:
    with pytest.raises(PineconeValueError):
        scene.client.upsert(vectors=[("a", [])])
    with pytest.raises(ApiError):
        scene.client.upsert(vectors=[("a", [1.0])])
    assert len(scene.hints(HintKind.INTENT)) == len(scene.hints(HintKind.DONE)) == 2


def test_a_try_that_broke_leaves_the_write_open(scene: Scene) -> None:
    """The client tries again by itself, and the answer is that of its second try."""
    scene.service.script(fail_status=503, fail_times=1, applied=True)
    scene.client.upsert(vectors=[("a", ROW)])
    assert len(scene.hints(HintKind.INTENT)) == 1
    assert scene.hints(HintKind.DONE) == []


def test_a_try_that_was_throttled_changed_nothing(scene: Scene) -> None:
    scene.service.script(fail_status=429, fail_times=1, retry_after_s=0.0)
    scene.client.upsert(vectors=[("a", ROW)])
    assert len(scene.hints(HintKind.DONE)) == 1


def test_batches_of_the_clients_own_stay_open(scene: Scene) -> None:
    vectors = [(f"id {n}", ROW) for n in range(20)]
    scene.client.upsert(vectors=vectors, batch_size=10, show_progress=False)
    [(keys, _, _)] = scene.hints(HintKind.INTENT)
    assert len(keys) == 20
    assert scene.hints(HintKind.DONE) == []


def test_emptying_a_namespace_is_a_rescan(scene: Scene) -> None:
    scene.client.upsert(vectors=[("a", ROW)], namespace="red")
    scene.client.delete(delete_all=True, namespace="red")
    assert [record.body["scope"] for record in scene.feed.control.history("rescan")] == ["docs"]


def test_an_index_that_does_not_move_goes_its_way(service: PineconeServer) -> None:
    other = Scene(service, f"other-{uuid.uuid4().hex[:6]}")
    other.client.upsert(vectors=[("a", ROW)])
    assert other.feed.hints() == []
    other.original.close()


@pytest.mark.parametrize("name", sorted(RULES.refused))
def test_what_could_write_past_the_capture_is_refused(name: str, scene: Scene) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not captured"):
        getattr(scene.client, name)


def test_the_async_client_is_captured_too(scene: Scene) -> None:
    async def run() -> None:
        original = AsyncIndex(host=scene.host, api_key="k")
        client: Any = captured_by(scene.feed, original)
        await client.upsert(vectors=[("a", ROW)], namespace="red")
        await client.delete(ids=["a"], namespace="red")
        await client.close()

    asyncio.run(run())
    wait_until(lambda: len(scene.hints(HintKind.DONE)) == 2)  # nobody waits for what ends a write
    assert [position for _, _, position in scene.hints(HintKind.INTENT)] == ["", ""]
    assert {position for _, _, position in scene.hints(HintKind.DONE)} == {"1", "2"}
