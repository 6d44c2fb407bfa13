"""A feed on a log in memory: what is announced, what ends, and who may share it."""

import asyncio
import threading
from uuid import UUID

import pytest

from vecferry.errors import ConfigError
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds import Feed, OpenWrite, register
from vecferry.producers.feeds import feed as feeds
from vecferry.producers.feeds.options import Options
from vecferry.record import HintKind
from vecferry.testing.feeds import MemoryFeed, age, keys, kinds, rescans, single
from vecferry.testing.waiting import wait_until

INTENT, DONE = HintKind.INTENT, HintKind.DONE
FILTER_INTENT, FILTER_KEYS, FILTER_DONE = (
    HintKind.FILTER_INTENT,
    HintKind.FILTER_KEYS,
    HintKind.FILTER_DONE,
)


def test_intent_comes_before_the_write_and_done_after_it() -> None:
    feed = single()
    with feed.writing("docs", [1, "1"], verb="upsert"):
        assert kinds(feed) == [INTENT]
    assert kinds(feed) == [INTENT, DONE]
    before, after = feed.hints()
    assert before.request == after.request
    assert set(before.keys) == set(after.keys) == {b"4:docs0:i1", b"4:docs0:s1"}
    assert after.verb == "upsert"


def test_every_partition_that_has_a_key_is_told() -> None:
    feed = MemoryFeed(partitions=3)
    with feed.writing("docs", range(100)):
        pass
    assert [kinds(feed, number) for number in range(3)] == [[INTENT, DONE]] * 3
    assert len(keys(feed, INTENT)) == 100


def test_namespaces_and_uuids_are_part_of_the_key() -> None:
    feed = single()
    one = UUID(int=5)
    with feed.writing("docs", [one], namespace="eu"):
        pass
    assert keys(feed, DONE) == {key_bytes(Key("docs", "eu", one))}


def test_a_collection_that_does_not_move_costs_nothing() -> None:
    feed = single()
    with feed.writing("others", [1]) as write:
        assert not write.tracked
    whole = feed.begin_whole("others", "dropped")
    whole.fresh()
    whole.done()
    assert feed.hints() == []
    assert rescans(feed) == []


def test_a_write_of_no_keys_is_no_write() -> None:
    feed = single()
    with feed.writing("docs", []):
        pass
    assert feed.hints() == []


def test_an_unknown_outcome_leaves_the_intent_open() -> None:
    feed = single()
    with pytest.raises(TimeoutError), feed.writing("docs", [1]):
        raise TimeoutError
    assert kinds(feed) == [INTENT]


def test_a_definite_refusal_does_not() -> None:
    feed = single()

    def send() -> None:
        with feed.writing("docs", [1]) as write:
            write.refused()
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        send()
    assert kinds(feed) == [INTENT, DONE]


def test_a_write_ends_once() -> None:
    feed = single()
    write = feed.begin("docs", [1])
    write.done()
    write.done()
    write.unknown()
    assert kinds(feed) == [INTENT, DONE]
    assert feed.member is not None
    assert feed.member.tell()["in_flight"] == 0


def test_a_process_tells_which_application_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = MemoryFeed(name="api")
    monkeypatch.setattr(feeds, "_FEEDS", {feed})  # those of other tests reach nobody
    assert feed.member is None
    register()
    assert feed.member is not None
    assert feed.member.tell()["writer"] == "api"


def test_the_registrys_password_reaches_the_log_and_is_never_shown() -> None:
    options = Options(
        schema_registry_user="me",
        schema_registry_password="hidden",
        kafka={"sasl.password": "hidden"},
    )
    settings = options.log_settings("127.0.0.1:1")
    assert settings.schema_registry_user == "me"
    assert settings.schema_registry_password is not None
    assert settings.schema_registry_password.get_secret_value() == "hidden"
    assert "hidden" not in repr(options)
    assert Options().log_settings("127.0.0.1:1").schema_registry_password is None


def test_names_that_do_not_move_are_told_because_one_may_be_an_alias() -> None:
    feed = single()
    for name in ("live", "docs", *map(str, range(100))):
        feed.begin(name, [1]).done()
    assert feed.member is not None
    told = feed.member.tell()["passed_by"]
    assert isinstance(told, list)
    assert "live" in told
    assert "docs" not in told
    assert len(told) == 20


def test_a_feed_that_is_closed_under_a_coroutine_ends_its_write_in_peace() -> None:
    feed = single()

    async def main() -> None:
        async with feed.awriting("docs", [1]):
            feed.close()
        with pytest.raises(ConfigError, match="closed"):
            async with feed.awriting("docs", [2]):
                raise AssertionError("it must not be sent")

    asyncio.run(main())
    assert keys(feed, INTENT) == {b"4:docs0:i1"}


def test_the_reply_can_name_more_keys_and_a_position() -> None:
    feed = single()
    feed.begin("docs", [1]).done(ids=[("", 2)], position="77")
    done = feed.hints()[-1]
    assert set(done.keys) == {b"4:docs0:i1", b"4:docs0:i2"}
    assert done.position == "77"


def test_an_intent_that_has_aged_is_written_again_before_the_write() -> None:
    feed = single()
    write = feed.begin("docs", [1])
    write.fresh()
    assert kinds(feed) == [INTENT]
    age(write)
    write.fresh()
    assert kinds(feed) == [INTENT, INTENT]
    write.done()
    assert len({hint.request for hint in feed.hints()}) == 1


def test_threads_share_a_feed() -> None:
    feed = single()

    def write(number: int) -> None:
        for each in range(20):
            with feed.writing("docs", [number * 100 + each]):
                pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(feed).count(DONE) == 160
    assert feed.connections == 1


def test_the_event_loop_goes_on_while_a_write_waits_for_the_log() -> None:
    feed = single(intent_max_s=30.0)
    feed.collections  # noqa: B018 - opens it

    async def run() -> int:
        feed.publisher.is_down = True
        writing = asyncio.create_task(_write(feed))
        ticks = 0
        while not feed.hints():
            await asyncio.sleep(0.001)
            ticks += 1
        for _ in range(20):
            await asyncio.sleep(0.001)
            ticks += 1
        assert not writing.done()
        feed.publisher.is_down = False
        await writing
        return ticks

    assert asyncio.run(run()) >= 20
    feed.close()
    assert kinds(feed) == [INTENT, DONE]


async def _write(feed: Feed) -> None:
    async with feed.awriting("docs", [1]):
        pass


def test_a_coroutine_cancelled_while_it_waits_for_the_log_leaves_nothing_open() -> None:
    feed = single(intent_max_s=30.0)
    feed.collections  # noqa: B018 - opens it

    async def run() -> None:
        feed.publisher.is_down = True
        writing = asyncio.create_task(_write(feed))
        while not feed.hints():
            await asyncio.sleep(0.001)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        feed.publisher.is_down = False

    asyncio.run(run())
    wait_until(lambda: kinds(feed) == [INTENT, DONE])


def test_a_coroutine_cancelled_while_it_writes_leaves_its_intent_open() -> None:
    feed = single()

    async def write() -> None:
        async with feed.awriting("docs", [1]):
            await asyncio.sleep(60)

    async def run() -> None:
        writing = asyncio.create_task(write())
        while not feed.hints():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    asyncio.run(run())
    feed.close()
    assert kinds(feed) == [INTENT]


def test_a_child_begins_a_life_of_its_own() -> None:
    feed = single()
    feed.begin("docs", [1]).done()
    feed._after_fork()  # what a child runs
    assert not feed.is_open
    feed.begin("docs", [2]).done()
    assert feed.connections == 2


def test_a_write_that_needs_nothing_takes_every_call() -> None:
    write = OpenWrite()
    write.fresh()
    write.found([("", 1)])
    write.done(ids=[("", 1)])
    write.refused()
    write.unknown()
