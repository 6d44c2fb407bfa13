"""Ids as the source types them: what a feed is told by mistake loses no point."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from vecferry.errors import RecordError
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds import session
from vecferry.record import HintKind
from vecferry.testing.feeds import MemoryFeed, keys

ONE = UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff")
QDRANT, NUMBERS, TEXTS = ["int", "uuid"], ["int"], ["str"]


def told(given: Any, id_types: list[str]) -> set[bytes]:
    feed = MemoryFeed(id_types=id_types)
    with feed.writing("docs", [given]):
        pass
    return keys(feed, HintKind.DONE)


@pytest.mark.parametrize(
    "spelled",
    [str(ONE), str(ONE).upper(), ONE.hex, f"urn:uuid:{ONE}", f"{{{ONE}}}", np.str_(ONE)],
)
def test_a_text_is_the_uuid_that_it_spells_where_ids_are_no_texts(spelled: str) -> None:
    assert told(spelled, QDRANT) == {key_bytes(Key("docs", "", ONE))}


def test_without_that_rule_another_key_is_hinted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "source_id", lambda given, types: given)
    assert told(str(ONE), QDRANT) != {key_bytes(Key("docs", "", ONE))}


def test_a_text_stays_a_text_where_ids_are_texts() -> None:
    assert told(str(ONE), TEXTS) == {key_bytes(Key("docs", "", str(ONE)))}


@pytest.mark.parametrize("given", [7, np.int64(7), np.uint8(7)])
def test_a_number_is_a_number_of_whatever_make(given: Any) -> None:
    assert told(given, NUMBERS) == {key_bytes(Key("docs", "", 7))}


@pytest.mark.parametrize(
    ("given", "id_types"),
    [("seven", QDRANT), ("7", NUMBERS), (7, TEXTS), (ONE, TEXTS), (ONE, NUMBERS)],
)
def test_an_id_that_no_point_can_have_is_refused_and_nothing_stays_open(
    given: Any, id_types: list[str]
) -> None:
    feed = MemoryFeed(id_types=id_types)
    with pytest.raises(RecordError, match="nothing is sent"), feed.writing("docs", [given]):
        raise AssertionError("it must not be sent")
    with pytest.raises(RecordError), feed.writing("docs", iter([given])):
        raise AssertionError("it must not be sent")
    assert feed.hints() == []
    assert feed.member is not None
    assert feed.member.tell()["in_flight"] == 0


@pytest.mark.parametrize("given", [1.5, None, b"a", "\ud800"])
def test_what_is_no_id_at_all_leaves_nothing_open_either(given: Any) -> None:
    feed = MemoryFeed()
    with pytest.raises((RecordError, ValueError, TypeError)):
        feed.begin("docs", [given])
    assert feed.member is not None
    assert feed.member.tell()["in_flight"] == 0


def test_a_filter_that_finds_such_an_id_ends_unsent() -> None:
    feed = MemoryFeed(partitions=1, id_types=NUMBERS)
    with pytest.raises(RecordError):
        feed.begin_filter("docs", resolve=lambda: [("", "seven")])
    assert [hint.kind for hint in feed.hints()] == [HintKind.FILTER_INTENT, HintKind.FILTER_DONE]
