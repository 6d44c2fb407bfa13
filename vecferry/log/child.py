"""A server that runs as a child of this program and never outlives it.

Between the two stands a watcher: this file, run as a program of its own. It
holds the server, waits for the end of an *owner* (this process, or another one
that several processes share) and then stops the server and removes its files.
So a killed test run or a killed ``vecferry up`` leaves nothing behind.
"""

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_STOP_S = 15.0
_POLL_S = 0.25
_PORTS = (20_000, 32_000)  # below the ports that outgoing connections take


class _Watcher(subprocess.Popen[bytes]):
    """A watcher may outlive this object: whoever stops it sees its end."""

    def __del__(self, *_: object) -> None:
        """Do not warn of it."""


@dataclass(frozen=True, slots=True)
class Service:
    """How a server is run.

    Attributes:
        command: The program and its arguments.
        env: Variables beside this process's own.
        stop: The signal that ends it in order.
        log: Where its output goes; nowhere when None.
        scratch: A folder that is removed once it has ended for good.
    """

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop: int = signal.SIGTERM
    log: Path | None = None
    scratch: Path | None = None


class Child:
    """A running server.

    Attributes:
        watcher: The process id of its watcher: SIGTERM to it stops the server.
        pid: The server's own process id.
    """

    def __init__(self, service: Service, *, owner: int | None = None) -> None:
        """Start the server; it runs until :meth:`stop`, or until ``owner`` (a process id) ends.

        Raises:
            OSError: The program cannot be run.
        """
        self._stop = service.stop
        argv = [
            *(sys.executable, "-I", "-S", __file__),
            *(str(owner or os.getpid()), str(int(service.stop)), str(service.scratch or "")),
            *service.command,
        ]
        with contextlib.ExitStack() as stack:
            out: int | object = subprocess.DEVNULL
            if service.log is not None:
                out = stack.enter_context(service.log.open("ab"))
            self._process = _Watcher(
                argv,
                env={**os.environ, **service.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,  # type: ignore[arg-type]
                start_new_session=True,
            )
        self.watcher = self._process.pid
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        self._process.stdout.close()
        if not line.strip().isdigit():
            self._process.wait()
            raise OSError(f"{service.command[0]} cannot be run")
        self.pid = int(line)

    @property
    def running(self) -> bool:
        """Whether the server still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop the server in order, by force after a while, and wait for its end.

        Its scratch folder stays.
        """
        if self.running:
            self._send(self._stop)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the server as a crash would, and wait for its end."""
        if self.running:
            self._send(signal.SIGKILL)
        self._process.wait()

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def stop_watcher(pid: int) -> None:
    """Stop the server of this watcher and remove its scratch; return once both are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 2 * _STOP_S
    while not _wait_end(pid, _POLL_S) and time.monotonic() < deadline:
        pass


def wait_ready(child: Child, ready: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Wait until ``ready()``; False when the server ended or the time is over before that."""
    deadline = time.monotonic() + timeout_s
    while child.running and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.05)
    return False


def listens(port: int) -> bool:
    """Whether something accepts connections at this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has now."""
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def ended(pid: int) -> bool:
    """Whether the process has ended."""
    return _wait_end(pid, 0)


def _wait_end(pid: int, timeout_s: float) -> bool:
    """Wait for the end of any process; a zombie has ended."""
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return True
        try:
            return bool(select.select([descriptor], [], [], timeout_s)[0])
        finally:
            os.close(descriptor)
    time.sleep(timeout_s)
    try:
        os.kill(pid, 0)
    except OSError:
        return True
    return False


def _die_with_watcher() -> None:
    # Only the server of a watcher that was itself killed would outlive it
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _watch(owner: int, stop: int, scratch: str, command: list[str]) -> None:
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: asked.append(got))
    server = subprocess.Popen(  # noqa: S603 - the commands are our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_die_with_watcher,
    )
    os.write(1, b"%d\n" % server.pid)
    os.close(1)
    while server.poll() is None and not asked and not _wait_end(owner, 0):
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_POLL_S)
    if server.poll() is None:
        server.send_signal(stop)
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    if scratch and (asked or _wait_end(owner, 0)):
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
