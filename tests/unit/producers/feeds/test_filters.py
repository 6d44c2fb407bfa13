"""Writes whose keys nobody knows before they are sent: filters, replies, whole collections."""

from typing import Any

import pytest

from vecferry.errors import UnknownOutcome
from vecferry.producers.feeds.writes import FilterWrite
from vecferry.record import Hint, HintKind
from vecferry.testing.captures import PATIENCE_S, SmallWorld
from vecferry.testing.feeds import MemoryFeed, age, keys, kinds, rescans, single
from vecferry.testing.waiting import wait_until

INTENT, DONE = HintKind.INTENT, HintKind.DONE
FILTER_INTENT, FILTER_KEYS, FILTER_DONE = (
    HintKind.FILTER_INTENT,
    HintKind.FILTER_KEYS,
    HintKind.FILTER_DONE,
)


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
