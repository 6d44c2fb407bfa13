from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vecferry.log.intake import Intake
from vecferry.testing.logs import Log, fresh_log

BROKERS = [pytest.param("kafka", marks=pytest.mark.kafka), "embedded"]


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(broker: Any) -> Log:
    """A migration's log on each of the brokers."""
    return fresh_log(broker)


@pytest.fixture
def joined() -> Iterator[Callable[..., Intake]]:
    """Make members of the apply group that leave when the test ends."""
    members: list[Intake] = []

    def join(log: Log, **reactions: Any) -> Intake:
        quiet = dict.fromkeys(("assigned", "revoked", "lost"), lambda partitions: None)
        member = Intake(
            log.connection, log.topics.events, log.topics.group("apply"), **{**quiet, **reactions}
        )
        members.append(member)
        return member

    yield join
    for member in members:
        member.close()
