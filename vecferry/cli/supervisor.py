"""Child processes that run the roles: started, watched, restarted, drained.

Each child is the command that a container runs: ``vecferry up --role apply``.
A child that was killed or crashed is started again, and so is one that could not
reach the other side (exit 4), for as long as that takes. One that ended with an
error of Vecferry's own (exit 1, 2 or 3) halts everything, because going on
could lose data; so does one that crashes at its start over and over, because
another start would not change that.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_RESTART_S = 1.0
_RESTART_MAX_S = 30.0
_STABLE_S = 60.0
_QUICK_S = 20.0
_QUICK_CRASHES_MAX = 5
_DRAIN_S = 90.0
_HALTED = (1, 2, 3)
_TRY_AGAIN = 4


@dataclass(slots=True)
class _Child:
    role: str
    running: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    crashes: int = 0
    start_at: float = 0.0
    is_done: bool = False
    readers: list[threading.Thread] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Workers:
    """How the children are started.

    Attributes:
        path: The migration's file.
        say: Called with each line that a child writes to its standard error,
            and with what the supervisor does, from several threads.
        log_format: Passed on to them.
        once: Passed on to them.
    """

    path: Path
    say: Callable[[str], None]
    log_format: str = "text"
    once: bool = False

    def command(self, role: str) -> list[str]:
        """Return the command line of one."""
        program = [sys.executable, "-m", "vecferry.cli.main", "--log-format", self.log_format]
        once = ["--once"] if self.once else []
        return [*program, "up", "--role", role, "-c", str(self.path), *once]


class Supervisor:
    """Keeps the roles' processes running until they are done or told to stop.

    Args:
        workers: How they are started.
        roles: One entry for each process.
    """

    def __init__(self, workers: Workers, roles: Sequence[str]) -> None:
        self._workers = workers
        self._say = workers.say
        self._children = [_Child(role) for role in roles]

    def __enter__(self) -> "Supervisor":
        for child in self._children:
            self._start(child)
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role's running children."""
        return [
            child.running.pid
            for child in self._children
            if child.role == role and child.running is not None
        ]

    def watch(self) -> str | None:
        """Look at every child once, restart what died; return why all must halt, or None."""
        for child in self._children:
            reason = self._look_at(child)
            if reason is not None:
                return reason
        return None

    def are_done(self, role: str) -> bool:
        """Tell whether every child of this role has ended well."""
        return all(child.is_done for child in self._children if child.role == role)

    def drain(self) -> None:
        """Ask every child to finish what it has in hand, and wait until it has.

        A child that has not ended after a minute and a half is killed: what it
        had not committed is repeated by its successor.
        """
        for child in self._children:
            if child.running is not None:
                with contextlib.suppress(ProcessLookupError):
                    child.running.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _DRAIN_S
        for child in self._children:
            if child.running is None:
                continue
            try:
                child.running.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{child.role} did not end within {_DRAIN_S:g} s and is killed")
                child.running.kill()
                child.running.wait()
            self._end(child)

    def _look_at(self, child: _Child) -> str | None:
        if child.is_done:
            return None
        if child.running is None:
            if time.monotonic() >= child.start_at:
                self._start(child)
            return None
        code = child.running.poll()
        if code is None:
            return None
        pid, lived_s = child.running.pid, time.monotonic() - child.started_at
        self._end(child)
        if code == 0:
            child.is_done = True
            return None
        if code in _HALTED:
            return f"{child.role} (pid {pid}) stopped with exit code {code}; its reason is above"
        how = _ending(code)
        is_crash = code != _TRY_AGAIN and lived_s < _QUICK_S
        child.crashes = child.crashes + 1 if is_crash else 0
        if child.crashes >= _QUICK_CRASHES_MAX:
            return (
                f"{child.role} (pid {pid}) {how}, as did {child.crashes - 1} before it, each within "
                f"{_QUICK_S:g} s of its start; why is above"
            )
        child.restarts = 0 if lived_s > _STABLE_S else child.restarts + 1
        pause_s = min(_RESTART_MAX_S, _RESTART_S * 2 ** max(0, child.restarts - 1))
        child.start_at = time.monotonic() + pause_s
        self._say(f"{child.role} (pid {pid}) {how}: another one starts in {pause_s:g} s")
        return None

    def _start(self, child: _Child) -> None:
        child.running = subprocess.Popen(  # noqa: S603 - our own program
            self._workers.command(child.role),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C reaches the supervisor alone, which drains its children in order
            start_new_session=True,
            env=os.environ | {"VECFERRY_PARENT": str(os.getpid())},
        )
        child.started_at = time.monotonic()
        reader = threading.Thread(target=self._relay, args=(child.role, child.running), daemon=True)
        reader.start()
        child.readers.append(reader)

    def _relay(self, role: str, running: subprocess.Popen[bytes]) -> None:
        if running.stderr is None:
            return
        with running.stderr:
            for line in running.stderr:
                text = line.decode(errors="replace").rstrip()
                self._say(text if text.startswith("{") else f"{role}[{running.pid}] {text}")

    def _end(self, child: _Child) -> None:
        child.running = None
        for reader in child.readers:
            reader.join(5.0)
        child.readers.clear()


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    if code == _TRY_AGAIN:
        return "could not reach the other side"
    return f"crashed with exit code {code}"
