"""Captured Qdrant clients against a server and a log on a real Kafka, REST and gRPC."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from vecferry.log.topics import Topics
from vecferry.model import parse_key
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.clients import captured_by
from vecferry.record import HintKind
from vecferry.testing import engines
from vecferry.testing.hinted import hints_of, prepared_log
from vecferry.testing.logs import Log

pytestmark = pytest.mark.kafka
ONE = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


@pytest.fixture(scope="module")
def address() -> dict[str, Any]:
    url, grpc_url = engines.qdrant()
    return {"url": url, "grpc_port": int(grpc_url.rsplit(":", 1)[1]), "check_compatibility": False}


@pytest.fixture
def log() -> Log:
    return prepared_log()


@pytest.fixture
def feed(log: Log) -> Iterator[Feed]:
    feed = Feed(log.topics.migration, log.connection.bootstrap_servers)
    yield feed
    feed.close()


@pytest.fixture
def name(log: Log, address: dict[str, Any]) -> Iterator[str]:
    original = QdrantClient(**address)
    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    name = prepared_name(log.topics)
    original.create_collection(name, vectors_config=size)
    yield name
    original.delete_collection(name)
    original.close()


def prepared_name(topics: Topics) -> str:
    return f"docs_{topics.migration}"


def point(number: Any, n: int = 1) -> models.PointStruct:
    return models.PointStruct(id=number, vector=[1.0, 2.0], payload={"n": n})


def filter_of(value: int) -> models.Filter:
    match = models.FieldCondition(key="n", match=models.MatchValue(value=value))
    return models.Filter(must=[match])


def ids(log: Log, kind: HintKind) -> set[Any]:
    return {parse_key(key).id for hint in hints_of(log) if hint.kind is kind for key in hint.keys}


@pytest.mark.parametrize("prefer_grpc", [False, True])
def test_writes_of_every_form_reach_the_source_and_the_log(
    log: Log, feed: Feed, name: str, address: dict[str, Any], prefer_grpc: bool
) -> None:
    client: Any = captured_by(feed, QdrantClient(**address, prefer_grpc=prefer_grpc))
    client.upsert(name, [point(1), point(2, 2), point(ONE)])
    client.upload_points(name, [point(number, 7) for number in range(10, 80)], batch_size=32)
    client.set_payload(name, {"x": 1}, [1])
    client.delete(name, filter_of(7))
    client.delete(name, [2])
    refused = grpc.RpcError if prefer_grpc else UnexpectedResponse
    with pytest.raises(refused):
        client.upsert(name, [models.PointStruct(id=5, vector=[1.0])])
    assert {record.id for record in client.scroll(name)[0]} == {1, ONE}
    client.close()
    feed.close()
    found = hints_of(log)
    intents = [hint.request for hint in found if hint.kind is HintKind.INTENT]
    done = [hint.request for hint in found if hint.kind is HintKind.DONE]
    # also the refused one has ended: an open INTENT would hold the lag up
    assert sorted(intents) == sorted(done)
    assert {str(each) for each in ids(log, HintKind.DONE)} == {
        *(str(number) for number in (1, 2, 5, *range(10, 80))),
        ONE,
    }
    assert ids(log, HintKind.FILTER_KEYS) == set(range(10, 80))


def test_the_async_client_reaches_the_log_too(
    log: Log, feed: Feed, name: str, address: dict[str, Any]
) -> None:
    async def run() -> None:
        client: Any = captured_by(feed, AsyncQdrantClient(**address))
        await asyncio.gather(*(client.upsert(name, [point(number)]) for number in range(20)))
        await client.delete(name, filter_of(1))
        assert (await client.count(name)).count == 0
        await client.close()

    asyncio.run(run())
    feed.close()
    assert ids(log, HintKind.DONE) == set(range(20))
    assert ids(log, HintKind.FILTER_KEYS) == set(range(20))


def test_an_alias_leads_to_the_collection_that_moves(
    log: Log, feed: Feed, name: str, address: dict[str, Any]
) -> None:
    client: Any = captured_by(feed, QdrantClient(**address))
    alias = models.CreateAlias(collection_name=name, alias_name=f"{name}_live")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    client.upsert(f"{name}_live", [point(3)])
    client.close()
    feed.close()
    assert ids(log, HintKind.DONE) == {3}
