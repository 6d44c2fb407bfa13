from collections.abc import Callable
from typing import Any

import pytest

from vecferry.consumers.partition import Partition
from vecferry.consumers.progress import Progress
from vecferry.consumers.sending import Deadline
from vecferry.errors import HaltError, TransientError
from vecferry.fold import Checkpoint, decode_metadata, encode_metadata
from vecferry.log.intake import Committed, NotOwner
from vecferry.model import Key
from vecferry.record import Event, EventKind
from vecferry.testing.applying import MemoryLog, Rig, image_of, key_of, new_store
from vecferry.testing.faults import Fate, Fault

Make = Callable[..., Rig]
WAIT_S = 30.0 + 2.0  # a request's life, and the window of the deadline


def is_clean(place: Committed) -> bool:
    known = decode_metadata(place.metadata)
    assert known is not None
    return known[1]


def unclean(offset: int, fold_from: int = 0, term: int = -1) -> Committed:
    return Committed(offset, encode_metadata(Checkpoint(fold_from, term), clean=False))


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
    def transform(point: Any) -> Any:
        return None if point.key.id == 2 else point._replace(image=image_of(5.0))

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
    applier.until(lambda: furthest() >= 1 + 8)
    assert log.commits[0].offset <= 1


# --- taking over ---


def test_unclean_is_committed_before_the_first_write(log: MemoryLog, rig: Make) -> None:
    log.image(1, 1.0)
    applier = rig(log)
    log.refusals = [TransientError("no answer")] * 2
    applier.turn(3)
    assert (applier.writes(), log.history) == ([], [])
    applier.until(lambda: bool(applier.writes()), advance_s=0.3)
    assert not is_clean(log.history[0][1])
    assert log.history[0][1].offset == 0


@pytest.mark.parametrize(
    ("commit", "waits"),
    [
        (Committed(0), False),
        (Committed(1), True),
        (Committed(1, "something else"), True),
        (unclean(1), True),
        (Committed(1, encode_metadata(Checkpoint(0), clean=True)), False),
    ],
    ids=["the first owner", "no metadata", "foreign metadata", "unclean", "clean"],
)
def test_after_an_unclean_commit_the_predecessors_requests_expire_first(
    log: MemoryLog, rig: Make, commit: Committed, waits: bool
) -> None:
    log.image(1, 1.0)
    log.image(2, 1.0)
    log.commits[0] = commit
    applier = rig(log)
    applier.turn(10)
    applier.until(lambda: applier.applier._delivery.flying == 0)
    assert bool(applier.writes()) != waits
    if waits:
        for _ in range(int(WAIT_S)):
            applier.turn()
            assert applier.writes() == []
            applier.now += 1.0
    applier.settle()
    assert applier.shown(2) == 1.0


def test_where_metadata_is_dropped_the_takeover_at_offset_zero_waits_too(
    log: MemoryLog, rig: Make
) -> None:
    log.drops_metadata = True
    log.image(1, 1.0)
    first = rig(log)
    first.store.script(Fault(Fate.LATE))
    first.until(lambda: bool(first.writes()))
    log.image(1, 2.0)
    second = rig(log, first.store)
    second.turn(10)
    assert first.writes() == [(1,)]
    first.store.land_late()
    second.settle(advance_s=1.0)
    assert second.shown(1) == 2.0


def die_with_a_write_on_its_way(log: MemoryLog, rig: Make) -> Rig:
    """A worker dies with a write of 1.0 on its way; the key becomes 2.0; return its successor."""
    first = rig(log)
    first.store.script(Fault(Fate.LATE))
    log.image(1, 1.0)
    first.until(lambda: bool(first.writes()))
    log.image(1, 2.0)
    return rig(log, first.store)


def test_a_dead_predecessors_late_write_is_not_the_last(log: MemoryLog, rig: Make) -> None:
    successor = die_with_a_write_on_its_way(log, rig)
    for _ in range(29):
        successor.now += 1.0
        successor.turn()
    assert successor.writes() == [(1,)]
    successor.store.land_late()
    assert successor.settle(advance_s=1.0).shown(1) == 2.0


def test_without_the_wait_it_is(log: MemoryLog, rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Partition, "may_send", lambda self, now: self.is_open)
    successor = die_with_a_write_on_its_way(log, rig)
    successor.until(lambda: successor.shown(1) == 2.0)
    successor.store.land_late()
    assert successor.settle(advance_s=1.0).shown(1) == 1.0


def older_states(log: MemoryLog, rig: Make) -> list[Any]:
    """What a key shows while a successor of one that wrote its third state takes over."""
    store = new_store()
    for value in (1.0, 2.0, 3.0):
        log.image(1, value)
    first = rig(log, store)
    first.until(lambda: first.shown(1) == 3.0)
    log.commits[0] = Committed(0, encode_metadata(Checkpoint(0), clean=True))
    second = rig(log, store)
    seen: list[Any] = []
    take = second.intake.poll
    second.intake.poll = lambda most, wait: take(2, wait)  # type: ignore[method-assign]
    second.until(
        lambda: seen.append(second.shown(1)) or log.commits[0].offset == 4,  # type: ignore[func-returns-value]
        advance_s=1.0,
    )
    return seen


def test_the_first_writes_of_an_owner_reach_to_the_logs_end(log: MemoryLog, rig: Make) -> None:
    assert set(older_states(log, rig)) == {3.0}


def test_without_that_a_key_goes_back_for_a_moment(
    log: MemoryLog, rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "is_covered", lambda self: self.position > self.base)
    assert 1.0 in older_states(log, rig)


def test_a_restarted_worker_folds_from_the_checkpoint_and_applies_from_the_commit(
    log: MemoryLog, rig: Make
) -> None:
    opened = log.put(Event(EventKind.OPEN, chunk="c"))
    row = Event(EventKind.ROW, key_of(1), image_of(1.0), chunk="c", opened=opened)
    log.put(row)
    log.image(2, 2.0)
    first = rig(log).settle()
    first.revoke()
    metadata = decode_metadata(log.commits[0].metadata)
    assert metadata == (Checkpoint(opened, 1), True)
    log.put(row._replace(key=key_of(3)))
    log.put(row._replace(key=key_of(2)))  # live since its image: the fold must know that
    second = rig(log).settle()
    assert second.writes() == [(3,)]


# --- giving back ---


def test_revoked_it_finishes_what_is_in_flight_and_commits_clean(log: MemoryLog, rig: Make) -> None:
    applier = rig(log, commit_s=1_000)
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()))
    applier.revoke()
    assert log.commits[0].offset == 2
    assert is_clean(log.commits[0])
    assert applier.applier._ownership.owned == {}


def test_revoked_with_an_unknown_outcome_it_does_not_commit_clean(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log)
    applier.store.script(Fault(Fate.LATE))
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()))
    applier.revoke()
    assert log.commits[0].offset <= 1
    assert not is_clean(log.commits[0])


def test_revoked_while_it_waits_for_a_predecessor_it_does_not_commit_clean(
    log: MemoryLog, rig: Make
) -> None:
    log.commits[0] = unclean(1)
    applier = rig(log)
    applier.turn(5)
    applier.revoke()
    assert not is_clean(log.commits[0])


def test_lost_it_discards_everything_and_commits_nothing(log: MemoryLog, rig: Make) -> None:
    applier = rig(log)
    applier.store.gate.clear()
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()))
    before = list(log.history)
    applier.intake.lose()
    applier.store.gate.set()
    applier.until(lambda: applier.applier._delivery.flying == 0)
    applier.turn(5)
    assert log.history == before


def test_a_refused_commit_discards_and_what_is_ours_after_all_is_taken_over_anew(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log).until(lambda: bool(log.history))
    log.image(1, 1.0)
    log.refusals = [NotOwner("the group has gone on")]
    applier.until(lambda: not log.refusals and not applier.applier._ownership.owned, advance_s=0.1)
    applier.settle(advance_s=1.0)
    assert applier.shown(1) == 1.0


# --- failures ---


def test_an_outage_is_waited_for_and_dead_letters_nothing(log: MemoryLog, rig: Make) -> None:
    applier = rig(log, batch_points=2)
    applier.store.down = True
    for number in range(1, 20):
        log.image(number, 1.0)
    applier.until(lambda: len(applier.writes()) >= 40, advance_s=1.0)
    assert log.commits[0].offset <= 1
    applier.store.heal()
    applier.settle(advance_s=1.0)
    assert log.dead == []
    assert applier.shown(19) == 1.0


def test_in_an_outage_no_new_batches_join_those_that_wait(log: MemoryLog, rig: Make) -> None:
    applier = rig(log, batch_points=2, writes_in_flight=3)
    applier.store.down = True
    for number in range(1, 20):
        log.image(number, 1.0)
    applier.until(lambda: len(applier.writes()) >= 20, advance_s=1.0)
    assert len(set(applier.writes())) == 3


def test_what_the_database_asks_for_is_honoured(log: MemoryLog, rig: Make) -> None:
    applier = rig(log)
    applier.store.script(Fault(Fate.REFUSED, retry_after_s=100.0))
    log.image(1, 1.0)
    applier.until(lambda: bool(applier.writes()))
    for _ in range(99):
        applier.now += 1.0
        applier.turn()
    assert len(applier.writes()) == 1
    applier.settle(advance_s=1.0)


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "to be bisected"])
def test_poison_is_isolated_and_everything_else_is_applied(
    log: MemoryLog, rig: Make, is_named: bool
) -> None:
    applier = rig(log)
    applier.store.poison_is_named = is_named
    applier.store.poison = {Key("docs", "", 5), Key("docs", "", 11)}
    for number in range(1, 20):
        log.image(number, 1.0)
    applier.settle()
    assert sorted(letter.offset for letter in log.dead) == [5, 11]
    letter = log.dead[0]
    assert (letter.role, letter.error, letter.partition) == ("apply", "RecordError", 0)
    assert log.codec.decode_event(letter.value).key == letter.key
    assert log.diverged() == {key_of(5), key_of(11)}
    shown = [number for number in range(1, 20) if applier.shown(number) == 1.0]
    assert shown == [number for number in range(1, 20) if number not in (5, 11)]


def test_a_newer_success_clears_the_mark(log: MemoryLog, rig: Make) -> None:
    applier = rig(log)
    applier.store.poison = {Key("docs", "", 5)}
    log.image(5, 1.0)
    applier.settle()
    assert log.diverged() == {key_of(5)}
    applier.store.poison = set()
    log.image(5, 2.0)
    applier.settle()
    assert log.diverged() == set()
    assert applier.shown(5) == 2.0


def test_a_mark_of_captures_is_cleared_by_a_newer_hint_only(log: MemoryLog, rig: Make) -> None:
    log.append("diverged", key_of(1).hex(), {"diverged": True, "role": "capture", "hint_offset": 2})
    applier = rig(log)
    log.image(1, 1.0)  # answers hint 1
    applier.settle().until(lambda: len(log.control["diverged"]) == 1, advance_s=1.0)
    assert log.diverged() == {key_of(1)}
    log.image(2, 1.0)
    log.image(1, 2.0)  # answers hint 3
    applier.settle().until(lambda: log.diverged() == set(), advance_s=1.0)


def test_a_mark_that_arrives_after_the_success_that_clears_it_is_cleared_too(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log)
    log.image(1, 1.0)
    applier.settle()
    log.append("diverged", key_of(1).hex(), {"diverged": True, "role": "capture", "hint_offset": 0})
    applier.applier._letters._looked_at = float("-inf")
    applier.until(lambda: log.diverged() == set(), advance_s=0.6)


@pytest.mark.parametrize("cut", [0, 5, 30])
def test_a_record_that_cannot_be_decoded_is_buried_and_the_next_one_applied(
    log: MemoryLog, rig: Make, cut: int
) -> None:
    whole = log.codec.encode_event(
        Event(EventKind.IMAGE, key_of(1), image_of(1.0), term=1, hint_offset=1)
    )
    log.put_raw(whole[:cut], key_of(1))
    log.image(2, 2.0)
    applier = rig(log).settle()
    assert applier.shown(2) == 2.0
    assert [(letter.offset, letter.value, letter.key) for letter in log.dead] == [
        (1, whole[:cut], key_of(1))
    ]
    assert log.diverged() == {key_of(1)}


def test_a_damaged_marker_closes_the_gate_for_good(log: MemoryLog, rig: Make) -> None:
    log.put_raw(b"\xc3\x01nonsense", None)
    rig(log).settle()
    assert log.diverged() == {b"events/0/1"}


def test_the_commit_stays_before_a_letter_that_is_not_acknowledged(
    log: MemoryLog, rig: Make
) -> None:
    log.deaf = 3
    log.put_raw(b"nonsense", key_of(1))
    log.image(2, 2.0)
    applier = rig(log)
    applier.until(lambda: log.deaf == 0, advance_s=0.5)
    assert log.commits[0].offset <= 1
    applier.settle()
    assert len(log.dead) == 1


def test_what_could_lose_data_stops_the_worker_which_commits_nothing_more(
    log: MemoryLog, rig: Make
) -> None:
    applier = rig(log)
    applier.store.script(Fault(Fate.RAISES, error=HaltError("the collection is gone")))
    log.image(1, 1.0)
    with pytest.raises(HaltError, match="gone"):
        applier.settle()
    applier.applier._ownership.abandon()
    applier.intake.close()
    assert log.commits[0].offset <= 1
    assert not is_clean(log.commits[0])


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
