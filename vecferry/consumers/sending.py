"""Sending batches from a few threads, each only while its worker surely owns the partition."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, Protocol

from vecferry.consumers.progress import Batch, Entry
from vecferry.consumers.targets import Refusal

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time_s() -> float:
    """Return a clock that goes on while the process, or the machine, is stopped; seconds."""
    return time.clock_gettime(_CLOCK)


class Deadline:
    """Until when this worker may send.

    A member that is silent for a session is replaced. The window is a third of
    it, which leaves room for the heartbeats' interval, and a successor waits
    that much longer than a request lives, which covers the time from this check
    to the wire.

    Attributes:
        window_s: How long a sign of life is good for.
    """

    def __init__(self, session_timeout_s: float) -> None:
        self.window_s = session_timeout_s / 3
        self._until = float("-inf")

    def polled(self, now: float) -> bool:
        """Go on after a successful poll that returned at ``now``.

        Returns False, and extends nothing, when it came past the deadline: a
        stopped process that wakes gets its next poll answered from memory, so
        only the broker's answer proves that it is still a member.
        """
        if self.is_past(now):
            return False
        self._until = now + self.window_s
        return True

    def proven(self, asked_at: float) -> None:
        """The broker answered a member's request that was made at ``asked_at``."""
        self._until = max(self._until, asked_at + self.window_s)

    def is_past(self, now: float) -> bool:
        """Whether nothing may be sent."""
        return now > self._until


class Job(NamedTuple):
    """A batch on its way: what was in it when it was sent.

    Attributes:
        owner: Whose batch it is; a result for an owner that is gone is dropped.
        batch: The batch.
        entries: Its keys and states, not changed while it is in flight.
    """

    owner: object
    batch: Batch
    entries: tuple[tuple[bytes, Entry], ...]


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        job: The job.
        refused: Keys that can never be applied; the others are durable.
        error: Why the batch is not, or not surely, durable; None when it is.
        at: When the answer came, on :func:`boot_time_s`.
    """

    job: Job
    refused: list[Refusal]
    error: BaseException | None
    at: float


class Send(Protocol):
    """Writes a job's entries; raises Withheld where it may no longer."""

    def __call__(self, job: Job) -> list[Refusal]:
        """Return what was refused, when all else is durable."""


class Sender:
    """A few daemon threads, so that a request without an answer never holds up an exit."""

    def __init__(self, send: Send, threads: int, clock: Callable[[], float] = boot_time_s) -> None:
        self._send = send
        self._clock = clock
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"apply-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Send it as soon as a thread is free."""
        self._jobs.put(job)

    def outcomes(self, timeout_s: float) -> list[Outcome]:
        """Return what has been answered, after waiting for the first one at most ``timeout_s``."""
        found: list[Outcome] = []
        with suppress(Empty):
            found.append(self._outcomes.get(timeout=timeout_s) if timeout_s > 0 else self._now())
            while True:
                found.append(self._now())
        return found

    def close(self, timeout_s: float) -> None:
        """Let the threads end; one that is still in a request is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _now(self) -> Outcome:
        return self._outcomes.get_nowait()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            refused: list[Refusal] = []
            failed: BaseException | None = None
            try:
                refused = self._send(job)
            except BaseException as error:
                failed = error
            self._outcomes.put(Outcome(job, refused, failed, self._clock()))
