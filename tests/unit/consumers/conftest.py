from collections.abc import Callable, Iterator

import pytest

from vecferry.record import Event, EventKind
from vecferry.testing.applying import MemoryLog, Rig


@pytest.fixture
def log() -> MemoryLog:
    """A log of one partition whose term is 1 from offset 0 on."""
    log = MemoryLog()
    log.put(Event(EventKind.EPOCH, term=1))
    return log


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    """Make appliers that are driven round by round, and end their threads afterwards."""
    made: list[Rig] = []

    def make(log: MemoryLog, *args: object, **settings: object) -> Rig:
        made.append(Rig(log, *args, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()
