"""The fold's rules, one by one."""

import itertools

import pytest

from vecferry.errors import HaltError
from vecferry.fold import (
    Checkpoint,
    Fold,
    Left,
    coalesce,
    decode_metadata,
    encode_metadata,
    has_lapsed,
)
from vecferry.model import Image
from vecferry.record import Event, EventKind
from vecferry.testing.folds import (
    ForgettingFold,
    LastEpochFold,
    LateResumeFold,
    NoLapseFold,
    OneWindowFold,
    TermlessFold,
    UnfencedBeatFold,
    UnfencedFold,
    WindowlessFold,
)

K = b"4:docs0:i1"
J = b"4:docs0:i2"
W = 100


def image(text: str = "new", *, term: int = 0, key: bytes = K) -> Event:
    return Event(EventKind.IMAGE, key, Image({}, text.encode()), term=term)


def delete(*, term: int = 0, key: bytes = K) -> Event:
    return Event(EventKind.DELETE, key, term=term)


def row(opened: int, text: str = "old", *, key: bytes = K) -> Event:
    return Event(EventKind.ROW, key, Image({}, text.encode()), chunk="c", opened=opened)


def epoch(term: int) -> Event:
    return Event(EventKind.EPOCH, term=term)


def beat(term: int, number: int = 1) -> Event:
    return Event(EventKind.BEAT, term=term, number=number)


def end(term: int) -> Event:
    return Event(EventKind.END, term=term)


def resume(term: int) -> Event:
    return Event(EventKind.RESUME, term=term)


def close(opened: int) -> Event:
    return Event(EventKind.CLOSE, chunk="c", opened=opened)


OPEN = Event(EventKind.OPEN, chunk="c")


def run(*events: Event, fold: Fold | None = None) -> list[bool]:
    """Take events at offsets 0, 1, 2, …; tell which were accepted."""
    fold = fold or Fold(W)
    return [fold.take(at, event) is event for at, event in enumerate(events)]


def test_an_image_of_the_current_term_is_the_state_of_its_key() -> None:
    assert run(epoch(3), image(term=3), delete(term=3)) == [False, True, True]


def test_an_image_before_any_epoch_is_dropped() -> None:
    assert run(image(term=0), image(term=-1), delete(term=-1), beat(-1)) == [False] * 4


@pytest.mark.parametrize("late", [image(term=3), delete(term=3), beat(3)])
def test_what_an_older_term_sends_is_dropped(late: Event) -> None:
    assert run(epoch(3), epoch(7), late)[-1] is False
    broken = UnfencedBeatFold if late.kind is EventKind.BEAT else UnfencedFold
    assert run(epoch(3), epoch(7), late, fold=broken(W))[-1] is True


def test_what_a_term_that_has_no_epoch_yet_sends_is_dropped() -> None:
    assert run(epoch(3), image(term=7), beat(7)) == [False] * 3


def test_a_late_epoch_of_an_older_claim_changes_nothing() -> None:
    late = (epoch(7), epoch(3), image(term=7), image(term=3))
    assert run(*late) == [False, False, True, False]
    assert run(*late, fold=LastEpochFold(W)) == [False, False, False, True]


def test_a_row_needs_its_window_open() -> None:
    assert run(row(0)) == [False]
    assert run(OPEN, row(0)) == [False, True]
    assert run(OPEN, close(0), row(0)) == [False, False, False]
    assert run(OPEN, row(5)) == [False, False]


def test_a_late_row_does_not_resurrect_a_delete() -> None:
    late = (epoch(0), OPEN, delete(), row(1))
    assert run(*late)[-1] is False
    assert run(*late, fold=WindowlessFold(W))[-1] is True


def test_a_row_wins_over_what_was_live_before_its_window_opened() -> None:
    assert run(epoch(0), image(), OPEN, row(2))[-1] is True


def test_a_row_loses_to_a_live_event_of_its_own_key_only() -> None:
    assert run(epoch(0), OPEN, image(key=J), row(1), row(1, key=J))[-2:] == [True, False]


def test_a_fenced_image_does_not_make_a_key_live() -> None:
    assert run(epoch(7), OPEN, image(term=3), row(1))[-1] is True


def test_windows_are_independent_of_each_other() -> None:
    two = (OPEN, OPEN, row(0), row(1), close(0), row(0), row(1))
    assert run(*two) == [False, False, True, True, False, False, True]
    assert run(*two, fold=OneWindowFold(W))[2] is False


def test_a_live_event_between_two_windows_drops_the_older_ones_row_only() -> None:
    assert run(epoch(0), OPEN, image(), OPEN, row(1), row(3))[-2:] == [False, True]


def test_a_window_lapses_by_itself() -> None:
    fold = Fold(10)
    fold.take(5, OPEN)
    assert fold.take(14, row(5)) is not None
    assert fold.take(15, row(5)) is None
    broken = NoLapseFold(10)
    broken.take(5, OPEN)
    assert broken.take(15, row(5)) is not None


def test_the_snapshot_worker_and_the_fold_agree_on_the_lapse() -> None:
    for distance in range(1, 30):
        fold = Fold(10)
        fold.take(0, OPEN)
        assert (fold.take(distance, row(0)) is None) == has_lapsed(0, distance, 10)


def test_a_close_after_the_lapse_changes_nothing() -> None:
    fold = Fold(10)
    fold.take(0, OPEN)
    fold.take(8, OPEN)
    assert fold.take(12, close(0)) is None
    assert fold.checkpoint(13).offset == 8


def test_an_accepted_beat_is_returned() -> None:
    assert run(epoch(2), beat(2)) == [False, True]


def test_markers_are_not_returned() -> None:
    assert run(epoch(0), OPEN, close(1), resume(1)) == [False] * 4


@pytest.mark.parametrize("order", list(itertools.permutations([end(5), end(7), resume(6)])))
def test_a_resume_voids_smaller_ends_before_and_after_it(order: tuple[Event, ...]) -> None:
    fold = Fold(W)
    run(*order, fold=fold)
    assert fold.ended == 7


@pytest.mark.parametrize(
    "order", [p for n in (1, 2, 3) for p in itertools.permutations([end(3), end(4), resume(4)], n)]
)
def test_no_order_of_an_abort_and_its_ends_leaves_the_direction_ended(
    order: tuple[Event, ...],
) -> None:
    fold = Fold(W)
    run(*order, fold=fold)
    ends = [event.term for event in order if event.kind is EventKind.END]
    aborted = any(event.kind is EventKind.RESUME for event in order)
    assert fold.ended == (None if aborted else max(ends))


def test_an_end_that_a_stopped_coordinator_writes_late_is_void() -> None:
    late = (resume(4), end(4))
    assert run(*late) == [False, False]
    assert run(*late, fold=LateResumeFold(W)) == [False, True]


def test_going_back_without_a_new_fold_halts() -> None:
    fold = Fold(W, Checkpoint(10, 0))
    fold.take(12, image())
    for offset in (12, 11):
        with pytest.raises(HaltError, match="checkpoint"):
            fold.take(offset, image())


def test_a_checkpoint_is_the_offset_itself_when_no_window_is_open() -> None:
    fold = Fold(W)
    run(epoch(2), OPEN, close(1), image(term=2), fold=fold)
    assert fold.checkpoint(4) == Checkpoint(4, 2)


def test_a_checkpoint_is_the_oldest_open_window_with_the_term_there() -> None:
    fold = Fold(W)
    run(epoch(2), OPEN, OPEN, image(term=2), epoch(5), close(2), resume(9), fold=fold)
    assert fold.checkpoint(7) == Checkpoint(1, 2, 9)


def test_a_lapsed_window_holds_no_checkpoint_back() -> None:
    fold = Fold(10)
    run(OPEN, *[row(0)] * 20, fold=fold)
    assert fold.checkpoint(9).offset == 0
    assert fold.checkpoint(21).offset == 21


def test_a_checkpoint_behind_the_intake_is_what_was_true_there() -> None:
    fold = Fold(W)
    run(epoch(1), OPEN, row(1), close(1), epoch(4), image(term=4), fold=fold)
    assert fold.checkpoint(1) == Checkpoint(1, 1)
    assert fold.checkpoint(3) == Checkpoint(1, 1)
    assert fold.checkpoint(4) == Checkpoint(4, 1)
    assert fold.checkpoint(6) == Checkpoint(6, 4)


def test_a_checkpoint_before_what_is_known_is_refused() -> None:
    fold = Fold(W, Checkpoint(5, 0))
    run_from(5, fold, epoch(1), epoch(2))
    assert fold.checkpoint(7) == Checkpoint(7, 2)
    for offset in (4, 6):
        with pytest.raises(ValueError, match="known from 7 on"):
            fold.checkpoint(offset)


def test_a_checkpoint_may_lie_behind_records_that_cannot_be_decoded() -> None:
    fold = Fold(W)
    run(epoch(3), OPEN, fold=fold)
    assert fold.checkpoint(5) == Checkpoint(1, 3)
    assert fold.take(5, row(1)) is not None


def run_from(start: int, fold: Fold, *events: Event) -> None:
    for at, event in enumerate(events, start):
        fold.take(at, event)


def test_restarting_without_the_open_windows_loses_rows() -> None:
    events = (OPEN, row(0), row(0, key=J))
    assert accepted_after_restart(Fold, events, at=2)
    assert not accepted_after_restart(ForgettingFold, events, at=2)


def test_restarting_with_the_term_of_the_commit_resurrects_a_delete() -> None:
    events = (epoch(1), OPEN, delete(term=1), epoch(2), row(1))
    assert not accepted_after_restart(Fold, events, at=4)
    assert accepted_after_restart(TermlessFold, events, at=4)


def accepted_after_restart(kind: type[Fold], events: tuple[Event, ...], *, at: int) -> bool:
    """Whether a reader that commits at ``at`` and restarts accepts the last event."""
    first = kind(W)
    run(*events[:at], fold=first)
    start = first.checkpoint(at)
    again = kind(W, start)
    return [again.take(o, events[o]) for o in range(start.offset, len(events))][-1] is not None


def test_what_ended_survives_a_restart() -> None:
    fold = Fold(W)
    run(end(5), fold=fold)
    assert Fold(W, fold.checkpoint(1)).ended == 5
    again = Fold(W, fold.checkpoint(1))
    again.take(1, resume(5))
    assert again.ended is None


def test_what_the_fold_remembers_is_bounded_by_the_window() -> None:
    fold = Fold(50)
    fold.take(0, epoch(0))
    for at in range(1, 5_000):
        event = OPEN if at % 10 == 0 else image(key=b"%d" % at)
        fold.take(at, event)
        fold.checkpoint(at + 1)
        assert len(fold._live) <= 50 + 10
        assert len(fold._windows) <= 6
        assert len(fold._marks) <= 2


def test_nothing_is_remembered_of_keys_when_no_window_is_open() -> None:
    fold = Fold(W)
    run(epoch(0), OPEN, image(), close(1), image(key=J), fold=fold)
    assert not fold._live


def test_a_reader_that_never_asks_for_a_checkpoint_keeps_few_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vecferry.fold._MARKS_MAX", 100)
    fold = Fold(W)
    for at in range(1_000):
        fold.take(at, epoch(at))
    assert len(fold._marks) <= 100
    assert fold.checkpoint(1_000) == Checkpoint(1_000, 999)


def test_coalesce_keeps_the_newest_event_of_each_key_and_no_marker() -> None:
    events = [(1, image("a")), (2, row(0, key=J)), (3, beat(0)), (5, delete()), (4, image("b"))]
    assert coalesce(events) == {K: (5, delete()), J: (2, row(0, key=J))}


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    "checkpoint", [Checkpoint(0), Checkpoint(7, 0, 3, -1), Checkpoint(2**63 - 1, *[2**63 - 1] * 3)]
)
def test_metadata_comes_back(checkpoint: Checkpoint, clean: bool) -> None:
    left = Left(checkpoint, clean, 2**63 - 1, "0123456789abcdef" * 2)
    text = encode_metadata(left)
    assert text.isascii()
    assert len(text) < 200
    assert decode_metadata(text) == left
    assert decode_metadata(encode_metadata(left._replace(token="a b:c"))) == left._replace(token="")


GARBAGE = ["", "v1", "null", "v2:1:0:-1:-1:c:-1:", "v1:-1:0:-1:-1:c:-1:", "v1:1:0:-1:c:-1:"]
GARBAGE += [
    "v1:1:0:-1:-1:x:-1:",
    "v1:1:0:-1:-1:c:-1:\n",
    "v1:٣:0:-1:-1:c:-1:",
    "v1:1:0:-2:-1:c:-1:",
]
GARBAGE += [f"v1:{'9' * 30}:0:-1:-1:c:-1:", "v1:1:0:-1:-1:c", "v1:1:0:-1:-1:c:-1:a b"]


@pytest.mark.parametrize("text", [None, *GARBAGE])
def test_any_other_metadata_is_none(text: str | None) -> None:
    assert decode_metadata(text) is None
