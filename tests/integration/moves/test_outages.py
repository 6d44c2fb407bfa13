"""The target refuses, vanishes and comes back, and so does the broker: nothing is lost or given up."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vecferry.testing.kafka import KafkaServer, missing
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run
from vecferry.testing.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.milvus, pytest.mark.timeout(600)]

OUTAGE_S = 20.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaServer]:
    """A Kafka of this test's own: it can be stopped."""
    if missing() is not None:
        pytest.skip(f"Kafka cannot run here: {missing()}")
    with KafkaServer(folder=tmp_path) as server:
        yield server


def test_half_of_all_writes_refused_then_no_target_then_no_broker(
    tmp_path: Path, document: dict[str, Any], target: QdrantServer, broker: KafkaServer
) -> None:
    document["log"]["bootstrap_servers"] = broker.bootstrap_servers
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
        target.faults(latency_ms=100, fail_share=0.5, kind="unavailable", scope="writes")
        up = run.start("up", "--once", "--json")
        run.wait(lambda now: now.certified >= 1 and now.applied > 200)
        assert target.faults_seen()[1] > 0

        target.kill()
        gone_at = time.monotonic()
        held = run.now().applied
        wait_until(lambda: time.monotonic() > gone_at + OUTAGE_S)
        assert up.is_running, up.text
        assert run.now().dead == 0
        target.start()
        # from now on half of the writes are carried out and answered with an error
        target.faults(latency_ms=300, fail_share=0.5, scope="writes", applied=True)
        run.wait(lambda now: now.applied > held + 100)
        assert not run.now().is_applied

        broker.stop()
        gone_at = time.monotonic()
        wait_until(lambda: time.monotonic() > gone_at + OUTAGE_S / 2)
        assert up.is_running, up.text
        broker.start()

        assert up.ended(180) == 0, up.text
        assert "another one starts" not in up.text  # every worker waited; none had to be replaced
        target.faults()
        run.require_equal()
