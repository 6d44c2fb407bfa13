import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from vecferry.errors import ConfigError, HaltError, RecordError, VecferryError
from vecferry.producers.feeds import LogUnavailable, OpenWrite
from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.producers.feeds.proxy.changes import Change
from vecferry.producers.feeds.proxy.gate import Gate, Sent
from vecferry.producers.feeds.proxy.refusals import RefusalError, RelayedError, Why
from vecferry.settings import StoreSettings
from vecferry.testing.proxies import RecordingFeed
from vecferry.testing.waiting import wait_until

CHANGE = Change("upsert", (1, 2))
OPTIONS = ProxyOptions(StoreSettings(type="qdrant", url="http://127.0.0.1:6333"), writes_max=2)


class Bench:
    """A gate before a recording feed, and something to send."""

    def __init__(self, options: ProxyOptions = OPTIONS, request_max_s: float = 30.0) -> None:
        self.feed = RecordingFeed("docs")
        self.gate = Gate(self.feed, options, request_max_s)
        self.is_known = True
        self.fails: BaseException | None = None

    async def send(self) -> Sent[str]:
        self.feed.see_step("sent")
        if self.fails is not None:
            raise self.fails
        return Sent("reply", self.is_known)

    async def scroll(self, filter_: bytes, start: Any) -> list[int | str]:
        self.feed.see_step("scroll")
        return [] if start is not None else [8, 9]

    async def write(self, change: Change = CHANGE, send: Any = None) -> str:
        return await self.gate.points("docs", change, self.scroll, send or self.send)

    def ends(self, *steps: str) -> None:
        wait_until(lambda: self.feed.steps()[-len(steps) :] == list(steps))


def run(work: Callable[[Bench], Awaitable[Any]], **more: Any) -> Bench:
    async def within() -> Bench:
        bench = Bench(**more)
        await work(bench)
        return bench

    return asyncio.run(within())


def test_a_write_is_announced_then_sent_then_ended() -> None:
    bench = run(lambda bench: bench.write())
    bench.ends("begin", "sent", "done")
    begin = bench.feed.seen[0]
    assert (begin.collection, begin.verb, begin.ids) == ("docs", "upsert", (1, 2))


def test_its_age_is_looked_at_after_the_announcement_and_before_it_is_sent() -> None:
    bench = run(lambda bench: bench.write())
    assert [one.step for one in bench.feed.seen[:3]] == ["begin", "fresh", "sent"]


def test_a_filter_is_announced_with_what_it_finds_and_with_the_ids_beside_it() -> None:
    bench = run(lambda bench: bench.write(Change("unknown", (1,), (b"{}",))))
    bench.ends("scroll", "scroll", "filter", "sent", "done")
    assert bench.feed.seen[2].ids == (1, 8, 9)


@pytest.mark.parametrize(
    ("fails", "end"),
    [
        (RefusalError(Why.AWAY, "not connected"), "refused"),
        (RefusalError(Why.BROKEN, "broke", unsent=False), "unknown"),
        (OSError("anything"), "unknown"),
    ],
)
def test_a_write_that_fails_ends_as_what_is_known_of_it(fails: Exception, end: str) -> None:
    async def work(bench: Bench) -> None:
        bench.fails = fails
        with pytest.raises(type(fails)):
            await bench.write()

    run(work).ends("begin", "sent", end)


def test_an_answer_that_does_not_say_that_it_is_over_leaves_the_write_open() -> None:
    async def work(bench: Bench) -> None:
        bench.is_known = False
        assert await bench.write() == "reply"

    run(work).ends("begin", "sent", "unknown")


def test_a_write_without_an_answer_is_left_open_when_its_time_is_over() -> None:
    async def work(bench: Bench) -> None:
        async def never() -> Sent[str]:
            await asyncio.Event().wait()
            raise AssertionError

        with pytest.raises(RefusalError) as refused:
            await bench.write(send=never)
        assert (refused.value.why, refused.value.unsent) == (Why.LATE, False)

    run(work, request_max_s=0.05).ends("begin", "unknown")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LogUnavailable("Kafka does not answer"), Why.AWAY),
        (HaltError("Kafka refuses"), Why.AWAY),
        (ConfigError("never prepared"), Why.AWAY),
        (RecordError("a key is too large"), Why.INVALID),
    ],
)
def test_what_cannot_be_announced_is_not_sent(
    error: VecferryError, why: Why, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: Any, **__: Any) -> OpenWrite:
        raise error

    async def work(bench: Bench) -> None:
        monkeypatch.setattr(bench.feed, "begin", begin)
        with pytest.raises(RefusalError) as refused:
            await bench.write()
        assert (refused.value.why, refused.value.unsent) == (why, True)

    assert run(work).feed.steps() == []


def test_a_filter_that_the_database_refuses_is_not_sent() -> None:
    async def work(bench: Bench) -> None:
        async def refuse(*_: Any) -> list[int | str]:
            raise RelayedError("400")

        bench.scroll = refuse  # type: ignore[method-assign]
        with pytest.raises(RelayedError):
            await bench.write(Change("delete", (), (b"{}",)))

    assert run(work).feed.steps() == []


def test_the_loop_goes_on_while_kafka_is_waited_for() -> None:
    async def work(bench: Bench) -> None:
        bench.feed.hold.clear()
        writing = asyncio.ensure_future(bench.write())
        for _ in range(20):  # would never come back if the wait held the loop
            await asyncio.sleep(0)
        assert not writing.done()
        bench.feed.hold.set()
        assert await writing == "reply"

    run(work)


def _slow_to_return(bench: Bench) -> None:
    begun, first = bench.feed.begun, True

    async def slow(begin: Callable[[], OpenWrite]) -> OpenWrite:
        nonlocal first
        write = await begun(begin)
        if first:
            first = False
            time.sleep(1.2)  # a loop that is held up, as by a stopped process
        return write

    bench.feed.begun = slow  # type: ignore[method-assign]


def checks(bench: Bench) -> int:
    return [one.step for one in bench.feed.seen].count("fresh")


def test_a_loop_that_was_held_up_looks_at_the_age_again() -> None:
    async def work(bench: Bench) -> None:
        _slow_to_return(bench)
        await bench.write()

    assert checks(run(work)) == 2


def test_without_that_look_an_aged_announcement_would_go_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vecferry.producers.feeds.proxy.gate._STALE_S", float("inf"))

    async def work(bench: Bench) -> None:
        _slow_to_return(bench)
        await bench.write()

    assert checks(run(work)) == 1


async def _client_goes_away(bench: Bench) -> None:
    under_way, answered = asyncio.Event(), asyncio.Event()

    async def send() -> Sent[str]:
        under_way.set()
        await answered.wait()
        return Sent("reply", True)

    asking = asyncio.ensure_future(bench.gate.run(bench.write(send=send)))
    await under_way.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    answered.set()
    await bench.gate.drain()


def test_a_write_whose_client_is_gone_is_seen_to_its_end() -> None:
    run(_client_goes_away).ends("begin", "done")


def test_without_a_task_of_its_own_it_would_be_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def bare(gate: Gate, work: Awaitable[Any]) -> Any:
        return await work

    monkeypatch.setattr(Gate, "run", bare)
    run(_client_goes_away).ends("begin", "unknown")


async def _three_at_once(bench: Bench) -> list[object]:
    async def one() -> str:
        async with bench.gate.slot():
            return await bench.write()

    bench.feed.hold.clear()
    tasks = [asyncio.ensure_future(one()) for _ in range(3)]
    await asyncio.wait(tasks, timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
    bench.feed.hold.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def _options(writes_max: int) -> ProxyOptions:
    return ProxyOptions(OPTIONS.source, writes_max=writes_max, wait_max_s=0.2)


def test_more_writes_than_there_are_turns_are_refused() -> None:
    async def work(bench: Bench) -> None:
        *answers, refused = await _three_at_once(bench)
        assert answers == ["reply", "reply"]
        assert isinstance(refused, RefusalError)
        assert (refused.why, refused.retry_after_s) == (Why.AWAY, 2)
        async with bench.gate.slot():  # and the turns are free again
            pass

    run(work, options=_options(2))


def test_without_that_bound_all_of_them_would_hold_their_bodies() -> None:
    async def work(bench: Bench) -> None:
        asking = asyncio.ensure_future(_three_at_once(bench))
        assert await asking == ["reply"] * 3

    run(work, options=_options(100))


def test_the_rescan_of_a_whole_write_is_on_record_before_its_answer() -> None:
    async def work(bench: Bench) -> None:
        assert await bench.gate.whole("docs", "dropped", bench.send) == "reply"
        assert bench.feed.steps() == ["whole", "sent", "done"]

    run(work)


def test_what_moves_is_asked_for_until_it_is_known_and_then_kept() -> None:
    async def work(bench: Bench) -> None:
        known = bench.feed.collections
        monkey = _Away(bench.feed)
        bench.gate._feed = monkey  # type: ignore[assignment]
        with pytest.raises(RefusalError):
            await bench.gate.moved()
        bench.gate._feed = bench.feed
        assert await bench.gate.moved() == known
        bench.gate._feed = monkey  # type: ignore[assignment]
        assert await bench.gate.moved() == known

    run(work)


class _Away:
    def __init__(self, feed: RecordingFeed) -> None:
        self.in_thread = feed.in_thread

    @property
    def collections(self) -> frozenset[str]:
        raise LogUnavailable("Kafka does not answer")
