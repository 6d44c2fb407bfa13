"""The operator's pause, as every process reads it."""

from typing import Any

from vecferry.log.pauses import is_paused, pause
from vecferry.testing.log import MemoryControl


def test_a_pause_holds_everything_until_it_is_taken_back() -> None:
    control: Any = MemoryControl()
    assert not is_paused(control)
    pause(control, paused=True)
    assert is_paused(control)
    assert is_paused(control, "apply")
    pause(control, paused=False)
    assert not is_paused(control)


def test_a_pause_of_one_kind_of_work_holds_no_other() -> None:
    control: Any = MemoryControl()
    control.append("pause", "apply", {"paused": True})
    assert is_paused(control, "apply")
    assert not is_paused(control)
