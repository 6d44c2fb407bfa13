"""What ``status`` prints of the writers."""

from typing import Any

import pytest

from vecferry.cli import status
from vecferry.cli.progress import Reached, reached
from vecferry.log.writers import vouch
from vecferry.testing.log import MemoryControl


class _Migration:
    class settings:  # noqa: N801
        name = "m"


def shown(control: Any, expected: dict[str, int], capsys: Any) -> tuple[dict[str, Any], str]:
    now: Reached = reached(control, ["docs"], 2, expected)
    migration: Any = _Migration
    document = status.status_document(migration, now)
    status.show_status(document)
    return document["writers"], " ".join(capsys.readouterr().out.split())


@pytest.fixture
def control() -> Any:
    control = MemoryControl()
    told = {"host": "h", "pid": 7, "version": "0.1.0", "in_flight": 2}
    control.append("process", "feed/a", {"writer": "api", **told})
    control.append("process", "feed/b", {"writer": "[cron]", **told, "passed_by": ["doc", "live"]})
    return control


def test_expected_missing_and_unexpected_writers_are_told(control: Any, capsys: Any) -> None:
    document, text = shown(control, {"api": 3}, capsys)
    assert document["expected"] == [
        {"name": "api", "expected": 3, "registered": 1, "vouched": "", "missing": 2}
    ]
    assert document["unexpected"] == {"[cron]": 1}
    assert len(document["reasons"]) == 2
    assert "api, h process 7, version 0.1.0, 2 in flight, seen" in text
    assert "api: 1 of 3, 2 missing" in text
    assert "not expected: [cron], 1 of them" in text
    assert text.count("writes also what does not move") == 1
    assert "does not move: doc, live" in text


def test_the_operators_word_is_told_with_its_reason(control: Any, capsys: Any) -> None:
    vouch(control, "api", "two hosts are down")
    document, text = shown(control, {"api": 3, "[cron]": 1}, capsys)
    assert document["reasons"] == []
    assert "(vouched for: two hosts are down)" in text
    vouch(control, None, "all is captured")
    assert "all writers vouched for: all is captured" in shown(control, {}, capsys)[1]
