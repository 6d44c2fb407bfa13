import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import HaltError, TransientError
from vecferry.producers.feeds.differ import Differ
from vecferry.producers.feeds.known import Known
from vecferry.producers.feeds.scan import ScanFeed
from vecferry.producers.feeds.teller import Teller
from vecferry.testing.faults import Fate, Fault, FaultyStore
from vecferry.testing.feeding import FeedWorld, Mirror


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedWorld]:
    world = FeedWorld(tmp_path)
    yield world
    world.known.close()


def feed(world: FeedWorld, store: Any = None, **differ: Any) -> ScanFeed:
    return ScanFeed(world.reader(store), world.differ(**differ), world.stop)


def settled(world: FeedWorld) -> ScanFeed:
    """A feed that has said twice what there is."""
    scan = feed(world)
    assert scan.turn()
    assert scan.turn()
    world.hints.take()
    return scan


def test_everything_is_hinted_once_a_state_begins_and_once_more(world: FeedWorld) -> None:
    world.put(1, 2, 3)
    scan = feed(world)
    assert scan.turn()
    assert world.hints.take() == [1, 2, 3]
    assert scan.turn()
    assert world.hints.take() == [1, 2, 3]
    assert scan.turn()
    assert world.hints.take() == []


def test_what_changed_and_what_is_new_is_hinted(world: FeedWorld) -> None:
    world.put(1, 2, 3)
    scan = settled(world)
    world.put(2, text="new")
    world.put(4)
    scan.turn()
    assert world.hints.take() == [2, 4]


def test_what_vanished_is_hinted_twice_and_forgotten(world: FeedWorld) -> None:
    world.put(1, 2, 3)
    scan = settled(world)
    world.delete(2)
    for told in ([2], [2], []):
        scan.turn()
        assert world.hints.take() == told
    assert world.known.count() == 2


def test_what_vanished_and_came_back_the_same_is_hinted(world: FeedWorld) -> None:
    world.put(1, 2)
    scan = settled(world)
    world.delete(2)
    scan.turn()
    world.put(2)
    world.hints.take()
    scan.turn()
    assert world.hints.take() == [2]


def test_a_restart_forgets_nothing(world: FeedWorld) -> None:
    world.put(1, 2, 3)
    settled(world)
    world.restart()
    world.put(1, text="new")
    world.delete(3)
    assert feed(world).turn()
    assert world.hints.take() == [1, 3]


def test_a_lost_state_hints_everything_again(world: FeedWorld) -> None:
    world.put(1, 2, 3)
    settled(world)
    world.restart("another log")
    assert feed(world).turn()
    assert world.hints.take() == [1, 2, 3]


class Broken:
    """A source that fails for good, or is stopped, in the middle of a scan."""

    def __init__(self, store: Any, error: Exception | None, stop: threading.Event) -> None:
        self._store, self._error, self._stop = store, error, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def scan(self, *args: Any, **more: Any) -> Any:
        for page in self._store.scan(*args, **more):
            yield page[:2]
            if self._error is None:
                self._stop.set()
                return
            raise self._error


def test_a_pass_that_fails_says_nothing_of_what_it_did_not_read(world: FeedWorld) -> None:
    world.put(1, 2, 3, 4)
    settled(world)
    broken = Broken(world.store, HaltError("the order was lost"), world.stop)
    with pytest.raises(HaltError):
        feed(world, broken).turn()
    assert world.hints.take() == []
    assert feed(world).turn()
    assert world.hints.take() == []


def test_a_pass_that_is_stopped_says_nothing_of_what_it_did_not_read(world: FeedWorld) -> None:
    world.put(1, 2, 3, 4)
    settled(world)
    assert not feed(world, Broken(world.store, None, world.stop)).turn()
    assert world.hints.take() == []


class Rash(ScanFeed):
    """Takes a part for the whole."""

    def turn(self) -> bool:
        self._differ.begin_complete()
        for page in self._reader.every_point():
            self._differ.take(page)
        self._differ.end_complete()
        return True


def test_without_that_rule_a_stop_makes_living_keys_look_vanished(world: FeedWorld) -> None:
    world.put(1, 2, 3, 4)
    settled(world)
    Rash(world.reader(Broken(world.store, None, world.stop)), world.differ(), world.stop).turn()
    assert world.hints.take() == [3, 4]


def test_a_scan_goes_on_behind_its_last_page_after_a_failure(
    world: FeedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.producers.throttle._PAUSE_MAX_S", 0.0)
    world.put(*range(2_500))
    store: Any = FaultyStore(world.store)
    store.script(None, Fault(Fate.REFUSED, times=2), on="scan")
    assert feed(world, store).turn()
    assert world.hints.take() == list(range(2_500))


def test_hints_are_tried_until_kafka_answers(
    world: FeedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.producers.feeds.teller._PAUSE_MAX_S", 0.0)
    world.put(1)
    world.hints.failures = 2
    assert feed(world).turn()
    assert world.hints.take() == [1]


def test_a_crash_between_the_hint_and_the_state_hints_again(world: FeedWorld) -> None:
    world.put(1, 2)
    scan = feed(world)
    world.known.record = _raise  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        scan.turn()
    assert world.hints.take() == [1, 2]
    world.restart()
    feed(world).turn()
    assert world.hints.take() == [1, 2]


def test_a_crash_between_the_hint_of_a_vanished_key_and_the_state_hints_again(
    world: FeedWorld,
) -> None:
    world.put(1, 2)
    scan = settled(world)
    world.delete(2)
    world.known.bury = _raise  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        scan.turn()
    assert world.hints.take() == [2]
    world.restart()
    feed(world).turn()
    assert world.hints.take() == [2]


def _raise(*_: Any) -> Any:
    raise KeyboardInterrupt


class StateFirst(Differ):
    """Puts down what it has seen before the hints are acknowledged."""

    def _say(self, seen: Any, known: Any) -> int:
        self._known.record(seen, {})
        return super()._say(seen, known)


@pytest.mark.parametrize(("cls", "told"), [(Differ, [1]), (StateFirst, [])])
def test_without_that_order_a_change_is_never_hinted(
    world: FeedWorld, cls: type[Differ], told: list[int]
) -> None:
    world.put(1, 2)
    settled(world)
    world.put(1, text="new")
    for _ in range(2):  # it dies twice while Kafka is away
        world.hints.failures = 1
        with pytest.raises(TransientError):
            ScanFeed(world.reader(), dying(world, cls), world.stop).turn()
        world.restart()
    ScanFeed(world.reader(), cls(world.known, world.differ()._teller), world.stop).turn()
    assert world.hints.take() == told


def dying(world: FeedWorld, cls: type[Differ]) -> Differ:
    """A comparison whose process is told to end while a hint is tried again."""
    stop = threading.Event()
    differ = cls(world.known, Teller(world.hints, stop))
    append = world.hints.append

    def failing(*args: Any, **more: Any) -> dict[int, int]:
        stop.set()
        return append(*args, **more)

    sink: Any = type("Sink", (), {"append": staticmethod(failing)})
    differ._teller = Teller(sink, stop)
    return differ


class Once(Known):
    """Takes what was hinted once for settled."""

    def record(self, seen: Any, marks: Any) -> None:
        from vecferry.producers.feeds.known import State

        super().record((one._replace(state=State.SETTLED) for one in seen), marks)


@pytest.mark.parametrize("once", [False, True])
def test_a_change_and_its_undoing_around_the_read_back_leave_no_trace_in_the_target(
    world: FeedWorld, *, once: bool
) -> None:
    if once:
        world.known.close()
        world.known = Once(world._folder, "docs", "log")
    mirror = Mirror(world.store, world.hints)
    world.put(1, color="red")
    scan = feed(world, is_resolved=mirror.is_past)
    assert scan.turn()
    world.put(1, color="blue")
    mirror.read_back()  # the worker was slow, and reads what no pass sees
    world.put(1, color="red")
    for _ in range(2):
        assert scan.turn()
        mirror.read_back()
    assert (mirror.images == world.held()) is not once


def test_a_pass_waits_until_what_was_hinted_is_resolved(world: FeedWorld) -> None:
    asked: list[dict[int, int]] = []

    def is_resolved(marks: Any) -> bool:
        asked.append(marks)
        world.stop.set()
        return False

    world.put(1)
    scan = feed(world, is_resolved=is_resolved)
    assert scan.turn()
    assert not scan.turn()
    assert asked == [{0: 0}]
    assert world.hints.take() == [1]


def test_the_wait_survives_a_restart(world: FeedWorld) -> None:
    world.put(1)
    feed(world).turn()
    world.restart()
    world.stop.set()
    assert not feed(world, is_resolved=lambda marks: marks != {0: 0}).turn()


def test_an_emptied_source_is_hinted_and_left_to_the_brake(world: FeedWorld) -> None:
    world.put(1, 2)
    scan = settled(world)
    world.delete(1, 2)
    scan.turn()
    assert world.hints.take() == [1, 2]
