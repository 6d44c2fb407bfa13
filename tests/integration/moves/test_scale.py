"""Two appliers write nearly twice what one does, where the target's latency is the limit."""

from pathlib import Path

import pytest

from vecferry.testing import engines
from vecferry.testing.runs import Run, Worker
from vecferry.testing.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

NULL = "vecferry.testing.stores"
WINDOW_S = 5.0
FACTOR = 1.8


@pytest.fixture
def run(tmp_path: Path):
    """Read everything into the log; a worker then has one batch of 20 ms out at a time."""
    document = {
        "source": {"type": NULL, "url": "null://any?points=30000&dim=8"},
        "target": {"type": NULL, "url": "null://any?dim=8&batch_ms=20"},
        "collections": [{"source": "docs"}],
        "log": {
            "bootstrap_servers": engines.kafka(),
            "session_timeout_s": 6.0,
            "heartbeat_s": 1.0,
            "partitions": 6,
        },
        "apply": {"batch_points": 16, "writes_in_flight": 1},
    }
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
        reader = run.start("up", "--once", "--role", "snapshot")
        assert reader.ended() == 0, reader.text
        yield run


def points(run: Run) -> dict[int, tuple[int, int]]:
    """Return when each partition's newest report was made (ms) and what had been written by then."""
    return {
        int(name.removeprefix("apply/")): (int(str(r.body["at"])), int(str(r.body["points"])))
        for name, r in run.control.latest("progress").items()
    }


def rate(run: Run) -> float:
    """Return the points a second that are applied: each partition by the times of its own reports."""
    begun = points(run)
    wait_until(
        lambda: all(
            at - begun[number][0] >= WINDOW_S * 1_000 for number, (at, _) in points(run).items()
        )
    )
    ended = points(run)
    return sum(
        (ended[number][1] - written) / (ended[number][0] - at) * 1_000
        for number, (at, written) in begun.items()
    )


def applier(run: Run) -> Worker:
    """Start one and wait until every worker that runs has its share."""
    worker = run.start("up", "--role", "apply")
    share = 6 // (len(run.pids("apply")) + 1)
    run.wait(lambda _: sorted(run.shares().values()) == [share] * (6 // share))
    return worker


def test_a_second_applier_nearly_doubles_what_one_applies(run: Run) -> None:
    applier(run)
    one = rate(run)
    applier(run)
    two = rate(run)
    if two < FACTOR * one:  # the machine was busy with something else: once more
        two = rate(run)
    assert not run.now().is_applied
    assert two >= FACTOR * one, f"one applied {one:.0f} points/s, two {two:.0f}"
