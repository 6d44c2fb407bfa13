"""Who is there: registered, not gone in order, and not silent as far as somebody has watched."""

from typing import Any

import pytest

from vecferry.log.silences import note_silences, present
from vecferry.testing.log import MemoryControl


@pytest.fixture
def control() -> Any:
    control = MemoryControl()
    control.append("process", "feed/a", {"pid": 1})
    control.append("process", "feed/b", {"pid": 2})
    return control


def test_a_silence_is_put_on_record_once(control: Any) -> None:
    assert note_silences(control, lambda name: name != "feed/a") == ["feed/a"]
    assert note_silences(control, lambda name: name != "feed/a") == []
    assert set(present(control)) == {"feed/b"}


def test_who_is_heard_again_is_there_again(control: Any) -> None:
    note_silences(control, lambda name: name != "feed/a")
    control.append("process", "feed/a", {"pid": 1})
    assert set(present(control)) == {"feed/a", "feed/b"}
    assert note_silences(control, lambda name: name != "feed/a") == ["feed/a"]


def test_who_left_is_not_there_and_never_noted(control: Any) -> None:
    control.append("process", "feed/a", {"pid": 1, "left": True})
    assert set(present(control)) == {"feed/b"}
    assert note_silences(control, lambda name: name != "feed/a") == []
