"""The capture role halts when the source's schema is another one, and only then."""

import threading
from collections.abc import Callable

import pytest

from vecferry.cli.drifting import SchemaWatch
from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.mapping.decided import schema_words
from vecferry.model import Collection, VectorSpec
from vecferry.stores.memory import Database, MemoryStore

SCHEMA = Collection("docs", (VectorSpec("e", dim=3, metric="l2"),))
PLANNED = {"docs": schema_words(SCHEMA)}
PATIENCE_S = 60.0


def a_source(dim: int = 3) -> MemoryStore:
    store = MemoryStore(Database())
    store.create(Collection("docs", (VectorSpec("e", dim=dim, metric="l2"),)))
    return store


class Source(MemoryStore):
    """Answers as it is told."""

    def __init__(self, answer: Callable[[], Collection]) -> None:
        super().__init__(Database())
        self.answer = answer
        self.asked = threading.Event()

    def describe(self, name: str) -> Collection:
        self.asked.set()
        return self.answer()


def test_a_schema_that_changes_stops_the_worker_and_is_raised_after_it() -> None:
    stop = threading.Event()
    watch = SchemaWatch(a_source(dim=4), PLANNED, 0.001, stop)
    with pytest.raises(HaltError, match=r"vectors\.e\.dim is 4 now and was 3"), watch.running():
        assert stop.wait(PATIENCE_S)


def test_a_schema_that_stays_stops_nothing() -> None:
    stop = threading.Event()
    source = Source(lambda: SCHEMA)
    with SchemaWatch(source, PLANNED, 0.001, stop).running():
        assert source.asked.wait(PATIENCE_S)
    assert not stop.is_set()


def test_an_outage_is_no_change() -> None:
    def away() -> Collection:
        raise TransientError("away")

    SchemaWatch(Source(away), PLANNED, 1.0, threading.Event()).look()


def test_a_collection_that_has_gone_is_told() -> None:
    with pytest.raises(ConfigError):
        SchemaWatch(MemoryStore(Database()), PLANNED, 1.0, threading.Event()).look()


def test_the_error_of_the_worker_itself_goes_before() -> None:
    watch = SchemaWatch(a_source(), PLANNED, 1.0, threading.Event())
    with pytest.raises(RuntimeError, match="its own"), watch.running():
        raise RuntimeError("its own")


def test_without_a_plan_nothing_is_asked() -> None:
    source = Source(lambda: SCHEMA)
    with SchemaWatch(source, {}, 0.0, threading.Event()).running():
        pass
    assert not source.asked.is_set()
