"""The fold converges under every interleaving, duplication, zombie and restart."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.fold import Fold, Left, coalesce, decode_metadata, encode_metadata
from vecferry.model import Image
from vecferry.record import Event, EventKind
from vecferry.testing.folds import ForgettingFold, TermlessFold, UnfencedFold, WindowlessFold

W = 1_000
KEYS = (b"a", b"b", b"c")
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)

Accepted = list[tuple[int, Event]]


def image(key: bytes, text: str, term: int) -> Event:
    return Event(EventKind.IMAGE, key, Image({}, text.encode()), term=term)


def epoch(term: int) -> Event:
    return Event(EventKind.EPOCH, term=term)


def row(key: bytes, text: str, opened: int) -> Event:
    return Event(EventKind.ROW, key, Image({}, text.encode()), opened=opened)


OPEN = Event(EventKind.OPEN)


def take_all(fold: Fold, log: list[Event], start: int = 0) -> Accepted:
    taken = ((at, fold.take(at, log[at])) for at in range(start, len(log)))
    return [(at, event) for at, event in taken if event is not None]


def state_of(accepted: Accepted) -> dict[bytes, str | None]:
    """The text of each key; None where it was deleted."""
    return {
        key: None if event.image is None else event.image.payload.decode()
        for key, (_, event) in coalesce(accepted).items()
    }


# --- any log at all: what the fold accepts must not depend on where a reader restarts ---


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Logs of every kind of event in any order, the senseless ones too."""
    terms = st.integers(0, 3)
    log: list[Event] = []
    for at in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(EventKind))
        key, opened = draw(st.sampled_from(KEYS)), draw(st.integers(0, at + 1))
        match kind:
            case EventKind.ROW:
                log.append(row(key, f"row {at}", opened))
            case EventKind.CLOSE:
                log.append(Event(kind, opened=opened))
            case EventKind.OPEN:
                log.append(OPEN)
            case EventKind.IMAGE:
                log.append(image(key, f"image {at}", draw(terms)))
            case EventKind.DELETE:
                log.append(Event(kind, key, term=draw(terms)))
            case _:
                log.append(Event(kind, term=draw(terms)))
    return log


def restarts(
    kind: type[Fold], log: list[Event], window: int
) -> Iterator[tuple[Accepted, Accepted]]:
    """Yield, for every commit, what one reader and one restarted there accept from it on."""
    whole = take_all(Fold(window), log)
    for commit in range(len(log) + 1):
        first = kind(window)
        take_all(first, log[:commit])
        read = decode_metadata(encode_metadata(Left(first.checkpoint(commit), is_clean=True)))
        assert read is not None
        again = take_all(kind(window, read[0]), log, read[0].offset)
        yield [a for a in whole if a[0] >= commit], [a for a in again if a[0] >= commit]


@SETTINGS
@given(logs(), st.integers(1, 30))
def test_a_reader_restarted_at_any_commit_accepts_the_same(log: list[Event], window: int) -> None:
    for one, restarted in restarts(Fold, log, window):
        assert restarted == one


@SETTINGS
@given(logs(), st.integers(1, 30), st.data())
def test_commits_may_trail_the_intake(log: list[Event], window: int, data: st.DataObject) -> None:
    """A checkpoint asked for late equals the one asked for at its offset."""
    commits = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5)))
    late = Fold(window)
    take_all(late, log)
    for commit in commits:
        first = Fold(window)
        take_all(first, log[:commit])
        assert late.checkpoint(commit) == first.checkpoint(commit)


@SETTINGS
@given(logs(), st.integers(1, 30))
def test_a_restart_knows_whether_the_direction_ended(log: list[Event], window: int) -> None:
    whole = Fold(window)
    take_all(whole, log)
    for commit in range(len(log) + 1):
        first = Fold(window)
        take_all(first, log[:commit])
        start = first.checkpoint(commit)
        again = Fold(window, start)
        take_all(again, log, start.offset)
        assert (again.ended, again.term) == (whole.ended, whole.term)


@SETTINGS
@given(logs(), st.integers(1, 30))
def test_a_fold_remembers_no_more_than_the_window_allows(log: list[Event], window: int) -> None:
    fold = Fold(window)
    for at, event in enumerate(log):
        fold.take(at, event)
        assert fold.checkpoint(at + 1).offset > at - window


def test_a_restart_that_forgets_windows_or_terms_is_seen() -> None:
    forgotten = [OPEN, row(b"a", "old", 0), row(b"b", "old", 0)]
    assert any(one != again for one, again in restarts(ForgettingFold, forgotten, W))
    superseded = [epoch(1), OPEN, Event(EventKind.DELETE, b"a", term=1), epoch(2)]
    superseded.append(row(b"a", "old", 1))
    assert any(one != again for one, again in restarts(TermlessFold, superseded, W))


# --- sensible writers: their log converges to the source ---


class Change(NamedTuple):
    """A write to the source; ``text`` is None for a delete."""

    key: bytes
    text: str | None


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], dict[bytes, str | None]]:
    """A log that honest workers wrote, and the source's state behind it.

    Changes happen one at a time; each is read back and published once or more,
    also by a worker that was succeeded since. A snapshot's rows show what its
    read saw, and are published at any later time.
    """
    source: dict[bytes, str | None] = dict.fromkeys(draw(st.sets(st.sampled_from(KEYS))), "old")
    log: list[Event] = [epoch(1)]
    term, rows, stale = 1, [], []
    for number in range(draw(st.integers(0, 12))):
        match draw(st.sampled_from(["change", "snapshot", "row", "claim", "zombie", "again"])):
            case "change":
                change = Change(
                    draw(st.sampled_from(KEYS)), draw(st.none() | st.just(f"new {number}"))
                )
                source[change.key] = change.text
                log.append(read_back(source, change.key, term))
            case "snapshot":
                seen = [(key, text) for key, text in source.items() if text is not None]
                rows += [row(key, text, len(log)) for key, text in seen]
                log.append(OPEN)
            case "row" if rows:
                log.append(rows.pop(draw(st.integers(0, len(rows) - 1))))
            case "claim":
                stale += [read_back(source, key, term) for key in source]
                term += 1
                log.append(epoch(term))
                log += [read_back(source, key, term) for key in source]
            case "zombie" if stale:
                log.append(stale.pop(draw(st.integers(0, len(stale) - 1))))
            case "again":
                log += [read_back(source, key, term) for key in draw(st.permutations(list(source)))]
    if not any(event.kind is EventKind.OPEN for event in log):
        rows += [row(key, text, len(log)) for key, text in source.items() if text is not None]
        log.append(OPEN)
    return log + draw(st.permutations(rows)), source


def read_back(source: dict[bytes, str | None], key: bytes, term: int) -> Event:
    text = source[key]
    return Event(EventKind.DELETE, key, term=term) if text is None else image(key, text, term)


def converges(fold: Fold, log: list[Event], source: dict[bytes, str | None]) -> bool:
    state = state_of(take_all(fold, log))
    return all(state.get(key) == text for key, text in source.items()) and not (
        state.keys() - source.keys()
    )


@SETTINGS
@given(histories())
def test_the_log_of_honest_workers_folds_to_the_source(
    history: tuple[list[Event], dict[bytes, str | None]],
) -> None:
    log, source = history
    assert converges(Fold(W), log, source)


@pytest.mark.parametrize("broken", [UnfencedFold, WindowlessFold])
def test_a_fold_without_fence_or_window_does_not(broken: type[Fold]) -> None:
    log = [epoch(1), OPEN, epoch(2), image(b"a", "new", 2), image(b"a", "zombie", 1)]
    log.append(Event(EventKind.DELETE, b"b", term=2))
    log += [image(b"a", "new", 2)] if broken is WindowlessFold else []
    log.append(row(b"b", "old", 1))
    assert converges(Fold(W), log, {b"a": "new", b"b": None})
    assert not converges(broken(W), log, {b"a": "new", b"b": None})


batches = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=6)


@SETTINGS
@given(histories(), batches)
def test_a_suffix_delivered_again_ends_in_the_same_state(
    history: tuple[list[Event], dict[bytes, str | None]],
    lives: list[tuple[int, bool, bool]],
) -> None:
    """Readers die after any batch and before its commit, on a broker that may drop metadata."""
    log, source = history
    target: dict[bytes, str | None] = {}
    commit, metadata = 0, ""
    for size, lives_to_commit, is_kept in [*lives, (len(log), True, True)]:
        read = decode_metadata(metadata)
        fold = Fold(W, read[0] if read else None)
        start, end = read[0].offset if read else 0, min(commit + size, len(log))
        accepted = [a for a in take_all(fold, log[:end], start) if a[0] >= commit]
        target |= state_of(accepted)
        if lives_to_commit:
            metadata = (
                encode_metadata(Left(fold.checkpoint(end), is_clean=False)) if is_kept else ""
            )
            commit = end
    assert {key: target.get(key) for key in source} == source


@SETTINGS
@given(histories(), st.randoms(use_true_random=False))
def test_keys_may_be_reordered_against_each_other(
    history: tuple[list[Event], dict[bytes, str | None]], dice: object
) -> None:
    """Between two markers only the order within a key counts."""
    log, _ = history
    shuffled: list[Event] = []
    for is_marker, run in itertools.groupby(log, key=lambda event: not event.key):
        events = list(run)
        shuffled += events if is_marker else across_keys(events, dice)
    assert state_of(take_all(Fold(W), shuffled)) == state_of(take_all(Fold(W), log))


def across_keys(events: list[Event], dice: object) -> list[Event]:
    """Shuffle events, keeping the order of those with the same key."""
    slots = [event.key for event in events]
    dice.shuffle(slots)  # type: ignore[attr-defined]
    of_key = {key: iter([event for event in events if event.key == key]) for key in slots}
    return [next(of_key[key]) for key in slots]


# --- exhaustive: every log of a few records ---

SMALL = [
    epoch(1),
    epoch(2),
    image(b"a", "one", 1),
    Event(EventKind.DELETE, b"a", term=2),
    OPEN,
    row(b"a", "row", 0),
    row(b"a", "row", 1),
    Event(EventKind.CLOSE, opened=0),
]


def test_every_log_of_five_records_is_folded_the_same_from_every_commit() -> None:
    for log in itertools.product(SMALL, repeat=5):
        one = Fold(3)
        accepted = [one.take(at, event) for at, event in enumerate(log)]
        for commit in range(1, 5):
            start = one.checkpoint(commit)
            again = Fold(3, start)
            taken = [again.take(at, log[at]) for at in range(start.offset, 5)]
            assert taken[commit - start.offset :] == accepted[commit:], log
