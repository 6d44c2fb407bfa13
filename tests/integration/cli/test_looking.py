"""plan, status, wait, pause and resume, over one small migration."""

from pathlib import Path
from typing import Any

import pytest

from vecferry.model import Collection, VectorSpec
from vecferry.ports import Store
from vecferry.testing.runs import Run

pytestmark = pytest.mark.kafka


def test_the_commands_tell_where_a_migration_is(
    tmp_path: Path, document: dict[str, Any], source: str, store: Store
) -> None:
    with Run(tmp_path, document) as run:
        planned = run.say("plan", "--json")
        assert planned.code == 0
        (plan,) = planned.document["collections"]
        assert (plan["source"], plan["target"], plan["points"]) == (source, f"{source}-moved", 40)
        assert plan["refusals"] == []
        ratings = {field["field"]: field["rating"] for field in plan["fields"]}
        assert ratings["vectors."] == "exact"
        # no topic is there yet, and none was made
        assert all(p["name"].startswith("brokers: ") for p in planned.document["log"]["premises"])
        assert f"{source}-moved" not in store.collections()
        assert "40 points" in run.say("plan").out

        made = run.say("init", "--json").document
        assert made["name"] == run.name
        assert len(made["premises"]) > 10
        assert all(p["ok"] for p in made["premises"] if not p["name"].startswith("brokers: "))
        now = run.say("status", "--json").document
        assert (now["phase"], now["paused"], now["workers"]) == ("NEW", False, {})

        assert run.say("pause").code == 0
        up = run.start("up", "--once", "--json")
        run.wait(lambda now: now.workers == {"snapshot": 1, "apply": 1})
        waited = run.say("wait", "--for", "applied", "--timeout-s", "2")
        assert waited.code == 3
        assert "paused" in waited.out
        assert run.now().certified == 0
        assert run.arrived() == 0

        assert run.say("resume").code == 0
        assert run.say("wait", "--for", "applied", "--timeout-s", "60").code == 0
        assert up.ended() == 0, up.text
        now = run.say("status", "--json").document
        assert now["phase"] == "APPLIED"
        assert now["chunks"]["all"] == now["chunks"]["certified"] == 1
        assert now["points"] == {"read": 40, "written": 40}
        assert set(now["behind"].values()) == {0}
        assert now["diverged"] == 0
        text = run.say("status").out
        assert "APPLIED" in text
        assert "1 of 1" in text
        assert run.say("wait", "--for", "nonsense").code == 2
        run.require_equal()


def test_a_plan_with_a_refusal_says_so_by_its_exit_code(
    tmp_path: Path, document: dict[str, Any], source: str, store: Store
) -> None:
    store.create(Collection(f"{source}-moved", (VectorSpec("", dim=8, metric="l2"),)))
    with Run(tmp_path, document) as run:
        planned = run.say("plan", "--json")
        assert planned.code == 3
        (refusal,) = planned.document["collections"][0]["refusals"]
        assert "metric of vector '' is l2 in the target's" in refusal
        assert "refused" in run.say("plan").out
        assert run.say("up").code == 3


def test_a_collection_that_the_target_lost_is_made_anew_and_filled_again(
    tmp_path: Path, document: dict[str, Any], source: str, store: Store
) -> None:
    with Run(tmp_path, document) as run:
        up = run.start("up", "--once", "--json")
        assert up.ended() == 0, up.text
        store.drop(f"{source}-moved")
        up = run.start("up", "--once", "--json")
        assert up.ended() == 0, up.text
        assert run.arrived() == 40
        run.require_equal()
