"""Whatever dies when: at rest, source and target are equal, point by point and bit by bit.

A round is drawn from a seed, which its name holds: VECFERRY_CHAOS_SEED is the
first one, and VECFERRY_CHAOS_N how many there are.
"""

import os
from pathlib import Path

import pytest

from vecferry.testing import engines
from vecferry.testing.chaos.nursery import Nursery
from vecferry.testing.chaos.pipeline import Stage
from vecferry.testing.chaos.plans import plan_round
from vecferry.testing.chaos.rounds import PremiseError, Round

FIRST = int(os.environ.get("VECFERRY_CHAOS_SEED", "1"))
ROUNDS = int(os.environ.get("VECFERRY_CHAOS_N", "30"))
BROKER_EVERY = 8
"""One round of so many has a broker of its own, which is killed."""

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_200), pytest.mark.usefixtures("turn")]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_source_and_target_are_equal_whatever_died(
    seed: int,
    stage: Stage,
    nursery: Nursery,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    plan = plan_round(seed, broker=seed % BROKER_EVERY == 0)
    broker = request.getfixturevalue("own_broker") if plan.owns_broker else engines.kafka()
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        one = Round(plan, stage, nursery, broker, folder)
        try:
            report = one.run()
        except PremiseError:
            continue  # nothing can be concluded from a machine that stands still
        except BaseException as error:
            raise AssertionError(f"{error}\n{plan}\nlogs in {folder}\n{one.timeline}") from error
        assert report.is_equal, f"{report}\n{plan}\nlogs in {folder}\n{one.timeline}"
        assert report.target_points > 0
        return
    pytest.skip(f"{plan}: three times a request took longer than it may")
