"""Captured Milvus clients against Milvus Lite and a log on a real Kafka."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pymilvus import AsyncMilvusClient, DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from vecferry.model import parse_key
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.clients import captured_by
from vecferry.record import HintKind
from vecferry.testing import engines
from vecferry.testing.hinted import hints_of, prepared_log
from vecferry.testing.logs import Log

pytestmark = pytest.mark.kafka


@pytest.fixture
def log() -> Log:
    return prepared_log()


@pytest.fixture
def feed(log: Log) -> Iterator[Feed]:
    feed = Feed(log.topics.migration, log.connection.bootstrap_servers)
    yield feed
    feed.close()


@pytest.fixture
def original() -> Iterator[MilvusClient]:
    client = MilvusClient(engines.milvus_lite())
    yield client
    client.close()


def create(client: MilvusClient, name: str, pk: Any, *, auto_id: bool = False) -> None:
    schema = client.create_schema(auto_id=auto_id, enable_dynamic_field=True)
    more = {"max_length": 64} if pk == DataType.VARCHAR else {}
    schema.add_field("key", pk, is_primary=True, **more)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index)


def row(key: Any = None, **fields: Any) -> dict[str, Any]:
    return {"vector": [1.0, 2.0], **({} if key is None else {"key": key}), **fields}


def ids(log: Log, kind: HintKind) -> set[Any]:
    return {parse_key(key).id for hint in hints_of(log) if hint.kind is kind for key in hint.keys}


@pytest.mark.parametrize("pk", [DataType.INT64, DataType.VARCHAR])
def test_writes_of_every_form_reach_the_source_and_the_log(
    log: Log, feed: Feed, original: MilvusClient, pk: Any
) -> None:
    name = f"docs_{log.topics.migration}"
    create(original, name, pk)
    client: Any = captured_by(feed, original)
    keys = [1, 2, 3, 4] if pk == DataType.INT64 else ["1", 'a"b', "3", "it's"]
    client.insert(name, [row(key, n=number) for number, key in enumerate(keys)])
    client.upsert(name, [row(keys[0], n=9)])
    client.delete(name, filter="n == 1 or n == 2")
    client.delete(name, ids=[keys[0]])
    with pytest.raises(MilvusException):
        client.upsert(name, [{"key": keys[0], "vector": [1.0]}])
    left = client.query(name, filter="n >= 0", consistency_level="Strong")
    assert [each["key"] for each in left] == [keys[3]]
    feed.close()
    found = hints_of(log)
    intents = [hint.request for hint in found if hint.kind is HintKind.INTENT]
    done = [hint.request for hint in found if hint.kind is HintKind.DONE]
    assert sorted(intents) == sorted(done)  # what the client itself refused has ended, too
    assert ids(log, HintKind.DONE) == set(keys)
    assert ids(log, HintKind.FILTER_KEYS) == {keys[1], keys[2]}
    original.drop_collection(name)


def test_a_filter_that_finds_more_than_a_page_finds_all(
    log: Log, feed: Feed, original: MilvusClient
) -> None:
    name = f"docs_{log.topics.migration}"
    create(original, name, DataType.INT64)
    for start in range(0, 9_000, 3_000):
        original.insert(name, [row(number, n=1) for number in range(start, start + 3_000)])
    captured: Any = captured_by(feed, original)
    captured.delete(name, filter="n == 1")
    feed.close()
    assert ids(log, HintKind.FILTER_KEYS) == set(range(9_000))
    original.drop_collection(name)


def test_the_reply_names_the_keys_that_milvus_chose(
    log: Log, feed: Feed, original: MilvusClient
) -> None:
    name = f"docs_{log.topics.migration}"
    create(original, name, DataType.INT64, auto_id=True)
    captured: Any = captured_by(feed, original)
    made = list(captured.insert(name, [row(n=1), row(n=2)])["ids"])
    feed.close()
    assert ids(log, HintKind.FILTER_DONE) == set(made)
    original.drop_collection(name)


def test_the_async_client_reaches_the_log_too(log: Log, feed: Feed, original: MilvusClient) -> None:
    name = f"docs_{log.topics.migration}"
    create(original, name, DataType.INT64)

    async def run() -> None:
        client: Any = captured_by(feed, AsyncMilvusClient(engines.milvus_lite()))
        await asyncio.gather(*(client.upsert(name, [row(number, n=1)]) for number in range(10)))
        await client.delete(name, filter="n == 1")
        await client.close()

    asyncio.run(run())
    feed.close()
    assert ids(log, HintKind.DONE) == set(range(10))
    assert ids(log, HintKind.FILTER_KEYS) == set(range(10))
    original.drop_collection(name)
