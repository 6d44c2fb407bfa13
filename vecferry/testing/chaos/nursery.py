"""Processes that start at once, because what they import is imported already.

A round starts and kills dozens of processes; an interpreter that has to import
the whole program takes a second of a core each time. So one process imports it,
opens nothing, and forks a child for each start: ``python -m
vecferry.testing.chaos.nursery`` is that process and :class:`Nursery` its owner.

A child never outlives the nursery, not even one that is stopped, and the
nursery ends when its standard input does, so with its owner.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_LOOK_S = 0.02


class Sprout:
    """One child.

    Attributes:
        name: For people.
        pid: Of the process.
        log: What it prints.
    """

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name, self.pid, self.log = name, pid, log
        self._is_stopped = False

    @property
    def code(self) -> int | None:
        """Its exit code, minus the signal's number if one ended it; None while it lives."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(_exit_file(self.log).read_text())
        return None

    @property
    def text(self) -> str:
        """What it has printed so far."""
        # one that was killed at once has not even made its log
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.code is None

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped and not continued."""
        return self._is_stopped and self.lives

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended is fine."""
        if self.lives:
            self._is_stopped = number == signal.SIGSTOP
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, timeout_s: float) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: It still lives.
        """
        deadline = time.monotonic() + timeout_s
        while (code := self.code) is None:
            assert time.monotonic() < deadline, f"{self.name} still lives after {timeout_s:g} s"
            time.sleep(_LOOK_S)
        return code

    def kill(self) -> None:
        """Kill it and wait for its end."""
        self.signal(signal.SIGKILL)
        self.ended(60.0)


class Nursery:
    """Starts children; one thread uses it."""

    def __init__(self) -> None:
        self._sprouts: list[Sprout] = []
        self._running = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def command(self, name: str, arguments: list[str], log: Path, broken: str = "") -> Sprout:
        """Start a command of ``vecferry``, with a rule of :mod:`vecferry.testing.chaos.broken` left out."""
        return self._start(name, {"command": arguments, "broken": broken}, log)

    def writer(self, name: str, document: dict[str, Any], log: Path) -> Sprout:
        """Start a writer; see :mod:`vecferry.testing.chaos.writer`."""
        return self._start(name, {"writer": document}, log)

    def clear(self) -> None:
        """Kill every child that lives."""
        for sprout in self._sprouts:
            if sprout.lives:
                sprout.kill()
        self._sprouts.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
        self._running.communicate(timeout=60.0)

    def _start(self, name: str, what: dict[str, Any], log: Path) -> Sprout:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write(json.dumps({**what, "log": str(log)}) + "\n")
        self._running.stdin.flush()
        sprout = Sprout(name, int(self._running.stdout.readline()), log)
        self._sprouts.append(sprout)
        return sprout


def _exit_file(log: Path) -> Path:
    return log.with_suffix(".exit")


# --- the process itself ---


def _command(arguments: list[str]) -> None:
    from vecferry.cli.main import main

    os.environ["VECFERRY_PARENT"] = str(os.getppid())
    main(arguments)


def _writer(document: dict[str, Any]) -> None:
    from vecferry.testing.chaos.writer import Writer

    Writer(document).run()


_KINDS: dict[str, Callable[[Any], None]] = {"command": _command, "writer": _writer}


def _be_child(request: dict[str, Any]) -> None:
    """Run one request and end; never returns."""
    code: object = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        # told only now: whoever knows the pid may stop it, and it must not outlive the nursery
        os.write(1, b"%d\n" % os.getpid())
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(ours, theirs)
        if request.get("broken"):
            from vecferry.testing.chaos.broken import RULES

            RULES[request["broken"]]()
        (kind,) = request.keys() & _KINDS.keys()
        _KINDS[kind](request[kind])
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # told in the log, and by the exit code
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)


def _serve() -> None:
    import vecferry.cli.main
    import vecferry.cli.roles
    import vecferry.stores.memory
    import vecferry.stores.qdrant
    import vecferry.testing.chaos.broken
    import vecferry.testing.chaos.writer  # noqa: F401 - imported for the children

    logs: dict[int, str] = {}

    def reap(*_: object) -> None:
        for pid in list(logs):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue  # by this same function, which another signal had interrupted
            if ended:
                exit_file = _exit_file(Path(logs.pop(pid)))
                part = exit_file.with_suffix(".part")
                part.write_text(str(os.waitstatus_to_exitcode(status)))
                part.rename(exit_file)

    signal.signal(signal.SIGCHLD, reap)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        # a child that ends at once must be known before it is reaped
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _be_child(request)
        logs[pid] = request["log"]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for pid in list(logs):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _serve()
