from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vecferry.model import Point
from vecferry.ports import Since
from vecferry.producers.feeds.known import Times
from vecferry.producers.feeds.moments import Moments
from vecferry.producers.feeds.timestamp import TimestampFeed
from vecferry.testing.feeding import FeedWorld

NOW = 1_700_000_000.0
OVERLAP_S = 60.0


class Selective:
    """The memory store, with what some databases can do beside."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked: list[str] = []
        self.shown = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scan(self, *args: Any, **more: Any) -> Iterator[list[Point]]:
        self.asked.append("everything")
        yield from self._store.scan(*args, **more)

    def scan_since(
        self, ref: Any, bounds: Any, since: Since, *, after: Any = None
    ) -> Iterator[list[Point]]:
        self.asked.append("new")
        moments = Moments(since.field, "s")
        for page in self._store.scan(ref, bounds, after=after):
            found = []
            for point in page:
                moment = moments.of(point.image.payload)
                if moment is None or moment >= since.number * 10**6:
                    found.append(point)
            self.shown += len(found)
            yield found

    def scan_keys(self, ref: Any, bounds: Any, *, after: Any = None) -> Iterator[list[Any]]:
        self.asked.append("keys")
        for page in self._store.scan(ref, bounds, after=after):
            yield [point.key for point in page]


class Rig:
    """A feed and its clock."""

    def __init__(self, world: FeedWorld, *, selective: bool) -> None:
        self.world = world
        self.store: Any = Selective(world.store) if selective else world.store
        self.now = NOW
        self.feed = self.made()

    def made(self, cls: type[TimestampFeed] = TimestampFeed) -> TimestampFeed:
        world = self.world
        self.feed = cls(
            world.settings,
            world.reader(self.store),
            world.differ(),
            world.stop,
            lambda: self.now,
        )
        return self.feed

    def put(self, one: int, ago_s: float = 0.0, **more: Any) -> None:
        self.world.put(one, updated_at=self.now - ago_s, **more)

    def turn(self) -> list[int]:
        assert self.feed.turn()
        return self.world.hints.take()

    def settle(self) -> None:
        """Read everything twice, and list it once."""
        for _ in range(4):
            self.turn()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedWorld]:
    world = FeedWorld(tmp_path, type="timestamp", overlap_s=OVERLAP_S, deletes_every_s=600.0)
    yield world
    world.known.close()


@pytest.fixture
def rig(world: FeedWorld) -> Rig:
    return Rig(world, selective=True)


def test_the_first_two_passes_read_everything_and_the_next_what_is_new(rig: Rig) -> None:
    rig.put(1, 1_000)
    rig.put(2, 500)
    assert rig.turn() == [1, 2]
    assert rig.turn() == [1, 2]
    rig.now += 10
    rig.put(3)
    rig.store.asked.clear()
    assert rig.turn() == [3]
    assert rig.store.asked == ["new"]


def test_what_the_overlap_brings_again_is_not_hinted_again(rig: Rig) -> None:
    rig.put(1, 5)
    rig.settle()
    shown = rig.store.shown
    assert rig.turn() == []
    assert rig.store.shown > shown


def test_a_writer_whose_clock_is_behind_is_seen_within_the_overlap(rig: Rig) -> None:
    rig.put(1)
    rig.settle()
    rig.put(2, OVERLAP_S - 1)
    rig.put(3, OVERLAP_S + 100)  # further behind than the user said
    assert rig.turn() == [2]
    rig.now += 600
    assert 3 in rig.turn()  # seen when all keys are listed


def test_deletes_are_seen_when_all_keys_are_listed(rig: Rig) -> None:
    rig.put(1)
    rig.put(2)
    rig.settle()
    rig.world.delete(2)
    assert rig.turn() == []
    rig.now += 600
    assert rig.turn() == [2]
    assert rig.store.asked[-1] == "keys"


def test_a_listing_that_is_stopped_makes_nothing_vanish(rig: Rig) -> None:
    rig.put(1)
    rig.put(2)
    rig.settle()
    rig.now += 600
    keys = rig.store.scan_keys

    def stopped(*args: Any, **more: Any) -> Iterator[list[Any]]:
        for page in keys(*args, **more):
            yield page[:1]
            rig.world.stop.set()
            return

    rig.store.scan_keys = stopped
    assert not rig.feed.turn()
    assert rig.world.hints.take() == []


def test_a_point_that_came_and_went_the_same_way_is_hinted_when_keys_are_listed(rig: Rig) -> None:
    rig.put(1, 1_000)
    rig.settle()
    rig.world.delete(1)
    rig.now += 600
    assert set(rig.turn()) == {1}
    rig.world.put(1, updated_at=NOW - 1_000)
    rig.now += 600
    assert set(rig.turn()) == {1}


def test_one_time_in_the_future_hides_nothing(rig: Rig) -> None:
    rig.put(1, -10_000)
    rig.put(2, 5)
    rig.settle()
    rig.now += 200
    rig.put(3)
    assert rig.turn() == [3]


class Trusting(TimestampFeed):
    """Believes every time."""

    def _timed(self, page: list[Point]) -> list[Point]:
        for point in page:
            self._newest = max(self._newest, self._moments.of(point.image.payload) or 0)
        return page


def test_without_that_rule_one_time_in_the_future_hides_everything(rig: Rig) -> None:
    rig.made(Trusting)
    rig.put(1, -10_000)
    rig.put(2, 5)
    rig.settle()
    rig.now += 200
    rig.put(3)
    assert rig.turn() == []


class Slow:
    """While a pass reads its second page, points are written behind it and before it."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.is_on = rig, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rig.world.store, name)

    def scan(self, *args: Any, **more: Any) -> Iterator[list[Point]]:
        pages = self.rig.world.store.scan(*args, **more)
        for page in pages:
            yield page[:1]
            if self.is_on:
                self.is_on = False
                self.rig.now += 300
                self.rig.put(1, text="behind the reader")
                self.rig.now += 300
                self.rig.put(9, text="before the reader")
            again = self.rig.world.store.scan(*args, **more)
            yield [point for one in again for point in one if point.key.id != 1]


class Eager(TimestampFeed):
    """Goes on from the newest time of the pass that has just ended."""

    def _passed(self) -> bool:
        super()._passed()
        self._differ.known.set_times(Times(self._newest, self._newest))
        return True


@pytest.mark.parametrize(("cls", "told"), [(TimestampFeed, [1]), (Eager, [])])
def test_what_is_written_behind_a_long_pass_is_seen_by_the_next(
    world: FeedWorld, cls: type[TimestampFeed], told: list[int]
) -> None:
    rig = Rig(world, selective=True)
    rig.put(1)
    rig.put(2)
    rig.settle()
    slow = Slow(rig)
    rig.store = Selective(slow)
    rig.made(cls)._listed_at = rig.now
    assert rig.turn() == [9]
    rig.feed._listed_at = rig.now
    found = rig.turn()
    assert [one for one in found if one != 9] == told


def test_a_store_that_reads_all_or_nothing_is_read_and_compared(world: FeedWorld) -> None:
    rig = Rig(world, selective=False)
    rig.put(1, 1_000)
    rig.put(2, 1_000)
    rig.settle()
    rig.put(3)
    rig.put(1, 1_000, text="without a new time")
    rig.world.delete(2)
    assert set(rig.turn()) == {1, 3}
    rig.now += 600
    assert rig.turn() == [1, 2, 3]


def test_points_without_a_time_are_told_of(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.world.put(1)
    rig.settle()
    assert "1 points have no time in 'updated_at'" in caplog.text
    rig.world.put(1, text="new")
    assert rig.turn() == [1]


def test_a_restart_goes_on_where_it_was_and_lists_the_keys(rig: Rig) -> None:
    rig.put(1, 1_000)
    rig.put(2, 30)
    rig.settle()
    rig.world.delete(1)
    rig.world.restart()
    rig.made()
    rig.store.asked.clear()
    rig.put(3)
    assert rig.turn() == [1, 3, 3]  # 3 once more by the listing
    assert rig.store.asked == ["new", "keys"]


def test_a_collection_without_any_point_is_read_to_its_end(rig: Rig) -> None:
    rig.settle()
    rig.put(1)
    assert rig.turn() == [1]


def test_a_clock_that_is_set_back_lists_the_keys(rig: Rig) -> None:
    rig.put(1, 1_000)
    rig.settle()
    rig.now -= 5_000
    rig.store.asked.clear()
    rig.turn()
    assert rig.store.asked == ["new", "keys"]
