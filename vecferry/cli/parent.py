"""A role that was started by ``up`` ends when ``up`` dies, however it dies."""

import os
import signal
import threading

_LOOK_S = 1.0


def end_with_parent() -> None:
    """Drain this process, as SIGTERM does, once the supervisor that started it is gone."""
    parent = os.environ.get("VECFERRY_PARENT")
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
