"""The proxy with a feed of its own, on a log."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import TopicPartition

from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.record import Hint, HintKind
from vecferry.settings import StoreSettings
from vecferry.testing import engines
from vecferry.testing.logs import Log, fresh_log, log_at
from vecferry.testing.proxies import RunningProxy
from vecferry.testing.waiting import wait_until

OPTIONS = {"size": 2, "distance": "Dot"}


def options() -> ProxyOptions:
    url, grpc_url = engines.qdrant()
    return ProxyOptions(
        StoreSettings(type="qdrant", url=url, grpc_url=grpc_url), port=0, grpc_port=0
    )


@pytest.fixture
def name() -> Iterator[str]:
    name = f"proxied-{time.monotonic_ns()}"
    path = f"{engines.qdrant()[0]}/collections/{name}"
    assert httpx.put(path, json={"vectors": OPTIONS}, timeout=60).status_code == 200
    yield name
    httpx.delete(path, timeout=60)


def prepare(log: Log, name: str) -> None:
    control = Control(log.connection, log.topics, SingleObjectCodec())
    body = {"collections": [[name, name]], "partitions": log.settings.partitions}
    control.append("migration", log.topics.migration, body)
    control.close()


def hints(log: Log) -> list[Hint]:
    """Everything in the hints topic, a partition after the other."""
    consumer = log.connection.consumer(f"{log.topics.hints}.look", auto_offset_reset="earliest")
    found: list[Hint] = []
    for number in range(log.settings.partitions):
        part = TopicPartition(log.topics.hints, number, 0)
        end = consumer.get_watermark_offsets(part, timeout=30)[1]
        consumer.assign([part])
        for _ in range(end):
            message = consumer.poll(60.0)
            assert message is not None
            assert message.error() is None
            found.append(SingleObjectCodec().decode_hint(message.value()))
    consumer.close()
    return found


def rescans(log: Log) -> list[object]:
    control = Control(log.connection, log.topics, SingleObjectCodec())
    control.read_to_end()
    found = [record.body["scope"] for record in control.history("rescan")]
    control.close()
    return found


def test_what_passes_is_in_the_log(name: str) -> None:
    log = fresh_log("embedded")
    prepare(log, name)
    feed = Feed(log.topics.migration, log.connection.bootstrap_servers)
    path = f"/collections/{name}/points"
    with (
        RunningProxy(feed, options()) as proxy,
        httpx.Client(base_url=proxy.url, timeout=60) as ask,
    ):
        points = [{"id": number, "vector": [1.0, 2.0]} for number in range(9)]
        assert ask.put(path, json={"points": points}).status_code == 200
        few = {"filter": {"must": [{"has_id": [1, 2]}]}}
        assert ask.post(f"{path}/delete", json=few).status_code == 200
        assert rescans(log) == []
        assert ask.delete(f"/collections/{name}").status_code == 200
        assert rescans(log) == [name]
    feed.close()

    found = hints(log)
    by_request: dict[str, list[Hint]] = {}
    for hint in found:
        by_request.setdefault(hint.request, []).append(hint)
    kinds = sorted({tuple(sorted({hint.kind for hint in each})) for each in by_request.values()})
    assert kinds == [
        (HintKind.DONE, HintKind.INTENT),
        (HintKind.FILTER_DONE, HintKind.FILTER_INTENT),
        (HintKind.FILTER_DONE, HintKind.FILTER_INTENT, HintKind.FILTER_KEYS),
    ]

    def keys(kind: HintKind) -> set[bytes]:
        return {key for hint in found if hint.kind is kind for key in hint.keys}

    def named(*ids: int) -> set[bytes]:
        return {key_bytes(Key(name, "", one)) for one in ids}

    assert keys(HintKind.INTENT) == keys(HintKind.DONE) == named(*range(9))
    assert keys(HintKind.FILTER_KEYS) == named(1, 2)


def test_while_there_is_no_kafka_reads_go_on_and_writes_are_refused_at_once(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # nothing there speaks Kafka
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        log = log_at(address)
        feed = Feed(log.topics.migration, address)
        with (
            RunningProxy(feed, options()) as proxy,
            httpx.Client(base_url=proxy.url, timeout=60) as ask,
        ):
            body = {"points": [{"id": 1, "vector": [1.0, 2.0]}]}
            for _ in range(2):
                reply = ask.put(f"/collections/{name}/points", json=body)
                assert (reply.status_code, reply.headers["retry-after"]) == (503, "2")
                count = ask.post(f"/collections/{name}/points/count", json={"exact": True})
                assert count.json()["result"]["count"] == 0
        feed.close()


def test_many_writes_at_once_are_all_announced(name: str) -> None:
    log = fresh_log("embedded")
    prepare(log, name)
    feed = Feed(log.topics.migration, log.connection.bootstrap_servers)
    failed: list[int] = []
    with RunningProxy(feed, options()) as proxy:

        def write(first: int) -> None:
            with httpx.Client(base_url=proxy.url, timeout=60) as ask:
                for number in range(first, first + 10):
                    body = {"points": [{"id": number, "vector": [1.0, 2.0]}]}
                    reply = ask.put(f"/collections/{name}/points", json=body)
                    if reply.status_code != 200:
                        failed.append(reply.status_code)

        threads = [threading.Thread(target=write, args=(at,)) for at in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    feed.close()
    assert not failed
    wanted = {key_bytes(Key(name, "", number)) for number in range(80)}
    for kind in (HintKind.INTENT, HintKind.DONE):
        wait_until(
            lambda kind=kind: (
                {key for hint in hints(log) if hint.kind is kind for key in hint.keys} == wanted
            )
        )
