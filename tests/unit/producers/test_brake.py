"""The brake of capture: what vanishes, and nobody deleted."""

from typing import Any

import pytest

from vecferry.errors import HaltError
from vecferry.producers.chunks import Certificate
from vecferry.record import HintKind
from vecferry.testing.captures import SmallWorld

DONE = HintKind.DONE


def turns(world: SmallWorld, worker: Any) -> None:
    """Let ten seconds pass."""
    for _ in range(10):
        worker.turn()
        world.sleep(1.0)


@pytest.mark.parametrize("vanished_max", [10, 0])
def test_the_brake_stops_when_far_more_points_vanish_than_were_deleted(vanished_max: int) -> None:
    world = SmallWorld(vanished_max=vanished_max)
    worker = world.worker()
    world.put(99)
    for number in range(20):
        world.put(number)
    world.hint(DONE, "r", *range(20))
    worker.turn()
    for number in range(20):
        world.delete(number)  # somebody does without telling
    world.hint(DONE, "check", *range(20), verb="unknown")
    if vanished_max:
        with pytest.raises(HaltError, match="vanished"):
            worker.turn()
        assert len(world.folded()) == 20
        assert world.commits[0].offset == 1
    else:
        worker.turn()
        assert world.folded() == {}  # the harm: everything is deleted from the target


@pytest.mark.parametrize("vanished_max", [1_000, 0])
def test_a_collection_that_is_empty_all_at_once_stops_at_the_first_point(vanished_max: int) -> None:
    world = SmallWorld(vanished_max=vanished_max)
    worker = world.worker()
    for number in range(3):
        world.put(number)
    world.hint(DONE, "r", *range(3))
    worker.turn()
    for number in range(3):
        world.delete(number)
    world.hint(DONE, "check", 1, verb="unknown")
    if vanished_max:
        with pytest.raises(HaltError, match="'docs', which is empty now"):
            turns(world, worker)
        assert len(world.folded()) == 3
    else:
        worker.turn()
        assert len(world.folded()) == 2  # the harm


def test_a_worker_that_starts_on_an_emptied_source_knows_of_the_snapshots_rows() -> None:
    world = SmallWorld()
    chunk = Certificate("docs/0", rows=5, digest="00", dead=0, closed=())
    world.control.append("certificate", chunk.chunk, chunk._asdict())
    world.hint(DONE, "check", 1, verb="unknown")
    worker = world.worker()
    with pytest.raises(HaltError, match="empty"):
        turns(world, worker)


def test_a_delete_that_is_announced_and_not_read_yet_does_not_stop_the_worker() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.turn()
    world.delete(1)
    world.hint(DONE, "raced", 1)
    worker.turn()
    assert len(world.folded()) == 1
    world.hint(DONE, "gone", 1, verb="delete")
    turns(world, worker)
    assert world.folded() == {}


def test_a_collection_whose_last_points_were_deleted_does_not_stop_the_worker() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.turn()
    world.delete(1)
    world.hint(DONE, "gone", 1, verb="delete")
    world.hint(DONE, "refused", 2)
    worker.turn()
    assert world.folded() == {}


def test_deletes_that_were_asked_for_do_not_stop_the_worker() -> None:
    world = SmallWorld(vanished_max=10)
    worker = world.worker()
    for number in range(50):
        world.put(number)
        world.delete(number)
    world.hint(DONE, "r", *range(50), verb="delete")
    worker.turn()
    assert world.commits[0].offset == 1


def test_a_few_keys_that_come_and_go_all_the_time_do_not_stop_the_worker() -> None:
    world = SmallWorld(vanished_max=10)
    worker = world.worker()
    for number in range(50):
        world.hint(DONE, f"r{number}", number % 5, verb="unknown")
        worker.turn()
    assert world.commits[0].offset == 50
