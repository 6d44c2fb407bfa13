"""Ctrl-C and SIGTERM drain in order, and the next start goes on from there."""

import signal
from pathlib import Path
from typing import Any

import pytest

from vecferry.testing import engines
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run

pytestmark = [pytest.mark.kafka, pytest.mark.milvus, pytest.mark.timeout(600)]


def interrupt(run: Run, number: int, arguments: list[str], code: int) -> None:
    """Stop ``up`` in the middle, and look at what it left."""
    known, begun = run.certified(), run.now().applied
    claims = run.claims_of(known)
    up = run.start(*arguments)
    run.wait(lambda now: now.certified > len(known) and now.applied > begun)
    up.signal(number)
    assert up.ended() == code, up.text
    assert "stopping" in up.text
    run.control.read_to_end()
    assert not run.now().is_applied
    assert run.now().workers == {}  # everybody said goodbye
    # what was sent was acknowledged and committed, so that the next owner need not wait; a
    # partition on its way between two members stays `unclean`, and its next owner waits
    left = run.commits()
    assert any(each.is_clean for each in left.values()), (left, up.text)
    assert run.claims_of(known) == claims


def test_stopped_by_either_signal_it_goes_on_without_reading_certified_chunks_again(
    tmp_path: Path, document: dict[str, Any], target: QdrantServer
) -> None:
    document["log"]["bootstrap_servers"] = engines.kafka()
    document["snapshot"] |= {"chunk_points": 300, "points_per_s_max": 300.0}
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
        target.faults(latency_ms=200, scope="writes")
        interrupt(run, signal.SIGINT, ["up", "--json"], 0)
        interrupt(run, signal.SIGTERM, ["up", "--once", "--json"], 3)
        known = run.certified()
        claims = run.claims_of(known)
        target.faults()
        up = run.start("up", "--once", "--json")
        assert up.ended(180) == 0, up.text
        run.control.read_to_end()
        assert run.claims_of(known) == claims  # none was read again
        run.require_equal()
