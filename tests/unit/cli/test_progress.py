"""Numbers from the control log: phases, lag, and what is not known."""

from typing import Any

from vecferry.cli.progress import reached
from vecferry.log.silences import note_silences
from vecferry.testing.log import MemoryControl


def a_control(*, certified: int = 0, committed: int | None = None) -> Any:
    control: Any = MemoryControl()
    bounds = [["", None, "i5"], ["", "i5", None]]
    control.append("chunks", "docs/x", {"collection": "docs", "bounds": bounds})
    for number in range(certified):
        body = {"rows": 5, "digest": "0", "dead": 0, "closed": [10 + number, 20 + number]}
        control.append("certificate", f"docs/{number}", body)
    if committed is not None:
        for partition in range(2):
            body = {"committed": committed, "end": 30, "points": 4, "beat": -1}
            control.append("progress", f"apply/{partition}", body)
    return control


def test_phases_follow_chunks_certificates_and_commits() -> None:
    empty: Any = MemoryControl()
    assert reached(empty, ["docs"], 2).phase == "NEW"
    assert reached(empty, [], 2).phase == "NEW"
    assert reached(a_control(certified=1), ["docs"], 2).phase == "SNAPSHOT"
    assert reached(a_control(certified=2), ["docs"], 2).phase == "CATCHUP"
    assert reached(a_control(certified=2, committed=21), ["docs"], 2).phase == "CATCHUP"
    assert reached(a_control(certified=2, committed=22), ["docs"], 2).is_applied
    assert reached(a_control(certified=2, committed=22), ["docs", "more"], 2).phase == "SNAPSHOT"


def test_points_and_records_behind_are_summed() -> None:
    now = reached(a_control(certified=2, committed=22), ["docs"], 2)
    assert now.rows == 10
    assert now.applied == 8
    assert now.behind == {0: 8, 1: 8}


def test_a_source_without_a_point_is_told_from_one_that_is_not_read_yet() -> None:
    control: Any = MemoryControl()
    assert not reached(control, ["docs"], 2).is_empty
    control.append("chunks", "docs/x", {"collection": "docs", "bounds": [["", None, None]]})
    assert not reached(control, ["docs"], 2).is_empty
    body = {"rows": 0, "digest": "0", "dead": 0, "closed": [1, 1]}
    control.append("certificate", "docs/0", body)
    assert reached(control, ["docs"], 2).is_empty
    # a point that became a dead letter is one
    control.append("diverged", "docs/i5", {"diverged": True})
    assert not reached(control, ["docs"], 2).is_empty
    assert not reached(a_control(certified=2, committed=22), ["docs"], 2).is_empty


def test_a_capture_workers_report_is_no_appliers() -> None:
    control = a_control(certified=2, committed=22)
    report = {"beat": 3, "oldest_intent_s": 4.5}
    control.append("progress", "capture/a", {"partitions": {"0": report, "1": report}})
    now = reached(control, ["docs"], 2)
    assert now.is_applied
    assert now.live.oldest_intent_s == 4.5


def test_the_lag_is_unknown_without_a_living_checker() -> None:
    control = a_control()
    lag = {"capture_s": 0.5, "total_s": 1.5}
    control.append("lag", "check", {"partitions": {"0": lag, "1": lag}})
    assert reached(control, ["docs"], 2).live.total_s is None
    control.append("process", "check/a", {"pid": 1})
    assert reached(control, ["docs"], 2).live.total_s == 1.5
    control.append("process", "check/a", {"pid": 1, "left": True})
    assert reached(control, ["docs"], 2).live.total_s is None


def test_feeds_are_listed_with_where_they_run() -> None:
    control = a_control()
    control.append("process", "feed/a", {"host": "h", "pid": 7, "version": "0.1.0"})
    control.append("process", "apply/a", {"pid": 8})
    now = reached(control, ["docs"], 2)
    assert now.live.feeds == (
        {"name": "feed/a", "host": "h", "pid": 7, "version": "0.1.0", "seen_at_ms": 0},
    )
    assert now.workers == {"feed": 1, "apply": 1}


def test_whoever_fell_silent_counts_no_more() -> None:
    control = a_control()
    for name in ("feed/a", "apply/a", "apply/b"):
        control.append("process", name, {"writer": "api"} if name == "feed/a" else {})
    note_silences(control, lambda name: name == "apply/b")
    now = reached(control, ["docs"], 2, {"api": 1})
    assert now.workers == {"apply": 1}
    assert now.live.feeds == ()
    assert now.live.writers.expected[0].missing == 1
