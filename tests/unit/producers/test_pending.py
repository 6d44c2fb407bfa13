"""The bookkeeping of unresolved hints, rule by rule."""

from vecferry.producers.pending import Pending
from vecferry.record import Hint, HintKind

PATIENCE_S = 35.0


def intent(request: str, *keys: bytes, verb: str = "upsert") -> Hint:
    return Hint(HintKind.INTENT, request, keys, verb)


def done(request: str, *keys: bytes, verb: str = "upsert") -> Hint:
    return Hint(HintKind.DONE, request, keys, verb)


def a_filter(kind: HintKind, request: str, *keys: bytes) -> Hint:
    return Hint(kind, request, keys, "delete", scope="docs")


def pending(*hints: Hint, now: float = 0.0) -> Pending:
    made = Pending(0, PATIENCE_S)
    for offset, hint in enumerate(hints):
        made.take(offset, hint, now)
    return made


def resolve(made: Pending) -> list[bytes]:
    keys = [due.key for due in made.due()]
    made.answered(made.began(keys))
    return keys


def test_an_intent_holds_the_commit_until_its_done_was_read_back() -> None:
    made = pending(intent("r", b"a"))
    assert made.due() == []
    assert made.committable() == 0
    made.take(1, done("r", b"a"), 1.0)
    assert made.committable() == 1
    assert resolve(made) == [b"a"]
    assert made.committable() == 2


def test_a_done_of_some_keys_leaves_the_intent_open_for_the_others() -> None:
    made = pending(intent("r", b"a", b"b"), done("r", b"a"))
    resolve(made)
    assert made.committable() == 0
    made.take(2, done("r", b"b"), 1.0)
    resolve(made)
    assert made.committable() == 3


def test_an_intent_without_its_done_is_swept_only_when_the_request_can_no_longer_land() -> None:
    made = pending(intent("r", b"a"))
    made.sweep(PATIENCE_S - 0.1)
    assert made.due() == []
    assert made.oldest_intent_s(10.0) == 10.0
    made.sweep(PATIENCE_S)
    assert resolve(made) == [b"a"]
    assert made.committable() == 1
    assert made.oldest_intent_s(10.0) is None


def test_keys_are_coalesced_and_a_delete_is_remembered_as_one() -> None:
    made = pending(done("r", b"a"), done("s", b"a", verb="delete"), done("t", b"a"))
    (due,) = made.due()
    assert due.verb == "delete"
    assert due.offset == 2
    resolve(made)
    assert made.committable() == 3


def test_a_hint_that_comes_during_a_read_asks_for_another_one() -> None:
    made = pending(done("r", b"a"))
    answers = made.began([b"a"])
    made.take(1, done("s", b"a"), 0.0)
    made.answered(answers)
    assert made.committable() == 1
    assert resolve(made) == [b"a"]
    assert made.committable() == 2


def test_a_failed_read_is_due_again_and_still_holds_the_commit() -> None:
    made = pending(done("r", b"a"))
    (due,) = made.due()
    made.began([b"a"])
    assert made.due() == []
    made.again(due)
    assert made.due() == [due]
    assert made.committable() == 0
    resolve(made)
    assert made.committable() == 1


def test_a_beat_passes_only_what_is_resolved_and_in_order() -> None:
    made = pending(intent("r", b"a"), Hint(HintKind.BEAT, number=7), Hint(HintKind.BEAT, number=8))
    assert made.passing() == []
    made.take(3, done("r", b"a"), 0.0)
    assert [hint.number for _, hint in made.passing()] == [7, 8]
    for offset, _ in made.passing():
        made.passed(offset)
    assert made.passing() == []
    assert made.committable() == 3


def test_keys_hinted_while_a_filter_write_is_open_are_read_after_it() -> None:
    made = pending(
        a_filter(HintKind.FILTER_INTENT, "f"),
        a_filter(HintKind.FILTER_KEYS, "f", b"a"),
        done("r", b"slipped"),
    )
    assert resolve(made) == [b"slipped"]
    assert made.committable() == 0
    made.take(3, a_filter(HintKind.FILTER_DONE, "f"), 0.0)
    assert sorted(resolve(made)) == [b"a", b"slipped"]
    assert made.committable() == 4


def test_a_filter_write_that_dies_is_a_rescan_and_holds_the_commit_until_it_is_on_record() -> None:
    made = pending(a_filter(HintKind.FILTER_INTENT, "f"), a_filter(HintKind.FILTER_KEYS, "f", b"a"))
    made.sweep(PATIENCE_S)
    (rescan,) = made.rescans()
    assert rescan.scope == "docs"
    assert made.committable() == 0
    made.recorded(rescan)
    assert made.committable() == 2


def test_a_filter_done_whose_beginning_is_not_known_reads_its_keys() -> None:
    made = pending(a_filter(HintKind.FILTER_DONE, "f", b"a"))
    assert resolve(made) == [b"a"]
    assert made.committable() == 1


def test_an_empty_request_is_resolved_at_once() -> None:
    assert pending(intent("r"), done("r")).committable() == 2
