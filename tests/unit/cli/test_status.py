"""What ``status`` prints of the writers, and of a source without a point."""

from typing import Any

import pytest

from vecferry.cli import status
from vecferry.cli.progress import Reached, reached
from vecferry.log.writers import vouch
from vecferry.testing.log import MemoryControl


class _Migration:
    class settings:  # noqa: N801
        name = "m"

        class snapshot:  # noqa: N801
            mode = "full"


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


@pytest.mark.parametrize(
    ("rows", "mode", "is_told"), [(0, "full", True), (7, "full", False), (0, "seeded", False)]
)
def test_a_run_over_an_empty_source_does_not_look_like_success(
    rows: int, mode: str, is_told: bool, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Migration.settings.snapshot, "mode", mode)
    control: Any = MemoryControl()
    control.append("chunks", "docs/x", {"collection": "docs", "bounds": [["", None, None]]})
    body = {"rows": rows, "digest": "0", "dead": 0, "closed": [1, 1]}
    control.append("certificate", "docs/0", body)
    migration: Any = _Migration
    document = status.status_document(migration, reached(control, ["docs"], 2))
    status.show_status(document)
    text = " ".join(capsys.readouterr().out.split())
    assert document["empty"] is is_told
    assert ("nothing was read: the source's collections held no point" in text) is is_told
    assert f"{rows} in the log" in text
