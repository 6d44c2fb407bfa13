"""Lag by BEATs: the age of the oldest one that has not passed."""

from typing import Any, cast

from vecferry.log.beats import BeatLog, Lag, measure
from vecferry.testing.log import MemoryControl


def a_log(*times: float) -> BeatLog:
    log = BeatLog(first=1_000)
    for at in times:
        log.wrote(at)
    return log


def test_the_lag_is_the_age_of_the_oldest_beat_that_has_not_passed() -> None:
    log = a_log(10.0, 11.0, 12.0)
    assert log.age_s(1_002, 12.5) == 0.0
    assert log.age_s(1_000, 12.5) == 1.5
    assert log.age_s(-1, 12.5) == 2.5


def test_a_beat_of_an_older_checker_says_nothing_good() -> None:
    assert a_log(10.0).age_s(7, 30.0) == 20.0


def test_nothing_is_known_before_the_first_beat() -> None:
    assert BeatLog(5).age_s(-1, 1.0) is None


def test_a_day_of_outage_is_remembered_in_bounded_memory() -> None:
    log = BeatLog(0)
    for at in range(250_000):
        log.wrote(float(at))
    assert log.next == 250_000
    assert log.age_s(249_998, 250_000.0) == 1.0
    assert cast("float", log.age_s(-1, 250_000.0)) > 50_000
    assert len(log._sent_at) <= 100_000


def test_each_partition_is_measured_at_each_stage() -> None:
    control: Any = MemoryControl()
    partitions = {"0": {"beat": 1_001}, "1": {"beat": 1_000}}
    control.append("progress", "capture/a", {"partitions": partitions})
    control.append("progress", "apply/0", {"beat": 1_000})
    lags = measure(a_log(10.0, 11.0), control, range(2), 12.0)
    assert lags[0] == Lag(capture_s=0.0, total_s=1.0)
    assert lags[1] == Lag(capture_s=1.0, total_s=2.0)


def test_the_newest_owner_of_a_partition_speaks_for_it() -> None:
    control: Any = MemoryControl()
    control.append("progress", "capture/a", {"partitions": {"0": {"beat": 1_000}}})
    control.append("progress", "capture/b", {"partitions": {"0": {"beat": 1_001}}})
    assert measure(a_log(10.0, 11.0), control, [0], 12.0)[0].capture_s == 0.0
