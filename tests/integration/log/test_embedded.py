import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from vecferry.log.child import Child, Service, ended
from vecferry.log.embedded import EmbeddedBroker
from vecferry.testing.waiting import wait_until


def run(code: str, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


def told(program: "subprocess.Popen[str]") -> list[str]:
    assert program.stdout is not None
    return program.stdout.readline().split()


def test_the_embedded_broker_listens_on_this_machine_alone() -> None:
    with EmbeddedBroker() as broker:
        sockets = psutil.Process(broker.pid).net_connections(kind="inet")
        listening = {one.laddr for one in sockets if one.status == psutil.CONN_LISTEN}
        host, port = broker.bootstrap_servers.split(":")
        assert listening == {(host, int(port))}
        assert host == "127.0.0.1"
        pid = broker.pid
    assert ended(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_its_program(number: int) -> None:
    program = run("""
        from vecferry.log.embedded import EmbeddedBroker
        broker = EmbeddedBroker().start()
        print(broker.pid, broker.watcher, flush=True)
        input()
    """)
    pid, watcher = (int(word) for word in told(program))
    assert not ended(pid)
    program.send_signal(number)
    program.communicate()
    wait_until(lambda: ended(pid) and ended(watcher))


def test_a_server_dies_with_its_watcher() -> None:
    child = Child(Service([sys.executable, "-c", "input()"]))
    sleeper = Child(Service(["sleep", "600"]))
    os.kill(sleeper.watcher, signal.SIGKILL)
    wait_until(lambda: ended(sleeper.pid))
    # this one read no input and ended by itself
    wait_until(lambda: not child.running)


def test_a_server_that_ignores_its_signal_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vecferry.log.child._STOP_S", 0.5)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on'); time.sleep(600)"
    child = Child(Service([sys.executable, "-c", code]))
    child.stop()
    assert ended(child.pid)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="cannot be run"):
        Child(Service(["no-such-program-anywhere"]))


SHARED = """
    import os, sys
    from pathlib import Path
    from vecferry.log.child import Child, Service
    from vecferry.testing import engines

    def start(owner, folder):
        files = folder / "files"
        files.mkdir()
        child = Child(Service(["sleep", "600"], scratch=files), owner=owner)
        return engines.Running({"pid": str(child.pid)}, child.watcher)

    folder = engines.begin_run()
    found = engines.shared("toy", start, lambda: None)
    print(found["pid"], folder, flush=True)
    if sys.stdin.readline():
        sys.exit()
"""


def alone() -> dict[str, str]:
    """The variables of a run of its own."""
    return dict.fromkeys(("VECFERRY_TEST_RUN", "VECFERRY_TEST_OWNER"), "")


def start_run(**env: str) -> tuple["subprocess.Popen[str]", int, Path]:
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SHARED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **alone(), **env},
    )
    pid, folder = told(program)
    return program, int(pid), Path(folder)


def test_a_run_shares_an_engine_and_stops_it_at_its_end() -> None:
    owner, pid, folder = start_run()
    worker, same, _ = start_run(VECFERRY_TEST_RUN=str(folder), VECFERRY_TEST_OWNER=str(owner.pid))
    assert same == pid
    worker.communicate("done\n")
    assert not ended(pid)
    owner.communicate("done\n")
    assert ended(pid)
    assert not folder.exists()


def test_a_killed_run_leaves_no_engine_and_the_next_one_removes_its_folder() -> None:
    owner, pid, folder = start_run()
    worker, _, _ = start_run(VECFERRY_TEST_RUN=str(folder), VECFERRY_TEST_OWNER=str(owner.pid))
    owner.kill()
    owner.communicate()
    wait_until(lambda: ended(pid) and not (folder / "files").exists())
    worker.communicate("done\n")
    following, _, _ = start_run()
    assert not folder.exists()
    following.communicate("done\n")
