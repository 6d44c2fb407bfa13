"""Processes that fell silent: a rescan for each silence, once."""

from typing import Any

import pytest

from vecferry.producers.feeds.lapsed import ask_for_lapsed
from vecferry.testing.log import MemoryControl


@pytest.fixture
def control() -> Any:
    return MemoryControl()


def beat(control: Any, name: str, **more: Any) -> None:
    control.append("process", name, {"role": "feed", "on_log_down": "rescan", **more})


def asked(control: Any) -> list[object]:
    return [record.body["scope"] for record in control.history("rescan")]


def test_a_silent_process_means_a_rescan_of_what_moves(control: Any) -> None:
    beat(control, "feed/a")
    assert ask_for_lapsed(control, lambda name: False, ["docs", "users"]) == ["feed/a"]
    assert asked(control) == ["docs", "users"]


def test_each_silence_is_asked_for_once(control: Any) -> None:
    beat(control, "feed/a")
    for _ in range(3):
        ask_for_lapsed(control, lambda name: False, ["docs"])
    assert asked(control) == ["docs"]
    beat(control, "feed/a")  # it woke up, wrote, and fell silent again
    ask_for_lapsed(control, lambda name: False, ["docs"])
    assert asked(control) == ["docs", "docs"]


def test_who_lives_or_left_in_order_or_refuses_needs_none(control: Any) -> None:
    beat(control, "feed/alive")
    beat(control, "feed/gone", left=True)
    beat(control, "feed/strict", on_log_down="refuse")
    control.append("process", "apply/a", {"role": "apply"})
    assert ask_for_lapsed(control, lambda name: name == "feed/alive", ["docs"]) == []
    assert asked(control) == []
