"""With any one rule left out, or a premise broken, the comparison sees it; with all kept it is equal."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from vecferry.testing import engines
from vecferry.testing.chaos.broken import RULES
from vecferry.testing.chaos.nursery import Nursery
from vecferry.testing.chaos.pipeline import Pipeline, Stage
from vecferry.testing.chaos.scenes import ANNOUNCED, RULED, ZOMBIE, Live

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

LOG = {"partitions": 2, "session_timeout_s": 6.0}


@contextlib.contextmanager
def live_migration(
    stage: Stage, nursery: Nursery, folder: Path, broken: str = ""
) -> Iterator[Live]:
    log = {"bootstrap_servers": engines.kafka(), **LOG}
    with (
        Pipeline(stage, nursery, folder, {"log": log}) as pipeline,
        contextlib.ExitStack() as stack,
    ):
        pipeline.broken = broken
        yield Live(pipeline, stack)


def mismatched(live: Live) -> set[object]:
    return {found.key.id for found in live.pipeline.compare().mismatches}


def test_every_rule_has_its_story() -> None:
    assert RULED.keys() == RULES.keys()


@pytest.mark.usefixtures("turn")
def test_with_every_rule_kept_each_story_ends_equal_and_careless_applications_differ(
    stage: Stage, nursery: Nursery, tmp_path: Path
) -> None:
    with live_migration(stage, nursery, tmp_path) as live:
        ruled = {name: scene(live) for name, scene in RULED.items()}
        live.pipeline.settle()
        assert not live.has_passed(ZOMBIE)
        careless = {name: broken(live) for name, (_, broken) in ANNOUNCED.items()}
        careful = {name: whole(live) for name, (whole, _) in ANNOUNCED.items()}
        live.pipeline.rest()
        differ = mismatched(live)
        timeline = live.pipeline.timeline
    assert {name for name, key in ruled.items() if key in differ} == set(), timeline
    assert {name for name, key in careful.items() if key in differ} == set(), timeline
    assert {name for name, key in careless.items() if key in differ} == set(ANNOUNCED), timeline


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("rule", RULED)
def test_with_one_rule_left_out_its_story_ends_unequal(
    rule: str, stage: Stage, nursery: Nursery, tmp_path: Path
) -> None:
    with live_migration(stage, nursery, tmp_path, rule) as live:
        key = RULED[rule](live)
        live.pipeline.settle()
        assert key in mismatched(live), live.pipeline.timeline
        assert live.has_passed(ZOMBIE) == (rule == "terms are not compared")
