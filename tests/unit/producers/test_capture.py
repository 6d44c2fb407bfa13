"""The capture worker, step by step; each guard also with the guard taken out."""

import random
from typing import Any

import pytest

from vecferry.errors import HaltError, RecordError, TransientError
from vecferry.model import Key, key_bytes
from vecferry.producers.capture import CaptureWorker
from vecferry.record import EventKind, HintKind
from vecferry.testing.captures import PATIENCE_S, TOPICS, SmallWorld

INTENT, DONE = HintKind.INTENT, HintKind.DONE


def kinds(world: SmallWorld) -> list[str]:
    return [event.kind.value for _, event in world.events()]


def test_a_hint_becomes_the_image_that_the_source_holds_now() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.hint(INTENT, "r", 1)
    world.put(1)
    world.hint(DONE, "r", 1)
    world.put(1)  # another writer, whose hint comes later
    worker.turn()
    assert kinds(world) == ["EPOCH", "IMAGE"]
    assert world.folded() == world.held()
    assert world.commits[0].offset == 2


def test_an_absent_key_becomes_a_delete() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.turn()
    world.delete(1)
    world.hint(DONE, "s", 1, verb="delete")
    worker.turn()
    assert world.folded() == {}


def test_a_key_written_a_thousand_times_is_read_once_a_turn() -> None:
    world = SmallWorld(hot_key_s=0.2)
    worker = world.worker()
    for number in range(1_000):
        world.put(1)
        world.hint(DONE, f"r{number}", 1)
    worker.turn()
    world.put(1)
    world.hint(DONE, "again", 1)
    worker.turn()
    assert kinds(world).count("IMAGE") == 1
    world.sleep(0.2)
    worker.turn()
    assert kinds(world).count("IMAGE") == 2
    assert world.folded() == world.held()


class _NoFence(CaptureWorker):
    """Leaves out a rule: it commits without looking for a newer claim."""

    def _commit(self, intake: Any, numbers: Any = None) -> None:
        for partition in self._partitions.values():
            from vecferry.log.intake import Committed

            intake.commit({partition.number: Committed(partition.pending.committable(), "")})
            partition.committed = partition.pending.committable()


@pytest.mark.parametrize("cls", [CaptureWorker, _NoFence])
def test_a_zombies_claim_after_ours_is_seen_before_the_commit(cls: type[CaptureWorker]) -> None:
    world = SmallWorld()
    worker = world.worker(cls)
    world.worker().lose()  # claims after us, and was the owner before: its term is newer
    world.put(1)
    world.hint(DONE, "r", 1)
    for _ in range(3):
        worker.turn()
    if cls is _NoFence:
        assert world.folded() != world.held()  # the harm: committed, and dropped by every fold
    else:
        assert world.folded() == world.held()
        assert world.commits[0].offset == 1


class _NeverBack(CaptureWorker):
    """Leaves out a rule: what the broker refused for a moment is never looked at again."""

    def _take_back(self, intake: Any) -> None: ...


@pytest.mark.parametrize("cls", [CaptureWorker, _NeverBack])
def test_a_partition_that_stays_ours_through_a_refused_commit_is_captured_on(
    cls: type[CaptureWorker],
) -> None:
    world = SmallWorld()
    worker = world.worker(cls)
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.intake.is_lost = True  # the group goes on to its next generation
    worker.turn()
    worker.intake.is_lost = False  # and we with it: nobody tells
    world.put(2)
    world.hint(DONE, "s", 2)
    worker.turn()
    world.sleep(2.0)
    for _ in range(3):
        worker.turn()
    if cls is _NeverBack:
        assert world.folded() != world.held()  # the harm: it reads hints and drops them
        assert 0 not in world.commits
    else:
        assert world.folded() == world.held()
        assert world.commits[0].offset == 2


def test_an_outage_of_the_source_decides_nothing() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.put(1)
    world.hint(DONE, "r", 1)
    read, world.store.read = world.store.read, _raising(TransientError("away"))
    worker.turn()
    assert kinds(world) == ["EPOCH"]
    assert 0 not in world.commits
    world.store.read = read
    world.sleep(60)
    worker.turn()
    assert world.folded() == world.held()
    assert world.commits[0].offset == 1


def _raising(error: Exception) -> Any:
    def read(*_: Any, **__: Any) -> Any:
        raise error

    return read


def test_a_point_that_cannot_be_read_is_dead_lettered_alone() -> None:
    world = SmallWorld()
    worker = world.worker()
    read = world.store.read

    def picky(ref: Any, keys: list[Key], position: str = "") -> Any:
        if any(key.id == 3 for key in keys):
            raise RecordError("a payload that nobody can hold")
        return read(ref, keys, position)

    world.store.read = picky
    for number in range(6):
        world.put(number)
        world.hint(DONE, f"r{number}", number)
    worker.turn()
    dead = key_bytes(Key("docs", "", 3))
    assert set(world.folded()) == set(world.held()) - {dead}
    assert world.control.latest("diverged")[dead.hex()].body["diverged"]
    assert len(world.log.records(TOPICS.dead, 0)) == 1
    assert world.commits[0].offset == 6


def test_a_delete_whose_end_nobody_told_was_asked_for_all_the_same() -> None:
    world = SmallWorld(vanished_max=10)
    worker = world.worker()
    world.hint(HintKind.INTENT, "r", *range(50), verb="delete")  # and its writer dies
    worker.turn()
    world.sleep(PATIENCE_S + 1.0)
    worker.turn()
    worker.turn()
    assert world.commits[0].offset == 1


@pytest.mark.parametrize("freshness_s", [2.0, 0.0])
def test_an_absent_upsert_is_read_again_after_the_stores_freshness(freshness_s: float) -> None:
    world = SmallWorld()
    object.__setattr__(world.store, "capabilities", _fresh(world.store.capabilities, freshness_s))
    worker = world.worker()
    world.hint(DONE, "r", 1)
    worker.turn()  # the write is not visible yet
    world.put(1)
    if freshness_s:
        assert kinds(world) == ["EPOCH"]
        assert 0 not in world.commits
        world.sleep(2.0)
        worker.turn()
        assert world.folded() == world.held()
        assert world.commits[0].offset == 1
    else:
        assert world.folded() != world.held()  # the harm: a DELETE of what was just written


def _fresh(capabilities: Any, freshness_s: float) -> Any:
    from dataclasses import replace

    return replace(capabilities, freshness_s=freshness_s)


def test_a_beat_passes_in_order_and_never_before_an_open_intent() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.beat(1)
    world.hint(INTENT, "r", 1)
    world.beat(2)
    worker.turn()
    assert world.accepted_beats() == [1]
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.turn()
    assert world.accepted_beats() == [1, 2]
    assert kinds(world)[-2:] == ["IMAGE", "BEAT"]


def test_a_filter_write_that_dies_is_a_rescan_on_record() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.hint(HintKind.FILTER_INTENT, "f")
    worker.turn()
    world.sleep(PATIENCE_S + 1)
    worker.turn()
    (record,) = world.control.latest("rescan").values()
    assert record.body["scope"] == "docs"
    assert world.commits[0].offset == 1


def test_a_hint_of_another_release_stops_the_worker() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.log.append(TOPICS.hints, 0, None, b"\xc3\x01rubbish-and-more")
    with pytest.raises(HaltError, match="cannot be read"):
        worker.turn()


class _Writer:
    """A writer whose steps a test takes one by one; it may die between any two."""

    def __init__(self, world: SmallWorld, name: str, key: int, verb: str) -> None:
        write = (lambda: world.put(key)) if verb == "upsert" else (lambda: world.delete(key))
        self.steps = [
            lambda: world.hint(INTENT, name, key, verb=verb),
            write,
            lambda: world.hint(DONE, name, key, verb=verb),
        ]


@pytest.mark.parametrize("seed", range(300))
def test_at_rest_the_log_says_what_the_source_holds(seed: int) -> None:
    rng = random.Random(seed)
    world = SmallWorld()
    workers = [world.worker()]
    writers: list[_Writer] = []
    for step in range(rng.randrange(10, 60)):
        match rng.choice(
            ["write", "step", "step", "step", "turn", "turn", "lose", "die", "sleep", "beat"]
        ):
            case "write":
                writers.append(
                    _Writer(world, f"w{step}", rng.randrange(3), rng.choice(["upsert", "delete"]))
                )
            case "step" if writers:
                writer = rng.choice(writers)
                writer.steps.pop(0)()
                if not writer.steps:
                    writers.remove(writer)
            case "turn":
                rng.choice(workers).turn()  # zombies turn too
            case "lose" if rng.random() < 0.3:
                workers[-1].lose()
                workers.append(world.worker())
            case "die" if writers and rng.random() < 0.5:
                writers.remove(rng.choice(writers))  # wherever it is
            case "sleep":
                world.sleep(rng.choice([0.1, 5.0]))
            case "beat":
                world.beat(step)
    for writer in writers:
        for do in writer.steps:
            do()
    world.beat(999)
    for _ in range(4):
        world.sleep(PATIENCE_S)
        for worker in workers:  # the newest one last
            worker.turn()
    assert world.folded() == world.held()
    assert 999 in world.accepted_beats()
    assert world.commits[0].offset == len(world.log.records(TOPICS.hints, 0))


def test_every_event_names_its_term_and_its_hint() -> None:
    world = SmallWorld()
    worker = world.worker()
    world.hint(INTENT, "r", 1)
    world.put(1)
    world.hint(DONE, "r", 1)
    worker.turn()
    (_, epoch), (_, image) = world.events()
    assert epoch.kind is EventKind.EPOCH
    assert image.term == epoch.term
    assert image.hint_offset == 1
