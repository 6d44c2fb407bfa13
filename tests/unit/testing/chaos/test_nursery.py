"""Children start, end with a code, and are gone when their nursery is."""

import signal
from pathlib import Path

from vecferry.log.child import ended
from vecferry.testing.chaos.nursery import Nursery
from vecferry.testing.waiting import wait_until


def test_a_child_ends_with_its_code_and_says_what_it_said(tmp_path: Path) -> None:
    with Nursery() as nursery:
        asked = nursery.command("help", ["--help"], tmp_path / "a.log")
        wrong = nursery.command("wrong", ["no-such-command"], tmp_path / "b.log")
        assert asked.ended(60.0) == 0
        assert "vecferry" in asked.text or "Usage" in asked.text
        assert wrong.ended(60.0) == 2


def test_a_stopped_child_does_not_outlive_a_nursery_that_was_killed(tmp_path: Path) -> None:
    nursery = Nursery()
    child = nursery.command("stopped", ["--help"], tmp_path / "a.log")
    child.signal(signal.SIGSTOP)
    nursery._running.kill()
    nursery._running.communicate()
    wait_until(lambda: ended(child.pid))
