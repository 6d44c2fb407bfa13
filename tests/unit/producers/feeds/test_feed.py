"""A feed on a log in memory: what is announced, what ends, what happens when the log is away."""

import asyncio
import threading
import time
from typing import Any
from uuid import UUID

import pytest

from vecferry.errors import ConfigError, HaltError, UnknownOutcome
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds import Feed, LogUnavailable, OpenWrite
from vecferry.producers.feeds.writes import FilterWrite
from vecferry.record import Hint, HintKind
from vecferry.testing.captures import PATIENCE_S, SmallWorld
from vecferry.testing.feeds import MemoryFeed
from vecferry.testing.waiting import wait_until

INTENT, DONE = HintKind.INTENT, HintKind.DONE
FILTER_INTENT, FILTER_KEYS, FILTER_DONE = (
    HintKind.FILTER_INTENT,
    HintKind.FILTER_KEYS,
    HintKind.FILTER_DONE,
)


def kinds(feed: MemoryFeed, partition: int | None = None) -> list[HintKind]:
    return [hint.kind for hint in feed.hints(partition)]


def keys(feed: MemoryFeed, kind: HintKind) -> set[bytes]:
    return {key for hint in feed.hints() if hint.kind is kind for key in hint.keys}


def rescans(feed: MemoryFeed) -> list[str]:
    return [str(record.body["scope"]) for record in feed.control.history("rescan")]


def age(write: Any) -> None:
    write._announced_at -= 10.0


def single(**options: Any) -> MemoryFeed:
    return MemoryFeed(partitions=1, **options)


# --- one write ---


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


# --- filters ---


def test_a_filter_write_opens_everywhere_before_it_is_resolved() -> None:
    feed = MemoryFeed(partitions=3)
    seen: list[list[HintKind]] = []

    def resolve() -> list[tuple[str, int]]:
        seen.append(kinds(feed))
        return [("", 1)]

    write = feed.begin_filter("docs", verb="delete", resolve=resolve)
    assert seen == [[FILTER_INTENT] * 3]
    assert keys(feed, FILTER_KEYS) == {b"4:docs0:i1"}
    write.fresh()
    write.done()
    assert kinds(feed).count(FILTER_DONE) == 3
    assert {hint.scope for hint in feed.hints() if hint.kind is FILTER_INTENT} == {"docs"}


def test_a_filter_that_cannot_be_resolved_ends_and_raises_its_error() -> None:
    feed = single()

    def resolve() -> list[tuple[str, int]]:
        raise OSError("no such field")

    with pytest.raises(OSError, match="no such field"):
        feed.begin_filter("docs", resolve=resolve)
    assert kinds(feed) == [FILTER_INTENT, FILTER_DONE]


def test_many_ids_are_told_in_several_records() -> None:
    feed = single()
    feed.begin_filter("docs", resolve=lambda: (("", number) for number in range(25_000))).done()
    assert kinds(feed).count(FILTER_KEYS) == 3
    assert len(keys(feed, FILTER_KEYS)) == 25_000


def test_an_aged_filter_write_keeps_its_first_announcement_open() -> None:
    feed = single()
    write = feed.begin_filter("docs", resolve=lambda: [("", 1)])
    age(write)
    write.fresh()
    write.done()
    assert kinds(feed) == [FILTER_INTENT, FILTER_KEYS, FILTER_INTENT, FILTER_DONE, FILTER_DONE]
    begun = [hint.request for hint in feed.hints() if hint.kind is FILTER_INTENT]
    ended = [hint.request for hint in feed.hints() if hint.kind is FILTER_DONE]
    assert begun == ended
    assert len(set(begun)) == 2


class _RenewsOnly(FilterWrite):
    """Leaves out a rule: the first announcement ends when the second is there."""

    def _announce(self) -> None:
        super()._announce()
        for request in self._requests[:-1]:
            self._session.end(Hint(FILTER_DONE, request))
        del self._requests[:-1]


@pytest.mark.parametrize(("cls", "arrives"), [(FilterWrite, True), (_RenewsOnly, False)])
def test_a_point_slipped_in_while_the_filter_was_resolved_is_read_after_the_delete(
    cls: type[FilterWrite], arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.producers.feeds.feed.FilterWrite", cls)
    feed = single()
    world = SmallWorld()
    world.put(1)
    write = feed.begin_filter("docs", verb="delete", resolve=list)  # finds nothing yet
    with feed.writing("docs", [1]):  # another process: the point now matches
        pass
    age(write)
    write.fresh()
    hints = feed.hints()
    for hint in hints:
        _take(world, hint)
    worker = world.worker()
    worker.turn()
    world.delete(1)  # the delete by filter
    write.done()
    for hint in feed.hints()[len(hints) :]:
        _take(world, hint)
    worker.turn()
    worker.turn()
    assert (world.folded() == world.held()) is arrives


def _take(world: SmallWorld, hint: Hint) -> None:
    world.log.append("vecferry.m.forward.hints", 0, None, world.codec.encode_hint(hint))


def test_a_filter_write_that_ends_too_late_is_left_to_the_sweep() -> None:
    feed = single()
    write: Any = feed.begin_filter("docs")
    write._began_at -= feed.options.request_max_s
    write.done()
    assert kinds(feed) == [FILTER_INTENT]


def test_a_reply_names_the_keys_of_new_points() -> None:
    feed = single()
    write = feed.begin_filter("docs", verb="upsert")
    write.fresh()
    write.done(ids=[("", 9)])
    assert keys(feed, FILTER_DONE) == {b"4:docs0:i9"}


# --- whole collections ---


def test_a_whole_write_puts_its_rescan_on_record_before_it_ends() -> None:
    feed = single()
    write = feed.begin_whole("docs", "dropped")
    write.fresh()
    assert rescans(feed) == []
    write.done()
    assert rescans(feed) == ["docs"]
    assert kinds(feed) == [FILTER_INTENT, FILTER_DONE]


def test_a_whole_write_that_was_refused_needs_no_rescan() -> None:
    feed = single()
    feed.begin_whole("docs", "dropped").refused()
    assert rescans(feed) == []
    assert kinds(feed) == [FILTER_INTENT, FILTER_DONE]


def test_a_whole_write_of_unknown_outcome_becomes_a_rescan_by_its_sweep() -> None:
    feed = single()
    feed.begin_whole("docs", "dropped").unknown()
    world = SmallWorld()
    for hint in feed.hints():
        _take(world, hint)
    worker = world.worker()
    worker.turn()
    world.sleep(PATIENCE_S)
    worker.turn()
    assert [record.body["scope"] for record in world.control.history("rescan")] == ["docs"]


def test_a_rescan_that_cannot_be_put_on_record_is_owed_until_it_is() -> None:
    feed = single()
    write = feed.begin_whole("docs", "dropped")
    feed.control.fails_with = UnknownOutcome("away")
    write.done()
    assert kinds(feed) == [FILTER_INTENT]
    feed.control.fails_with = None
    feed.member.renewed_at += 1e6  # type: ignore[union-attr]
    wait_until(lambda: rescans(feed) == ["docs"])


# --- the log is away ---


def test_a_hint_that_is_not_acknowledged_refuses_the_write() -> None:
    feed = single(intent_max_s=0.5)
    feed.collections  # noqa: B018 - opens it
    feed.publisher.is_down = True
    with pytest.raises(LogUnavailable, match="no write goes out"):
        feed.begin("docs", [1])
    # it may be written all the same: it must not wait for its sweep
    assert kinds(feed) == [INTENT, DONE]


def test_after_that_writes_are_refused_at_once_until_a_heartbeat_comes_back() -> None:
    feed = single(intent_max_s=0.5)
    feed.collections  # noqa: B018 - opens it
    assert feed.member is not None
    feed.member.renewed_at = time.monotonic()
    feed.publisher.is_down = True
    with pytest.raises(LogUnavailable):
        feed.begin("docs", [1])
    feed.publisher.is_down = False
    written = len(feed.hints())
    with pytest.raises(LogUnavailable, match="does not acknowledge"):
        feed.begin("docs", [2])
    assert len(feed.hints()) == written  # an outage does not fill the queue
    feed.member.renewed_at = time.monotonic()
    feed.begin("docs", [3]).done()


def test_a_lapsed_lease_lets_no_write_out() -> None:
    feed = single()
    write = feed.begin("docs", [1])
    assert feed.member is not None
    feed.member.renewed_at = time.monotonic() - 15.1
    with pytest.raises(LogUnavailable, match="heartbeats"):
        write.fresh()
    with pytest.raises(LogUnavailable, match="heartbeats"):
        feed.begin("docs", [1])


def test_with_rescan_a_write_goes_out_and_its_collection_is_read_again_after_it() -> None:
    feed = single(intent_max_s=0.5, on_log_down="rescan")
    feed.collections  # noqa: B018 - opens it
    feed.publisher.is_down = True
    with feed.writing("docs", [1]) as write:
        assert not write.tracked
        feed.publisher.is_down = False
        feed.member.renewed_at += 1e6  # type: ignore[union-attr]
        with feed.writing("docs", [2]):  # the log is back while the first is still out
            pass
        assert rescans(feed) == []  # a rescan from here on might miss the first
    with feed.writing("docs", [3]):
        pass
    assert rescans(feed) == ["docs"]


def test_with_rescan_an_untold_write_of_unknown_outcome_delays_its_rescan() -> None:
    feed = single(intent_max_s=0.5, request_max_s=0.5, on_log_down="rescan")
    feed.collections  # noqa: B018 - opens it
    feed.publisher.is_down = True
    with pytest.raises(TimeoutError), feed.writing("docs", [1]):
        raise TimeoutError
    ended = time.monotonic()
    feed.publisher.is_down = False
    feed.member.renewed_at += 1e6  # type: ignore[union-attr]
    feed.begin("docs", [2]).done()
    wait_until(lambda: rescans(feed) == ["docs"])
    assert time.monotonic() - ended >= 0.5


def test_with_rescan_a_process_that_never_registered_still_refuses() -> None:
    feed = single(on_log_down="rescan")
    feed.unreachable = LogUnavailable("Kafka does not answer")
    with pytest.raises(LogUnavailable):
        feed.begin("docs", [1])


def test_with_rescan_the_log_may_fail_between_the_intent_and_the_send() -> None:
    feed = single(on_log_down="rescan")
    write = feed.begin("docs", [1])
    assert feed.member is not None
    feed.member.renewed_at = time.monotonic() - 15.1
    write.fresh()  # goes out untold
    feed.member.renewed_at = time.monotonic() + 1e6
    write.done()
    wait_until(lambda: rescans(feed) == ["docs"])


def test_a_process_with_a_debt_does_not_deregister() -> None:
    feed = single(intent_max_s=0.5, on_log_down="rescan")
    feed.collections  # noqa: B018 - opens it
    feed.publisher.is_down = True
    write = feed.begin("docs", [1])
    feed.publisher.is_down = False
    feed.close()
    write.done()
    assert feed.member is not None
    assert feed.member.ended == "abandoned"


def test_a_process_without_one_does() -> None:
    feed = single()
    feed.begin("docs", [1]).done()
    feed.close()
    assert feed.member is not None
    assert feed.member.ended == "closed"
    with pytest.raises(ConfigError, match="closed"):
        feed.begin("docs", [1])


def test_a_log_that_cannot_be_reached_is_asked_again_from_time_to_time() -> None:
    feed = single()
    feed.unreachable = LogUnavailable("Kafka does not answer")
    for _ in range(10):
        with pytest.raises(LogUnavailable, match="does not answer"):
            feed.begin("docs", [1])
    feed.unreachable = None
    with pytest.raises(LogUnavailable):  # not yet: it was asked a moment ago
        feed.begin("docs", [1])
    feed._failed = (time.monotonic() - 10, LogUnavailable("before"))
    feed.begin("docs", [1]).done()
    assert feed.connections == 1


def test_while_one_thread_tries_to_reach_it_the_others_are_told_at_once() -> None:
    feed = single()
    feed._failed = (time.monotonic() - 10, LogUnavailable("Kafka does not answer"))
    feed._opening.acquire()
    try:
        with pytest.raises(LogUnavailable):
            feed.begin("docs", [1])
    finally:
        feed._opening.release()


def test_a_producer_that_failed_for_good_is_replaced() -> None:
    feed = single()
    feed.begin("docs", [1]).done()
    first = feed.member
    feed.publisher.fails_with = HaltError("fatal")
    with pytest.raises(LogUnavailable, match="fatal"):
        feed.begin("docs", [2])
    feed.publisher.fails_with = None
    feed.begin("docs", [3]).done()
    assert feed.connections == 2
    assert first is not None
    assert first.ended == "abandoned"


def test_a_migration_that_was_never_prepared_is_a_configuration_error() -> None:
    feed = single()
    feed.control.append("migration", "m", {"collections": [], "partitions": 1})
    feed.control._records.clear()
    with pytest.raises(ConfigError, match="vecferry init"):
        feed.begin("docs", [1])


@pytest.mark.parametrize(
    "options",
    [{"on_log_down": "ignore"}, {"request_max_s": 0}, {"intent_max_s": -1.0}],
)
def test_an_option_that_cannot_be_used_is_said_at_once(options: Any) -> None:
    with pytest.raises(ConfigError):
        Feed("m", "127.0.0.1:1", **options)


# --- threads, coroutines, forks ---


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
