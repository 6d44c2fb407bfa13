"""The tools around the project: environments, locks, and what a run leaves behind."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import contain
import environment
import lock
import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAIN = [sys.executable, str(ROOT / "tools" / "contain.py")]

# starts a process in a session of its own that outlives it, and tells its id
ABANDON = """
import subprocess, sys
left = subprocess.Popen(
    [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True,
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(left.pid, flush=True)
left.returncode = 0
sys.exit(7)
"""


def is_alive(pid: int) -> bool:
    return contain._state(pid) not in ("Z", "X", "")


def wait_gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux keeps orphans")


@linux
def test_what_a_run_leaves_behind_is_ended_and_named() -> None:
    done = subprocess.run(
        [*CONTAIN, sys.executable, "-c", ABANDON], capture_output=True, text=True, check=False
    )
    left = int(done.stdout)
    assert wait_gone(left)
    assert done.returncode == 7
    assert f"was left running and is stopped: {left}" in done.stderr


@linux
def test_without_the_guard_it_stays() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABANDON], capture_output=True, text=True, check=False
    )
    left = int(done.stdout)
    try:
        assert is_alive(left)
    finally:
        os.kill(left, signal.SIGKILL)
    assert wait_gone(left)


def test_the_exit_code_is_the_commands_own() -> None:
    for code in (0, 3):
        done = subprocess.run(
            [*CONTAIN, sys.executable, "-c", f"raise SystemExit({code})"], check=False
        )
        assert done.returncode == code


def test_an_end_by_a_signal_is_an_exit_code_as_in_a_shell() -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([*CONTAIN, sys.executable, "-c", kill], check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_sigterm_reaches_the_command() -> None:
    wait = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        [*CONTAIN, sys.executable, "-c", wait], stdout=subprocess.PIPE
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 5


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VECFERRY_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Environments that are only noted, not installed."""
    names: list[str] = []

    def note(name: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        names.append(name)

    monkeypatch.setattr(environment, "_install", note)
    return names


def test_an_environment_is_made_once(elsewhere: Path, made: list[str]) -> None:
    first = environment.require_environment("dev")
    assert first.is_relative_to(elsewhere)
    assert environment.require_environment("dev") == first
    assert made == ["dev"]


def test_a_half_made_environment_is_made_again(elsewhere: Path, made: list[str]) -> None:
    folder = environment.environment_folder("dev")
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "stale").touch()
    environment.require_environment("dev")
    assert made == ["dev"]
    assert not (folder / "bin" / "stale").exists()


def test_another_lock_is_another_environment(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = environment.environment_folder("dev")
    other = tmp_path / "other.lock"
    other.write_text("x==1\n")
    monkeypatch.setitem(environment.LOCKS, "dev", other)
    assert environment.environment_folder("dev") != before


def test_where_uv_fails_pip_goes_on(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_pip: list[str] = []

    def no_uv(name: str, folder: Path) -> None:
        if name == "uv":
            raise environment.UnmadeError("pip ended with 1")
        folder.mkdir(parents=True)
        with_pip.append(name)

    monkeypatch.setattr(environment, "_install_with_pip", no_uv)
    environment.require_environment("demo")
    assert with_pip == ["demo"]
    assert "going on with pip" in capsys.readouterr().err


def test_a_python_that_is_too_old_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "_OLDEST", (99, 0))
    assert environment.main(["dev"]) == 1
    assert "make PYTHON=" in capsys.readouterr().err


def locked(text: str) -> dict[str, set[str]]:
    """Return the versions of each package; more than one where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, re.M):
        found.setdefault(name, set()).add(version)
    return found


def unhashed(text: str) -> list[str]:
    whole = text.replace("\\\n", " ")
    return [
        line.split()[0]
        for line in whole.splitlines()
        if line.strip() and not re.search(r"--hash=sha256:[0-9a-f]{64}", line)
    ]


@pytest.mark.parametrize("name", environment.LOCKS)
def test_a_lock_has_hashes_and_no_address(name: str) -> None:
    text = environment.LOCKS[name].read_text()
    assert locked(text)
    assert not unhashed(text)
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_a_missing_hash_is_seen() -> None:
    assert unhashed("numpy==2.0 \\\n    --hash=sha256:" + "0" * 64 + "\nrich==1.0\n") == [
        "rich==1.0"
    ]


@pytest.mark.parametrize("name", ["demo", "run"])
def test_the_smaller_locks_agree_with_the_whole(name: str) -> None:
    whole = locked(environment.LOCKS["dev"].read_text())
    part = locked(environment.LOCKS[name].read_text())
    assert all(part[one] <= whole.get(one, set()) for one in part)
    assert len(part) < len(whole)


def requirements(extra: str) -> Iterator[str]:
    """Yield what an extra asks for, through the extras that it is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from project["dependencies"]
    waiting = [extra]
    while waiting:
        for line in project["optional-dependencies"][waiting.pop()]:
            own = re.fullmatch(r"vecferry\[(.*)\]", line)
            if own:
                waiting += own.group(1).split(",")
            else:
                yield line


@pytest.mark.parametrize("name", lock.EXTRAS)
def test_a_lock_has_every_requirement_of_its_extra(name: str) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions = locked(environment.LOCKS[name].read_text())
    for line in requirements(lock.EXTRAS[name]):
        wanted = Requirement(line)
        have = versions.get(canonicalize_name(wanted.name), set())
        assert any(wanted.specifier.contains(one) for one in have), f"{line}: run `make lock`"
