"""What every captured client has in common, and the reviewed tables of the vendors' methods."""

import asyncio
import inspect
import subprocess
import sys
import warnings
from typing import Any

import pytest
from pymilvus import AsyncMilvusClient, MilvusClient
from qdrant_client import AsyncQdrantClient, QdrantClient

import vecferry
from vecferry.errors import ConfigError
from vecferry.producers.feeds.clients import captured, captured_by
from vecferry.producers.feeds.clients.milvus import RULES as MILVUS
from vecferry.producers.feeds.clients.qdrant import RULES as QDRANT
from vecferry.producers.feeds.clients.wrapping import Rules
from vecferry.testing.feeds import MemoryFeed

CLASSES = [
    (QdrantClient, QDRANT),
    (AsyncQdrantClient, QDRANT),
    (MilvusClient, MILVUS),
    (AsyncMilvusClient, MILVUS),
]


@pytest.mark.parametrize(("cls", "rules"), CLASSES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_public_name_of_the_client_was_reviewed(cls: type, rules: Rules) -> None:
    assert rules.unreviewed(cls) == frozenset(), (
        "a version of the client has new names: say of each whether it reads, writes or is refused"
    )


def test_a_name_that_nobody_reviewed_is_seen() -> None:
    newer = type("QdrantClient", (QdrantClient,), {"merge_points": lambda self: None})
    newer.__module__ = "qdrant_client.qdrant_client"
    assert QDRANT.unreviewed(newer) == {"merge_points"}


@pytest.mark.parametrize(("cls", "rules"), CLASSES, ids=lambda one: getattr(one, "__name__", ""))
def test_no_name_is_in_two_columns(cls: type, rules: Rules) -> None:
    assert not rules.passes & rules.captures.keys()
    assert not rules.passes & rules.refused.keys()
    assert not rules.captures.keys() & rules.refused.keys()


_CHANGES = ("upsert", "insert", "delete_p", "set_", "overwrite", "clear", "update_v", "truncate")


@pytest.mark.parametrize("rules", [QDRANT, MILVUS])
def test_what_passes_does_not_sound_like_a_write(rules: Rules) -> None:
    sounds = {name for name in rules.passes if name.startswith(_CHANGES)}
    assert sounds <= {"delete_payload_index", "set_model", "set_sparse_model"}


@pytest.fixture
def client() -> Any:
    return QdrantClient(":memory:")


@pytest.fixture
def feed() -> MemoryFeed:
    return MemoryFeed(partitions=1)


def test_the_captured_client_is_an_instance_of_the_same_class(client: Any, feed: Any) -> None:
    found = captured_by(feed, client)
    assert isinstance(found, QdrantClient)
    for name in QDRANT.captures:
        ours, theirs = getattr(type(found), name), getattr(QdrantClient, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__


def test_coroutine_functions_stay_coroutine_functions(feed: Any) -> None:
    found = captured_by(feed, AsyncQdrantClient(":memory:"))
    for name in QDRANT.captures:
        ours, theirs = getattr(type(found), name), getattr(AsyncQdrantClient, name)
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)


def test_the_connection_outlives_the_original_and_closes_with_both(feed: Any) -> None:
    found = captured_by(feed, QdrantClient(":memory:"))
    assert found.get_collections().collections == []
    found.close()
    with pytest.raises(RuntimeError):
        found.get_collections()


def test_the_original_keeps_its_connection_when_the_captured_one_goes(
    client: Any, feed: Any
) -> None:
    captured_by(feed, client)
    assert client.get_collections().collections == []


def test_a_subclass_of_the_users_own_is_captured_as_it_is(feed: Any) -> None:
    class Own(QdrantClient):
        def double(self) -> str:
            return "twice"

    found = captured_by(feed, Own(":memory:"))
    assert isinstance(found, Own)
    assert found.double() == "twice"


@pytest.mark.parametrize("name", sorted(QDRANT.refused))
def test_what_could_write_past_the_capture_is_refused_by_name(
    name: str, client: Any, feed: Any
) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not captured"):
        getattr(captured_by(feed, client), name)


def test_a_method_of_a_newer_client_is_refused(client: Any, feed: Any) -> None:
    newer = type("QdrantClient", (QdrantClient,), {"merge_points": lambda self: None})
    newer.__module__ = "qdrant_client.qdrant_client"
    client.__class__ = newer
    with pytest.raises(ConfigError, match="merge_points is not known"):
        _ = captured_by(feed, client).merge_points


def test_wrong_arguments_raise_what_the_client_raises(client: Any, feed: Any) -> None:
    with pytest.raises(TypeError):
        captured_by(feed, client).upsert()
    assert feed.hints() == []


def test_capturing_twice_is_an_error(client: Any, feed: Any) -> None:
    with pytest.raises(ConfigError, match="captured already"):
        captured_by(feed, captured_by(feed, client))


def test_another_kind_of_client_is_refused_with_what_to_use() -> None:
    with pytest.raises(ConfigError, match=r"sidecar"):
        captured(object(), migration="m", bootstrap_servers="127.0.0.1:1")


def test_a_client_that_waits_longer_than_a_write_may_take_is_refused(feed: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slow = QdrantClient("http://127.0.0.1:1", timeout=31, check_compatibility=False)
    with pytest.raises(ConfigError, match="request_max_s"):
        captured_by(feed, slow)
    slow.close()


def test_clients_captured_alike_share_a_feed() -> None:
    where: Any = {"migration": "m", "bootstrap_servers": "127.0.0.1:1"}
    one = captured(QdrantClient(":memory:"), **where)
    two = captured(QdrantClient(":memory:"), **where)
    other = captured(QdrantClient(":memory:"), request_max_s=20.0, **where)
    feeds: list[Any] = [each._vecferry.feed for each in (one, two, other)]  # type: ignore[attr-defined]
    assert feeds[0] is feeds[1]
    assert feeds[0] is not feeds[2]
    for each in feeds:
        each.close()


def test_importing_the_package_imports_no_client() -> None:
    script = (
        "import sys, vecferry; "
        "bad = [n for n in ('confluent_kafka', 'qdrant_client', 'pymilvus') if n in sys.modules]; "
        "assert not bad, bad; vecferry.captured; "
        "bad = [n for n in ('qdrant_client', 'pymilvus') if n in sys.modules]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_packages_root_says_so_of_a_name_that_it_lacks() -> None:
    assert vecferry.captured is captured
    with pytest.raises(AttributeError, match="no attribute 'capture'"):
        _ = vecferry.capture


def test_an_async_client_is_entered_as_its_original(feed: Any) -> None:
    found = captured_by(feed, AsyncMilvusClient("http://127.0.0.1:1"))
    assert isinstance(found, AsyncMilvusClient)
    asyncio.run(found.close())
