"""The check role: BEATs, lag, and processes that fell silent."""

import threading
import time
from typing import Any

from vecferry.cli import watching
from vecferry.cli.watching import Checker
from vecferry.errors import TransientError
from vecferry.log.beats import BeatLog
from vecferry.testing.log import MemoryControl


class _Hints:
    def __init__(self, fails: int = 0) -> None:
        self.numbers: list[int] = []
        self.fails = fails

    def beat(self, number: int, token: str = "") -> None:
        if self.fails:
            self.fails -= 1
            raise TransientError("the log is away")
        self.numbers.append(number)


def run(monkeypatch: Any, hints: _Hints, rounds: int) -> tuple[Any, list[str]]:
    monkeypatch.setattr(watching, "_BEAT_S", 0.001)
    control: Any = MemoryControl()
    stop, asked = threading.Event(), list[str]()

    def ask() -> None:
        asked.append("asked")
        if len(asked) == rounds:
            stop.set()

    given: Any = hints
    control.append("process", "feed/a", {})
    Checker(control, given, 2, lambda name: False, ask).run(stop)
    return control, asked


def test_beats_have_growing_numbers_and_the_lag_is_published(monkeypatch: Any) -> None:
    hints = _Hints()
    control, asked = run(monkeypatch, hints, 3)
    assert hints.numbers == [hints.numbers[0], hints.numbers[0] + 1, hints.numbers[0] + 2]
    assert len(asked) == 3
    lag = control.latest("lag")["check"].body["partitions"]
    assert set(lag) == {"0", "1"}
    assert lag["0"]["total_s"] >= 0


def test_who_fell_silent_is_put_on_record(monkeypatch: Any) -> None:
    control, _ = run(monkeypatch, _Hints(), 3)
    assert list(control.latest("silent")) == ["feed/a"]
    assert len(control.history("silent")) == 1


def test_an_outage_of_the_log_ends_nothing(monkeypatch: Any) -> None:
    hints = _Hints(fails=2)
    run(monkeypatch, hints, 2)
    assert len(hints.numbers) == 2


class _World:
    """Checkers that take turns in one thread, over one log."""

    def __init__(self, *names: str) -> None:
        self.control: Any = MemoryControl()
        self.hints: dict[str, _Hints] = {}
        self.checkers: dict[str, Checker] = {}
        for name in names:
            self.start(name)

    def start(self, name: str, first: int = 1_000) -> None:
        self.control.append("process", f"check/{name}", {})
        self.hints[name] = _Hints()
        given: Any = self.hints[name]
        self.checkers[name] = Checker(
            self.control, given, 1, lambda _: True, list, BeatLog(first), name
        )

    def look(self, *names: str, times: int = 1) -> None:
        for _ in range(times):
            for name in names:
                if self.checkers[name]._is_its_turn():
                    self.checkers[name]._beat()


def test_of_two_checkers_one_beats() -> None:
    world = _World("b", "a")
    world.look("b", "a", times=10)
    assert len(world.hints["b"].numbers) == 1
    assert len(world.hints["a"].numbers) == 10


def test_without_that_the_one_of_the_lower_numbers_sees_no_lag() -> None:
    world = _World()
    world.start("a", first=1_000)
    world.start("b", first=5_000)
    for name in ("a", "b"):
        world.checkers[name]._beat()
    world.control.append("progress", "apply/0", {"beat": 5_000})
    world.checkers["a"].beats.wrote(time.monotonic() - 3_600.0)  # has not passed for an hour
    world.checkers["a"]._beat()
    lag = world.control.latest("lag")["check"].body["partitions"]["0"]
    assert lag["total_s"] == 0.0


def test_one_that_falls_silent_is_followed_beyond_its_numbers() -> None:
    world = _World()
    world.start("a", first=9_000)  # its clock is ahead
    world.look("a")
    world.start("b")
    world.look("b", times=5)
    assert world.hints["b"].numbers == []
    world.look("b", times=2)
    assert world.hints["b"].numbers == [9_001, 9_002]


def test_one_that_left_in_order_is_followed_at_once() -> None:
    world = _World("a")
    world.look("a")
    world.control.append("process", "check/a", {"left": True})
    world.start("b")
    world.look("b")
    assert len(world.hints["b"].numbers) == 1
