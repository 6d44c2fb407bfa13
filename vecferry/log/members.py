"""The processes of a migration, as they tell each other through ``control``."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping

from vecferry import __version__
from vecferry.errors import TransientError, VecferryError
from vecferry.log.control import Control
from vecferry.record import ControlRecord

KIND = "process"
_BEAT_S = 15.0  # how long one may take
_SILENT_BEATS = 5  # so many of its heartbeats missed, and a process counts as gone


class Member:
    """This process in ``control``: it registers, heartbeats, and sees who else does.

    Attributes:
        name: ``<role>/<uuid>``.
        renewed_at: When the newest heartbeat that came back was written, on
            ``time.monotonic()``'s clock, taken before it was sent.

    Others are judged by what this process sees, never by their clocks: time is
    counted in its own heartbeats that came back through the log. While the log
    is away no time passes, so an outage makes nobody look dead.
    """

    def __init__(
        self,
        control: Control,
        role: str,
        heartbeat_s: float,
        tell: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """Register, read ``control`` through the own record, and begin to heartbeat.

        Args:
            control: Where it registers.
            role: What this process does.
            heartbeat_s: How often it says that it lives.
            tell: What more each heartbeat says; called in the heartbeats' thread.

        Raises:
            TransientError: The broker does not answer.
            HaltError: ``control`` cannot be written or read.
        """
        self.name = f"{role}/{uuid.uuid4()}"
        self._control, self._heartbeat_s, self._tell = control, heartbeat_s, tell
        self._body: dict[str, object] = {
            "role": role,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "heartbeat_s": heartbeat_s,
        }
        self.renewed_at = 0.0
        self._beats = 0  # own heartbeats that came back
        self._seen: dict[str, tuple[int, int]] = {}  # name -> its newest offset, beats at that time
        self._failed: VecferryError | None = None
        self._leaving = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def alive(self, name: str) -> bool:
        """Say whether a process is registered and has not been silent for too long.

        One that has just registered, or that this process has just begun to
        watch, counts as alive.

        Raises:
            VecferryError: The heartbeats ended, with what they failed on.
        """
        if self._failed is not None:
            raise self._failed
        record = self._control.latest(KIND).get(name)
        if record is None or left(record):
            return False
        if name == self.name:
            return True
        offset, beats = self._seen.get(name, (-1, 0))
        if offset < record.offset:
            return True
        silent_s = (self._beats - beats) * self._heartbeat_s
        return silent_s <= _SILENT_BEATS * max(_its_heartbeat_s(record), self._heartbeat_s)

    def abandon(self, timeout_s: float = 1.0) -> bool:
        """Stop the heartbeats without a word: others will see the silence.

        Returns:
            Whether they have ended; one that waits for the broker may take longer.
        """
        self._leaving.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Deregister: say that this process left in order.

        Raises:
            TransientError: The broker does not answer; others will see the silence.
        """
        self._leaving.set()
        self._thread.join()
        body = {**self._body, "left": True}
        self._control.append(KIND, self.name, body, timeout_s=_BEAT_S)

    def _run(self) -> None:
        while not self._leaving.wait(self._heartbeat_s):
            try:
                self._beat()
            except TransientError:
                continue  # the log is away: the next beat tries again
            except VecferryError as error:
                self._failed = error
                return

    def _beat(self) -> None:
        body = {**self._body, **self._tell(), "beat": self._beats}
        started_at = time.monotonic()
        offset = self._control.append(KIND, self.name, body, timeout_s=_BEAT_S)
        self._control.read_through(offset)
        self.renewed_at = started_at
        self._beats += 1
        for name, record in self._control.latest(KIND).items():
            if self._seen.get(name, (-1, 0))[0] < record.offset:
                self._seen[name] = (record.offset, self._beats)


def left(record: ControlRecord) -> bool:
    """Say whether a process has deregistered, by its newest record."""
    return bool(record.body.get("left"))


def _its_heartbeat_s(record: ControlRecord) -> float:
    told = record.body.get("heartbeat_s")
    return float(told) if isinstance(told, int | float) else 0.0
