import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vecferry.cli import supervisor
from vecferry.cli.supervisor import Supervisor, Workers
from vecferry.testing.waiting import wait_until

FILE = Path("vecferry.toml")


@pytest.fixture
def roles(tmp_path, monkeypatch):
    """Let roles run a shell script instead; restarts come at once."""

    def write(script: str) -> Path:
        program = tmp_path / "role"
        program.write_text(f"#!/bin/sh\nstarts={tmp_path}/starts\necho >> $starts\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(supervisor, "sys", SimpleNamespace(executable=str(program)))
        monkeypatch.setattr(supervisor, "_RESTART_S", 0.0)
        return tmp_path / "starts"

    return write


def starts(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def watch_until_reason(watched: Supervisor) -> str:
    deadline = time.monotonic() + 30
    while (reason := watched.watch()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return reason


def test_a_role_that_crashes_at_its_start_over_and_over_is_given_up_with_the_reason(roles):
    counted = roles("echo 'no such thing' >&2; exit 70")
    lines = []
    with Supervisor(Workers(FILE, lines.append), ["apply"]) as watched:
        reason = watch_until_reason(watched)
    assert "exit code 70" in reason
    assert "as did 4 before it" in reason
    assert starts(counted) == 5
    assert sum("no such thing" in line for line in lines) == 5


def test_a_role_that_dies_by_signals_at_its_start_is_given_up_too(roles):
    roles("kill -SEGV $$")
    with Supervisor(Workers(FILE, lambda _: None), ["apply"]) as watched:
        assert f"signal {int(signal.SIGSEGV)}" in watch_until_reason(watched)


def test_a_role_that_cannot_reach_the_other_side_is_started_for_as_long_as_that_takes(roles):
    counted = roles("[ $(wc -l < $starts) -gt 8 ] && exit 0; exit 4")
    with Supervisor(Workers(FILE, lambda _: None), ["apply"]) as watched:
        wait_until(lambda: watched.watch() is None and watched.are_done("apply"), 30)
    assert starts(counted) == 9


def test_a_crash_after_a_while_counts_from_one_again(roles, monkeypatch):
    monkeypatch.setattr(supervisor, "_QUICK_S", 0.0)  # every life is a long one
    counted = roles("[ $(wc -l < $starts) -gt 8 ] && exit 0; exit 70")
    with Supervisor(Workers(FILE, lambda _: None), ["apply"]) as watched:
        wait_until(lambda: watched.watch() is None and watched.are_done("apply"), 30)
    assert starts(counted) == 9


@pytest.mark.parametrize("code", [1, 2, 3])
def test_an_error_of_its_own_halts_everything_at_once(roles, code):
    counted = roles(f"exit {code}")
    with Supervisor(Workers(FILE, lambda _: None), ["snapshot"]) as watched:
        assert f"exit code {code}" in watch_until_reason(watched)
    assert starts(counted) == 1


def test_a_killed_role_is_replaced(roles):
    counted = roles("exec sleep 60")
    with Supervisor(Workers(FILE, lambda _: None), ["apply", "apply"]) as watched:
        wait_until(lambda: starts(counted) == 2, 30)
        first = watched.pids("apply")
        os.kill(first[0], signal.SIGKILL)
        wait_until(
            lambda: (
                watched.watch() is None
                and len(watched.pids("apply")) == 2
                and first[0] not in watched.pids("apply")
            ),
            30,
        )
        assert first[1] in watched.pids("apply")
        wait_until(lambda: starts(counted) == 3, 30)


def test_leaving_drains_every_role(roles, tmp_path):
    roles(
        f"trap 'echo drained >> {tmp_path}/drained; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done"
    )
    lines = []
    with Supervisor(Workers(FILE, lines.append), ["snapshot", "apply"]):
        wait_until(lambda: sum("ready" in line for line in lines) == 2, 30)
    assert (tmp_path / "drained").read_text().splitlines() == ["drained", "drained"]


def test_a_role_that_does_not_drain_is_killed_in_the_end(roles, monkeypatch):
    monkeypatch.setattr(supervisor, "_DRAIN_S", 0.3)
    roles("trap '' TERM; echo ready >&2; while :; do sleep 0.05; done")
    lines = []
    with Supervisor(Workers(FILE, lines.append), ["apply"]) as watched:
        wait_until(lambda: any("ready" in line for line in lines), 30)
        (pid,) = watched.pids("apply")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert any("is killed" in line for line in lines)
