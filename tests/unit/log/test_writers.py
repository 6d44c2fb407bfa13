"""The writers that should be there against those that are, and the operator's word."""

from typing import Any

import pytest

from vecferry.log.silences import note_silences
from vecferry.log.writers import vouch, writers
from vecferry.testing.log import MemoryControl


@pytest.fixture
def control() -> Any:
    return MemoryControl()


def register(control: Any, *names: str) -> None:
    for number, name in enumerate(names):
        control.append("process", f"feed/{name}{number}", {"writer": name})


def test_all_are_there(control: Any) -> None:
    register(control, "api", "api", "api", "importer")
    now = writers(control, {"api": 2, "importer": 1})
    assert [(each.name, each.registered, each.missing) for each in now.expected] == [
        ("api", 3, 0),
        ("importer", 1, 0),
    ]
    assert now.reasons == []


def test_what_is_missing_is_counted(control: Any) -> None:
    register(control, "api")
    now = writers(control, {"api": 4, "importer": 1})
    assert [each.missing for each in now.expected] == [3, 1]
    assert now.reasons == [
        "api: 3 of 4 processes are not registered",
        "importer: 1 of 1 processes are not registered",
    ]


def test_a_writer_that_fell_silent_or_left_is_missing(control: Any) -> None:
    register(control, "api", "api", "api")
    control.append("process", "feed/api0", {"writer": "api", "left": True})
    note_silences(control, lambda name: name != "feed/api1")
    (api,) = writers(control, {"api": 3}).expected
    assert api.missing == 2


def test_whoever_writes_and_is_not_expected_is_named(control: Any) -> None:
    register(control, "api", "cron", "", "")
    now = writers(control, {"api": 1})
    assert now.unexpected == {"": 2, "cron": 1}
    assert now.reasons == [
        "2 processes without a name write and are not expected",
        "1 processes of 'cron' write and are not expected",
    ]


def test_where_none_is_expected_nobody_is_unexpected_and_nothing_is_certain(control: Any) -> None:
    register(control, "api")
    now = writers(control, {})
    assert now.unexpected == {}
    assert "capture.expected_writers" in now.reasons[0]


def test_workers_are_no_writers_nor_is_the_feed_role(control: Any) -> None:
    control.append("process", "apply/a", {"role": "apply"})
    control.append("process", "feed/a", {"role": "feed"})
    assert writers(control, {"api": 1}).unexpected == {}


def test_the_operators_word_stands_for_one_writer_until_it_is_taken_back(control: Any) -> None:
    vouch(control, "api", "it was shut down")
    now = writers(control, {"api": 2, "importer": 1})
    assert now.expected[0].vouched == "it was shut down"
    assert now.expected[0].missing == 2
    assert now.reasons == ["importer: 1 of 1 processes are not registered"]
    vouch(control, "api", "")
    assert len(writers(control, {"api": 2, "importer": 1}).reasons) == 2


def test_the_operators_word_can_stand_for_all(control: Any) -> None:
    vouch(control, None, "nobody writes at night")
    now = writers(control, {"api": 2})
    assert now.vouched == "nobody writes at night"
    assert now.reasons == []
    assert writers(control, {}).reasons == []
