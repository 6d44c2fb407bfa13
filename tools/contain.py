"""Run a command and, when it is over, end whatever it left running.

``python3 tools/contain.py COMMAND ARGUMENT…`` exits as the command did. On
Linux it adopts every orphan of the command (a child subreaper), so a database
that a killed test left behind is found, named on stderr and stopped by its
process id. Only its own descendants are ever signalled. Elsewhere the command
runs as it is.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# from linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 3.0
"""What ends by itself after its parent, such as a database's own helpers, gets this long."""
_TERM_S = 10.0
"""A database writes its files after SIGTERM; then it is killed."""


def adopt_orphans() -> bool:
    """Become the parent of every orphaned descendant; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children(pid: int) -> list[int]:
    """Return the direct children of a process, without those that are dead already."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return [child for child in found if _state(child) not in ("Z", "X", "")]


def descendants(pid: int) -> list[int]:
    """Return every living descendant, parents before their children."""
    found = children(pid)
    for child in found:  # grows while it is walked
        found += [one for one in children(child) if one not in found]
    return found


def _state(pid: int) -> str:
    try:
        # the name before it may hold spaces and parentheses
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return " ".join(word.decode(errors="replace") for word in words[:4]).strip() or "?"


def end_leftovers() -> list[str]:
    """Stop every descendant of this process and return what they were."""
    if not _remaining_after(_GRACE_S):
        return []
    left = [f"{pid} {_name(pid)}" for pid in descendants(os.getpid())]
    for number, patience_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _TERM_S)):
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # a stopped process does not see SIGTERM
        if not _remaining_after(patience_s):
            break
    return left


def _remaining_after(patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while descendants(os.getpid()):
        _reap()
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    _reap()
    return False


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(command: Sequence[str]) -> int:
    """Run the command to its end and return its exit code (128 + signal where one ended it)."""
    adopting = adopt_orphans()
    # Ctrl-C reaches the command by itself, being in the same group: it drains, this waits
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=_die_with_parent if adopting else None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    code = child.wait()
    if adopting:
        for left in end_leftovers():
            print(f"contain: was left running and is stopped: {left}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments say."""
    if not arguments:
        print("usage: contain.py COMMAND ARGUMENT…", file=sys.stderr)
        return 2
    sys.stdout.flush()
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
