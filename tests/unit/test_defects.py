"""Each row of docs/defects.md names tests, and each of them is there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "defects.md"


class Row(NamedTuple):
    """A defect, what is done about it, and the tests that show it."""

    defect: str
    here: str
    tests: tuple[str, ...]


def rows(text: str) -> Iterator[Row]:
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and not re.fullmatch(r"[-|: ]+", line) and cells[0] != "the defect":
            assert len(cells) == 3, line
            yield Row(cells[0], cells[1], tuple(re.findall(r"`([^`]+)`", cells[2])))


@cache
def functions_in(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, functions)
    )


def problems(text: str) -> list[str]:
    """Return the rows without a test or an answer, and the tests that are not there."""
    found = []
    for row in rows(text):
        if not row.here or not row.tests:
            found.append(row.defect)
        for test in row.tests:
            name = test.partition("::")[2]
            if not name.startswith("test_") or name not in functions_in(
                ROOT / test.partition("::")[0]
            ):
                found.append(test)
    return found


def test_every_defect_has_tests_that_are_there() -> None:
    assert problems(PAGE.read_text()) == []


def test_no_defect_was_taken_off_the_page_or_is_there_twice() -> None:
    defects = [row.defect for row in rows(PAGE.read_text())]
    assert len(set(defects)) == len(defects) >= 17


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("`tests/unit/test_defects.py::test_that_is_not_there`",) * 2,
        ("`tests/unit/test_nowhere.py::test_every_defect_has_tests_that_are_there`",) * 2,
        ("`tests/unit/test_defects.py::problems`",) * 2,
        ("`tests/unit/test_defects.py`",) * 2,
        ("", "it loses points"),
    ],
)
def test_a_row_whose_test_is_not_there_is_seen(cell: str, problem: str) -> None:
    assert problems(f"| it loses points | not here | {cell} |") == [problem.strip("`")]


def test_a_row_with_a_test_is_no_problem() -> None:
    name = "`tests/unit/test_defects.py::test_a_row_with_a_test_is_no_problem`"
    assert problems(f"| the defect | here | shown by |\n|---|---|---|\n| a | b | {name} |") == []
