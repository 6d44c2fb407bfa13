from collections.abc import Callable
from typing import Any

import pytest

from vecferry.consumers.progress import Progress
from vecferry.consumers.sending import Deadline
from vecferry.errors import HaltError, TransientError
from vecferry.record import Event, EventKind
from vecferry.testing.applying import MemoryLog, Rig, image_of, key_of
from vecferry.testing.faults import Fate, Fault

Make = Callable[..., Rig]
WAIT_S = 30.0 + 2.0  # a request's life, and the window of the deadline


# --- intake, fold, coalesce ---


def test_the_newest_state_of_each_key_is_written_once(log: MemoryLog, rig: Make) -> None:
    for value in (1.0, 2.0, 3.0):
        log.image(7, value)
    log.image(8, 1.0)
    log.put(Event(EventKind.DELETE, key_of(8), term=1, hint_offset=9))
    applier = rig(log).settle()
    assert applier.shown(7) == 3.0
    assert applier.shown(8) is None
    assert applier.writes() == [(7, 8)]


def test_what_the_fold_drops_is_not_written(log: MemoryLog, rig: Make) -> None:
    log.image(1, 1.0)
    log.put(Event(EventKind.EPOCH, term=2))
    log.image(1, 9.0, term=1)
    assert rig(log).settle().shown(1) == 1.0


def test_a_point_goes_through_the_transform_and_none_means_it_is_not_there(
    log: MemoryLog, rig: Make
) -> None:
    def transform(points: Any) -> Any:
        return [None if each.key.id == 2 else each._replace(image=image_of(5.0)) for each in points]

    log.image(1, 1.0)
    log.image(2, 1.0)
    applier = rig(log, transform=transform).settle()
    assert (applier.shown(1), applier.shown(2)) == (5.0, None)


def test_a_key_of_a_collection_without_a_target_stops_the_worker(log: MemoryLog, rig: Make) -> None:
    log.put(Event(EventKind.IMAGE, b"5:other0:i1", image_of(1.0), term=1, hint_offset=1))
    with pytest.raises(HaltError, match="other"):
        rig(log).settle()
    assert log.commits[0].offset <= 1
    assert log.dead == []


def test_a_missing_offset_stops_the_worker(log: MemoryLog, rig: Make) -> None:
    log.image(1, 1.0)
    log.image(2, 1.0)
    del log.records[0][1]
    with pytest.raises(HaltError, match="offsets 1 to 1"):
        rig(log).settle()


# --- commit ---


def test_the_commit_covers_what_was_acknowledged_and_nothing_beyond(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log, batch_points=1, writes_in_flight=2)
    log.image(1, 1.0)
    log.image(2, 1.0)
    log.image(3, 1.0)
    applier.store.script(None, Fault(Fate.REFUSED, times=3))
    applier.until(lambda: len(applier.writes()) >= 2)
    applier.until(lambda: log.commits[0].offset == 2, advance_s=0.01)
    assert applier.shown(2) is None
    applier.settle()
    assert applier.shown(2) == 1.0


def test_a_beat_counts_once_the_commit_has_passed_it(log: MemoryLog, rig: Make) -> None:
    applier = rig(log)
    applier.store.gate.clear()
    log.image(1, 1.0)
    log.put(Event(EventKind.BEAT, number=4, token="t", term=1))
    applier.until(lambda: bool(applier.writes()))
    applier.turn(3)
    held = applier.applier._ownership.owned[0]
    assert held.beat == -1
    applier.store.gate.set()
    applier.settle()
    report = held.report(0, 5)
    assert (report["beat"], report["token"], report["committed"]) == (4, "t", 3)
    assert (report["points"], report["end"], report["at"]) == (1, 3, 5)


def test_progress_goes_into_control(log: MemoryLog, rig: Make) -> None:
    log.image(1, 1.0)
    rig(log).settle().until(
        lambda: log.latest("progress")["apply/0"].body.get("committed") == 2, advance_s=0.3
    )


# --- one write in flight per key, unknown outcomes ---


def overlap(log: MemoryLog, applier: Rig) -> Rig:
    applier.store.gate.clear()
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()))
    log.image(1, 2.0)
    log.image(2, 2.0)
    applier.until(lambda: len(applier.writes()) >= 2)
    applier.store.gate.set()
    return applier.settle()


def test_a_key_has_one_write_in_flight(log: MemoryLog, rig: Make) -> None:
    applier = overlap(log, rig(log, batch_points=1))
    assert applier.store.overlaps == 0
    assert applier.shown(1) == 2.0


def test_without_that_rule_two_writes_of_a_key_are_in_flight(
    log: MemoryLog, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "is_busy", lambda self, key: False)
    assert overlap(log, rig(log, batch_points=1)).store.overlaps > 0


def lose_an_answer(log: MemoryLog, applier: Rig) -> None:
    """A write of 1.0 is on its way for a while; meanwhile the key becomes 2.0."""
    applier.store.script(Fault(Fate.LATE))
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()) and applier.applier._delivery.flying == 0)
    log.image(1, 2.0)


def test_a_write_with_an_unknown_outcome_is_repeated_when_it_can_no_longer_land(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log)
    lose_an_answer(log, applier)
    for _ in range(29):
        applier.now += 1.0
        applier.turn()
    applier.store.land_late()
    assert applier.writes() == [(1,)]
    assert log.commits[0].offset <= 1
    applier.settle(advance_s=1.0)
    assert applier.writes() == [(1,), (1,)]
    assert applier.shown(1) == 2.0


def test_repeated_too_early_the_late_write_is_the_last(log: MemoryLog, rig: Make) -> None:
    applier = rig(log, request_max_s=1.0)
    lose_an_answer(log, applier)
    applier.until(
        lambda: applier.shown(1) == 2.0, advance_s=0.1
    )  # a request lives longer than that
    applier.store.land_late()
    applier.settle()
    assert applier.shown(1) == 1.0  # for good: the log says 2.0


# --- the deadline ---


def sleep_past_the_session(log: MemoryLog, applier: Rig) -> Rig:
    """It stops after a poll, wakes when a successor has written, and goes on."""
    log.image(1, 1.0)
    applier.store.gate.clear()
    log.image(2, 1.0)
    applier.until(lambda: applier.applier._delivery.flying == 1)
    applier.store.gate.set()
    applier.settle()
    log.image(1, 2.0)
    raws = applier.intake.poll(10, 0)
    held = applier.applier._ownership.owned
    held[0].take(raws)
    applier.now += 60.0
    log.owner = None  # somebody else's already, and nobody told it
    applier.applier._delivery.send(held.values())
    applier.until(lambda: applier.applier._delivery.flying == 0)
    applier.turn(5)
    return applier


def test_a_worker_that_slept_past_its_session_sends_nothing(log: MemoryLog, rig: Make) -> None:
    applier = sleep_past_the_session(log, rig(log))
    assert applier.shown(1) == 1.0
    assert applier.applier._ownership.owned == {}  # the broker said so


def test_without_the_deadline_it_does(
    log: MemoryLog, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deadline, "is_past", lambda self, now: False)
    assert sleep_past_the_session(log, rig(log)).shown(1) == 2.0


def test_one_that_slept_and_is_still_a_member_goes_on(log: MemoryLog, rig: Make) -> None:
    applier = rig(log).until(lambda: 0 in log.commits and bool(log.history))
    log.image(1, 1.0)
    applier.now += 60.0
    assert applier.settle().shown(1) == 1.0


def test_nothing_is_sent_while_the_broker_does_not_say_so(log: MemoryLog, rig: Make) -> None:
    applier = rig(log).until(lambda: bool(log.history))
    log.image(1, 1.0)
    applier.now += 60.0
    log.refusals = [TransientError("no answer")] * 3
    for _ in range(4):
        applier.turn(2)
        assert applier.writes() == []
        applier.now += 1.0
    assert applier.settle().shown(1) == 1.0


# --- the span ---


def fill_the_span(log: MemoryLog, applier: Rig) -> Callable[[], int]:
    """The first batch holds the commit back; return what tells the furthest offset sent."""
    applier.store.script(Fault(Fate.NEVER))
    for number in range(1, 30):
        assert log.image(number, 1.0) == number  # each point is its offset
    return lambda: max((id for write in applier.writes() for id in write), default=0)


def test_nothing_at_or_beyond_the_last_commit_and_the_span_is_sent(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log, span_offsets=8, batch_points=2, commit_s=1_000)
    furthest = fill_the_span(log, applier)
    applier.until(lambda: len(applier.writes()) >= 4)
    applier.turn(20)
    applier.until(lambda: applier.applier._delivery.flying == 0)
    assert furthest() < 1 + 8
    applier.settle(advance_s=1.0)
    assert applier.shown(29) == 1.0


def test_without_the_span_it_is(log: MemoryLog, rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "limit", lambda self: 1_000_000)
    applier = rig(log, span_offsets=8, batch_points=2, commit_s=1_000)
    furthest = fill_the_span(log, applier)
    # the fault holds one of the first batches, whichever thread came first
    applier.until(lambda: furthest() >= log.commits[0].offset + 8)


# --- orders ---


@pytest.mark.parametrize(
    ("kind", "name", "body", "ended"),
    [
        ("pause", "all", {"paused": True}, {"paused": False}),
        ("pause", "apply", {"paused": True}, {"paused": False}),
        ("journal", "j", {"direction": "forward"}, {"direction": "reverse"}),
        ("journal", "j", {}, {"direction": "reverse"}),
    ],
)
def test_nothing_is_sent_while_control_says_so(
    log: MemoryLog, rig: Make, kind: str, name: str, body: dict[str, Any], ended: dict[str, Any]
) -> None:
    log.append(kind, name, body)
    log.image(1, 1.0)
    applier = rig(log)
    applier.turn(10)
    assert applier.intake.at[0] == 2  # kept polled
    assert applier.writes() == []
    log.append(kind, name, ended)
    assert applier.settle().shown(1) == 1.0


def test_a_direction_is_applied_up_to_its_end_and_on_after_a_resume(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log)
    log.image(1, 1.0)
    end = log.put(Event(EventKind.END, term=5))
    log.image(1, 2.0)
    applier.until(lambda: log.commits[0].offset == end + 1, advance_s=0.1)
    applier.turn(10)
    assert applier.shown(1) == 1.0
    assert applier.applier._ownership.owned[0].report(0, 0)["ended"] == 5
    log.put(Event(EventKind.RESUME, term=5))
    assert applier.settle().shown(1) == 2.0


def test_memory_is_bounded_while_the_target_is_slow(log: MemoryLog, rig: Make) -> None:
    applier = rig(log, batch_bytes=1_000, batch_points=10)
    applier.until(lambda: bool(log.history))
    applier.turn(3)
    applier.store.gate.clear()
    for number in range(500):
        log.image(number, 1.0)
    poll = applier.intake.poll
    applier.intake.poll = lambda most, wait: poll(20, wait)  # type: ignore[method-assign]
    applier.turn(50)
    held = applier.applier._ownership.owned[0]
    assert held.progress.size < 8_000 + 20 * 100
    assert applier.intake.at[0] < 300
    applier.store.gate.set()
    applier.settle()
    assert applier.shown(499) == 1.0
    assert held.progress.size == 0
