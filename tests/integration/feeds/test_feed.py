"""Feeds on a real Kafka: registration, hints, an outage, a fork, the end of a process."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from vecferry.errors import ConfigError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.topics import create_topics
from vecferry.producers.feeds import Feed, LogUnavailable
from vecferry.record import ControlRecord, HintKind
from vecferry.testing.hinted import hints_of, prepare, prepared_log
from vecferry.testing.kafka import KafkaServer
from vecferry.testing.logs import Log, fresh_log, log_at
from vecferry.testing.waiting import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def log() -> Log:
    return prepared_log("docs")


@pytest.fixture
def feed(log: Log) -> Iterator[Feed]:
    feed = Feed(log.topics.migration, log.connection.bootstrap_servers)
    yield feed
    feed.close()


def processes(log: Log) -> dict[str, ControlRecord]:
    control = Control(log.connection, log.topics, SingleObjectCodec())
    control.read_to_end()
    found = control.latest("process")
    control.close()
    return found


def of_kind(log: Log, kind: HintKind) -> list[bytes]:
    return sorted(key for hint in hints_of(log) if hint.kind is kind for key in hint.keys)


def test_a_write_is_announced_and_ended_and_its_process_registered(log: Log, feed: Feed) -> None:
    assert feed.collections == {"docs"}
    with feed.writing("docs", [1, "1"], verb="upsert") as write:
        assert write.tracked
        assert of_kind(log, HintKind.INTENT) == [b"4:docs0:i1", b"4:docs0:s1"]
        assert of_kind(log, HintKind.DONE) == []
    wait_until(lambda: of_kind(log, HintKind.DONE) == [b"4:docs0:i1", b"4:docs0:s1"])
    (record,) = processes(log).values()
    assert record.body["role"] == "feed"
    assert record.body["pid"] == os.getpid()
    assert record.body["on_log_down"] == "refuse"
    feed.close()
    (record,) = processes(log).values()
    assert record.body["left"]


def test_coroutines_write_without_waiting_on_the_loop(log: Log, feed: Feed) -> None:
    async def write(number: int) -> None:
        async with feed.awriting("docs", [number]):
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(write(number) for number in range(50)))

    asyncio.run(run())
    feed.close()
    assert len(of_kind(log, HintKind.DONE)) == 50


def test_a_filter_write_is_in_every_partition_and_a_rescan_in_control(log: Log, feed: Feed) -> None:
    write = feed.begin_filter("docs", verb="delete", resolve=lambda: [("", 5)])
    write.fresh()
    write.done()
    whole = feed.begin_whole("docs", "the collection was dropped")
    whole.fresh()
    whole.done()
    feed.close()
    found = hints_of(log)
    assert [each.kind for each in found].count(HintKind.FILTER_INTENT) == 6
    assert [each.kind for each in found].count(HintKind.FILTER_DONE) == 6
    assert {each.scope for each in found if each.kind is HintKind.FILTER_INTENT} == {"docs"}
    assert of_kind(log, HintKind.FILTER_KEYS) == [b"4:docs0:i5"]
    control = Control(log.connection, log.topics, SingleObjectCodec())
    control.read_to_end()
    (rescan,) = control.latest("rescan").values()
    control.close()
    assert rescan.body["scope"] == "docs"


def test_a_migration_that_was_never_prepared_is_said_to_be(log: Log) -> None:
    bare = fresh_log("kafka")
    feed = Feed(bare.topics.migration, bare.connection.bootstrap_servers)
    with pytest.raises(ConfigError, match="vecferry init"):
        feed.begin("docs", [1])
    feed.close()


def test_a_kafka_that_is_not_there_refuses_soon_and_then_at_once() -> None:
    feed = Feed("m", "127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(LogUnavailable, match="does not answer"):
        feed.begin("docs", [1])
    first = time.monotonic() - started
    started = time.monotonic()
    for number in range(100):
        with pytest.raises(LogUnavailable):
            feed.begin("docs", [number])
    assert time.monotonic() - started < max(first, 1.0)
    feed.close()


_FORK = """
    import os, sys
    from vecferry.producers.feeds import Feed
    feed = Feed({migration!r}, {servers!r})
    with feed.writing("docs", [1]):
        pass
    child = os.fork()
    with feed.writing("docs", [3 if child else 2]):
        pass
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_child_opens_its_own_session_and_both_end_in_order(log: Log) -> None:
    script = textwrap.dedent(_FORK).format(
        migration=log.topics.migration, servers=log.connection.bootstrap_servers
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert of_kind(log, HintKind.DONE) == [b"4:docs0:i%d" % number for number in (1, 2, 3)]
    found = processes(log).values()
    assert len({record.body["pid"] for record in found}) == 2
    assert all(record.body.get("left") for record in found)


_KILLED = """
    import os, signal
    from vecferry.producers.feeds import Feed
    feed = Feed({migration!r}, {servers!r})
    with feed.writing("docs", [1]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_in_the_middle_leaves_its_intent_open(log: Log) -> None:
    script = textwrap.dedent(_KILLED).format(
        migration=log.topics.migration, servers=log.connection.bootstrap_servers
    )
    ended = subprocess.run([sys.executable, "-c", script], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert of_kind(log, HintKind.INTENT) == [b"4:docs0:i1"]
    assert of_kind(log, HintKind.DONE) == []
    (record,) = processes(log).values()
    assert not record.body.get("left")


def test_an_outage_refuses_or_owes_a_rescan_and_passes() -> None:
    with KafkaServer() as server:
        log = log_at(server.bootstrap_servers)
        create_topics(log.connection, log.topics, log.settings)
        prepare(log, "docs")
        strict = Feed(log.topics.migration, server.bootstrap_servers, intent_max_s=1.0)
        lenient = Feed(
            log.topics.migration,
            server.bootstrap_servers,
            intent_max_s=1.0,
            on_log_down="rescan",
        )
        for feed in (strict, lenient):
            with feed.writing("docs", [1]):
                pass
        server.stop()
        with pytest.raises(LogUnavailable):
            strict.begin("docs", [2])
        with lenient.writing("docs", [3]) as write:
            assert not write.tracked
        server.start()
        control = Control(log.connection, log.topics, SingleObjectCodec())
        wait_until(lambda: len(control.latest("rescan")) == 1)
        wait_until(lambda: _goes_out(strict))
        with lenient.writing("docs", [5]) as write:
            assert write.tracked
        strict.close()
        lenient.close()
        found = of_kind(log, HintKind.DONE)
        assert b"4:docs0:i4" in found
        assert b"4:docs0:i5" in found
        control.close()


def _goes_out(feed: Feed) -> bool:
    try:
        with feed.writing("docs", [4]):
            return True
    except LogUnavailable:
        return False
