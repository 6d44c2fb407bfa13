import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.producers.feeds.rounds import FeedLog, Rounds
from vecferry.settings import FeedSettings
from vecferry.testing.feeding import FeedWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedWorld]:
    world = FeedWorld(tmp_path / "unused")
    yield world
    world.known.close()


def rounds(world: FeedWorld, folder: Path, kind: str = "scan", **log: Any) -> Rounds:
    calm = {"is_resolved": lambda _: True, "is_paused": lambda: False, "origin": "log"}
    settings = FeedSettings(type=kind, every_s=0.01)
    chosen = FeedLog(sink=world.hints, **{**calm, **log})
    return Rounds(settings, world.store, chosen, folder, world.stop)


class Stopping:
    """Ends the rounds when it has been asked so often."""

    def __init__(self, stop: threading.Event, asked: int, answer: Any = True) -> None:
        self._stop, self._left, self._answer = stop, asked, answer

    def __call__(self, *_: Any) -> Any:
        self._left -= 1
        if self._left <= 0:
            self._stop.set()
        return self._answer


@pytest.mark.parametrize("kind", ["scan", "timestamp"])
def test_it_goes_round_until_it_is_stopped(world: FeedWorld, tmp_path: Path, kind: str) -> None:
    world.put(1, 2, updated_at=1)
    rounds(world, tmp_path, kind, is_paused=Stopping(world.stop, 4, answer=False)).run(["docs"])
    assert world.hints.take() == [1, 1, 2, 2]


def test_without_a_type_there_is_nothing_to_run(world: FeedWorld, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"feed\.type"):
        rounds(world, tmp_path, "none")


def test_while_it_is_paused_nothing_is_read(
    world: FeedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.producers.feeds.rounds._PAUSED_S", 0.01)
    world.put(1)
    rounds(world, tmp_path, is_paused=Stopping(world.stop, 3)).run(["docs"])
    assert world.hints.take() == []


def test_a_pass_that_is_broken_off_is_begun_again(
    world: FeedWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.put(1)
    made = rounds(world, tmp_path, is_paused=Stopping(world.stop, 3, answer=False))
    with pytest.MonkeyPatch.context() as patch:

        def full(*_: Any) -> None:
            patch.undo()
            raise TransientError("the disk is full")

        patch.setattr("vecferry.producers.feeds.known.Known.record", full)
        made.run(["docs"])
    assert "broken off" in caplog.text
    assert world.hints.take() == [1, 1]


def test_what_cannot_be_relied_on_stops_it(world: FeedWorld, tmp_path: Path) -> None:
    def halting(*_: Any) -> bool:
        raise HaltError("Kafka refuses us")

    world.put(1)
    with pytest.raises(HaltError):
        rounds(world, tmp_path, is_resolved=halting).run(["docs"])
