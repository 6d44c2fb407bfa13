"""The check role: BEATs, lag, and processes that fell silent."""

import threading
from typing import Any

from vecferry.cli import watching
from vecferry.cli.watching import Checker
from vecferry.errors import TransientError
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
