"""What ``check`` prints of a report."""

from dataclasses import replace
from typing import Any

import pytest

from vecferry.cli.checking import report_document, show_report
from vecferry.model import Key
from vecferry.parity.full import FullReport, Mismatch, MismatchKind

EMPTY = FullReport("docs", 0, 0, 0, 0, "0" * 32, 0, ())


def said(report: FullReport, capsys: Any) -> str:
    show_report(report)
    return " ".join(capsys.readouterr().out.split())


def test_two_empty_sides_are_said_to_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(EMPTY, capsys)
    assert "nothing to compare, both sides are empty: 0 points in the source, 0 in the" in text
    assert "docs: equal" not in text
    document = report_document(EMPTY)
    assert (document["empty"], document["points"]) == (True, {"source": 0, "target": 0})


def test_sides_that_hold_points_are_said_to_be_equal(capsys: pytest.CaptureFixture[str]) -> None:
    report = replace(EMPTY, source_points=3, target_points=3, source_count=3, target_count=3)
    assert "docs: equal: 3 points in the source, 3 in the target" in said(report, capsys)
    assert not report_document(report)["empty"]


def test_a_side_that_counts_points_and_returns_none_is_neither_empty_nor_equal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = replace(EMPTY, source_count=3)
    assert not report_document(report)["empty"]
    assert "docs: not equal" in said(report, capsys)


def test_an_empty_target_of_a_source_with_points_is_not_equal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    missing = Mismatch(MismatchKind.MISSING, Key("docs", "", 5))
    report = replace(EMPTY, source_points=1, source_count=1, mismatches=(missing,))
    text = said(report, capsys)
    assert "docs: not equal: 1 points in the source, 0 in the target" in text
    assert "MISSING" in text
