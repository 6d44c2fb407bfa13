"""Workers that are killed, and one that is stopped past its session, lose nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vecferry.testing import engines
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run
from vecferry.testing.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.milvus]


@pytest.fixture
def run(tmp_path: Path, document: dict[str, Any], target: QdrantServer) -> Iterator[Run]:
    document["log"]["bootstrap_servers"] = engines.kafka()
    with Run(tmp_path, document) as run:
        yield run


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_between_write_and_commit(run: Run) -> None:
    """Stop both appliers in every try, so that what is looked at is what a successor finds."""

    def tried() -> bool:
        pids = run.pids("apply")
        with stopped(pids[0]), stopped(pids[1]):
            # markers are committed, too, so more points than offsets means: written, not committed
            if run.arrived() <= sum(each.offset for each in run.commits().values()):
                return False
            os.kill(pids[0], signal.SIGKILL)
            return True

    wait_until(tried)


def test_a_killed_reader_a_killed_writer_and_a_sleeper_lose_nothing(
    run: Run, target: QdrantServer
) -> None:
    assert run.say("init").code == 0
    target.faults(latency_ms=300, scope="writes")
    up = run.start("up", "--once", "--json")
    # a snapshot worker, inside a chunk: its rows are in the log, and no certificate
    run.wait(lambda now: now.certified >= 1)
    wait_until(lambda: any(run.rows(c) for c in set(run.claims()) - run.certified()))
    (open_chunk,) = set(run.claims()) - run.certified()
    os.kill(run.pids("snapshot")[0], signal.SIGKILL)
    # an applier, between the write and the commit
    kill_between_write_and_commit(run)
    # one more applier joins
    joined = run.start("up", "--role", "apply")
    run.wait(lambda now: len(run.pids("apply")) == 3)
    assert up.ended(120) == 0, up.text
    joined.signal(signal.SIGTERM)
    assert joined.ended() == 0, joined.text
    run.require_equal()
    assert run.claims().count(open_chunk) > 1
