"""A few rounds run at once, on servers that each test process makes once."""

import fcntl
import os
import time
from collections.abc import Iterator

import pytest

from vecferry.testing import engines, kafka, qdrant
from vecferry.testing.chaos.nursery import Nursery
from vecferry.testing.chaos.pipeline import Stage
from vecferry.testing.kafka import KafkaServer

AT_ONCE = int(os.environ.get("VECFERRY_CHAOS_AT_ONCE", "2"))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    reason = qdrant.missing()
    if reason is not None:
        pytest.skip(f"qdrant cannot run here: {reason}")
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="session")
def own_broker() -> Iterator[KafkaServer]:
    """A broker that may be killed."""
    reason = kafka.missing()
    if reason is not None:
        pytest.skip(f"kafka cannot run here: {reason}")
    with KafkaServer() as server:
        yield server


@pytest.fixture
def turn() -> Iterator[None]:
    """Wait until fewer than AT_ONCE others of this run are at work."""
    folder = engines.begin_run()
    slots = [(folder / f"chaos-{slot}.lock").open("w") for slot in range(AT_ONCE)]
    held = None
    while held is None:
        held = next((slot for slot in slots if _locks(slot.fileno())), None)
        if held is None:
            time.sleep(0.2)
    yield
    for slot in slots:
        slot.close()


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
