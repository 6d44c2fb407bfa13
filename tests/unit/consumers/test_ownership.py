from collections.abc import Callable
from typing import Any

import pytest

from vecferry.consumers.partition import Partition
from vecferry.consumers.progress import Progress
from vecferry.errors import TransientError
from vecferry.fold import Checkpoint, Left, decode_metadata, encode_metadata
from vecferry.log.intake import Committed, NotOwner
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
    return Committed(offset, encode_metadata(Left(Checkpoint(fold_from, term), is_clean=False)))


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
        (Committed(1, encode_metadata(Left(Checkpoint(0), is_clean=True))), False),
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
    log.commits[0] = Committed(0, encode_metadata(Left(Checkpoint(0), is_clean=True)))
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
    assert metadata == Left(Checkpoint(opened, 1), is_clean=True)
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


def test_a_token_that_was_passed_and_not_reported_is_known_to_the_next_owner(
    log: MemoryLog, rig: Make
) -> None:
    log.image(1, 1.0)
    log.put(Event(EventKind.BEAT, number=7, token="drained", term=1))
    rig(log).settle().revoke()
    log.image(1, 2.0)
    second = rig(log).settle()
    (partition,) = second.applier._ownership.owned.values()
    assert (partition.beat, partition.token) == (7, "drained")
