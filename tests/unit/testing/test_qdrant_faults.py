"""Faults on demand: which request fails is counted, not left to chance."""

from typing import Any

import pytest

from vecferry.testing.qdrant_server.faults import Faults
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    InternalError,
    RefusalError,
    ThrottledError,
    TimedOutError,
    UnavailableError,
)


def outcomes(faults: Faults, number: int, write: bool = True) -> list[bool]:
    found = []
    for _ in range(number):
        try:
            faults.around(write, lambda: None)
            found.append(True)
        except RefusalError:
            found.append(False)
    return found


def test_without_a_plan_every_call_is_made() -> None:
    assert Faults().around(True, lambda: 7) == 7


@pytest.mark.parametrize(("share", "failed"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_exactly_the_share_fails(share: float, failed: int) -> None:
    faults = Faults()
    faults.set({"fail_share": share})

    assert outcomes(faults, 20).count(False) == failed
    assert faults.describe()["seen"] == 20
    assert faults.describe()["failed"] == failed


def test_half_of_the_writes_means_every_second_one() -> None:
    faults = Faults()
    faults.set({"fail_share": 0.5})

    assert outcomes(faults, 4) == [True, False, True, False]


def test_writes_that_fail_leave_reads_alone() -> None:
    faults = Faults()
    faults.set({"fail_share": 1.0})

    assert outcomes(faults, 3, write=False) == [True, True, True]


def test_after_the_last_allowed_failure_requests_succeed() -> None:
    faults = Faults()
    faults.set({"fail_share": 1.0, "fails_max": 2})

    assert outcomes(faults, 4) == [False, False, True, True]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unavailable", UnavailableError),
        ("internal", InternalError),
        ("timeout", TimedOutError),
        ("429", ThrottledError),
    ],
)
def test_each_kind_is_an_error_of_its_own(kind: str, error: type[RefusalError]) -> None:
    faults = Faults()
    faults.set({"fail_share": 1.0, "kind": kind, "retry_after_s": 3})

    with pytest.raises(error) as caught:
        faults.around(True, lambda: None)
    assert caught.value.retry_after_s == (3 if kind == "429" else None)


@pytest.mark.parametrize("applied", [True, False])
def test_a_failed_request_is_carried_out_only_where_the_plan_says_so(applied: bool) -> None:
    made: list[int] = []
    faults = Faults()
    faults.set({"fail_share": 1.0, "applied": applied})

    with pytest.raises(UnavailableError):
        faults.around(True, lambda: made.append(1))
    assert len(made) == applied


@pytest.mark.parametrize(
    "plan",
    [{"fail_shares": 1}, {"fail_share": 2}, {"kind": "oops"}, {"scope": "some"}, [], None],
    ids=repr,
)
def test_a_plan_that_is_not_understood_is_refused(plan: Any) -> None:
    with pytest.raises(BadInputError):
        Faults().set(plan)
