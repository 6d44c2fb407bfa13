from collections.abc import Callable

import pytest

from vecferry.errors import HaltError
from vecferry.fold import decode_metadata
from vecferry.log.intake import Committed
from vecferry.model import Key
from vecferry.record import Event, EventKind
from vecferry.testing.applying import MemoryLog, Rig, image_of, key_of
from vecferry.testing.faults import Fate, Fault

Make = Callable[..., Rig]
WAIT_S = 30.0 + 2.0  # a request's life, and the window of the deadline


def is_clean(place: Committed) -> bool:
    known = decode_metadata(place.metadata)
    assert known is not None
    return known[1]


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
