"""Workers that are killed, and one that is stopped past its session, lose nothing."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from vecferry.testing import engines
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run
from vecferry.testing.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.milvus, pytest.mark.timeout(600)]


@pytest.fixture
def run(tmp_path: Path, document: dict[str, Any], target: QdrantServer) -> Iterator[Run]:
    document["log"]["bootstrap_servers"] = engines.kafka()
    with Run(tmp_path, document) as run:
        yield run


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def repeat(run: Run, attempt: Callable[[], bool]) -> None:
    """Try until it worked; the workers get on in between."""

    def tried() -> bool:
        if attempt():
            return True
        run.control.wait_change(1.0)
        return False

    wait_until(tried, 120)


def kill_inside_a_chunk(run: Run) -> str:
    """Kill the snapshot worker when rows of a chunk are in the log, and no certificate."""
    found: list[str] = []

    def attempt() -> bool:
        for pid in run.pids("snapshot"):
            with stopped(pid):
                run.control.read_to_end()
                found[:] = [c for c in run.claims() if c not in run.certified() and run.rows(c)]
                if not run.certified() or not found:
                    return False
                os.kill(pid, signal.SIGKILL)
            run.control.read_to_end()  # what had been on its way to the broker
            return found[0] not in run.certified()
        return False

    repeat(run, attempt)
    return found[0]


def kill_between_write_and_commit(run: Run) -> None:
    """Stop both appliers in every try, so that what is looked at is what a successor finds."""

    def attempt() -> bool:
        pids = run.pids("apply")
        if len(pids) < 2:
            return False
        with stopped(*pids):
            # markers are committed, too, so more points than offsets means: written, not committed
            if run.arrived() <= sum(each.offset for each in run.commits().values()):
                return False
            os.kill(pids[0], signal.SIGKILL)
            return True

    repeat(run, attempt)


def stop_past_the_session(run: Run) -> None:
    """Stop an applier until the group has gone on without it, then let it wake."""
    members = len(run.shares())
    with stopped(run.pids("apply")[0]):
        wait_until(
            lambda: len(shares := run.shares()) == members - 1 and sum(shares.values()) == 6, 120
        )


def test_a_killed_reader_a_killed_writer_and_a_sleeper_lose_nothing(
    run: Run, target: QdrantServer
) -> None:
    assert run.say("init").code == 0
    target.faults(latency_ms=300, scope="writes")
    up = run.start("up", "--once", "--json")
    chunk = kill_inside_a_chunk(run)
    kill_between_write_and_commit(run)
    # one more joins while they work
    joined = run.start("up", "--role", "apply")
    run.wait(lambda _: len(run.pids("apply")) == 3 and sorted(run.shares().values()) == [2, 2, 2])
    target.faults(latency_ms=1_000, scope="writes")  # each has a write in flight, all the time
    stop_past_the_session(run)
    assert up.is_running, up.text
    target.faults()
    assert up.ended(180) == 0, up.text
    assert "halt" not in up.text
    joined.signal(signal.SIGTERM)
    assert joined.ended() == 0, joined.text
    assert run.claims().count(chunk) > 1
    run.require_equal()
