"""What happens to writes while the log is away."""

import time
from typing import Any

import pytest

from vecferry.errors import ConfigError, HaltError
from vecferry.producers.feeds import Feed, LogUnavailable
from vecferry.producers.feeds.debts import Debts
from vecferry.record import HintKind
from vecferry.testing.feeds import kinds, rescans, single
from vecferry.testing.waiting import wait_until

INTENT, DONE = HintKind.INTENT, HintKind.DONE
FILTER_INTENT, FILTER_KEYS, FILTER_DONE = (
    HintKind.FILTER_INTENT,
    HintKind.FILTER_KEYS,
    HintKind.FILTER_DONE,
)


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


def test_at_no_moment_does_an_ended_write_look_as_if_nothing_were_owed() -> None:
    debts = Debts(lambda collection: None)
    seen = []
    owe = debts.owe

    def watched(collection: str, delay_s: float = 0.0) -> None:
        seen.append(debts.outstanding)  # a close that looks here would deregister in order
        owe(collection, delay_s)

    debts.owe = watched  # type: ignore[method-assign]
    debts.sent()
    debts.over("docs", 60.0)
    debts.stop()
    assert seen == [True]
    assert debts.outstanding


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
