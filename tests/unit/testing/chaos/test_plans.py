"""A seed says what a round does, and the seeds together leave nothing out."""

from vecferry.testing.chaos.plans import plan_round
from vecferry.testing.chaos.writer import PLACES

KINDS = {
    *("kill", "stop", "end", "join", "kill writer"),
    *("target errors", "target away", "source errors", "source away", "broker away"),
}


def test_a_seed_says_the_same_every_time() -> None:
    assert plan_round(7) == plan_round(7)
    assert plan_round(7) != plan_round(8)


def test_every_blow_and_every_death_is_met_in_some_round() -> None:
    plans = [plan_round(seed, broker=True) for seed in range(100)]
    assert {blow.what for plan in plans for blow in plan.blows} == KINDS
    assert {death.place for plan in plans for death in plan.deaths if death} == set(PLACES)


def test_no_blow_falls_after_the_storm() -> None:
    plans = [plan_round(seed, broker=True) for seed in range(100)]
    assert all(blow.at_s <= plan.storm_s for plan in plans for blow in plan.blows)
