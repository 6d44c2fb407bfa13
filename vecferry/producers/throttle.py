"""How fast a snapshot may read: never at the application's cost.

Four reasons to slow down: the user's own limit, appliers that lag, a source
that answers slower than it can, and a source that says so (429, Retry-After).
"""

import random
import time
from collections.abc import Callable
from threading import Event

from vecferry.errors import TransientError
from vecferry.settings import SnapshotSettings

_SMOOTHING = 0.2
_PAUSE_MAX_S = 60.0


class Throttle:
    """Waits as long as it must, and never past a stop.

    Args:
        settings: The limits.
        lag_records: The worst partition's records between the log's end and
            the appliers' commits; None while unknown.
        stop: Set when the worker should end; every wait ends with it.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        settings: SnapshotSettings,
        lag_records: Callable[[], int | None],
        stop: Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lag_records = lag_records
        self._stop = stop
        self._clock = clock
        self._next_at = clock()
        self._latency_s = 0.0
        self._best_s = 0.0
        self._failures = 0

    def after_page(self, points: int, took_s: float) -> None:
        """Wait as the rate, the source's latency and the appliers' lag demand.

        Args:
            points: In the page just read.
            took_s: How long the source took to answer it.
        """
        self._failures = 0
        self._wait(max(self._rate_pause(points), self._latency_pause(points, took_s)))
        while not self._stop.is_set() and self._is_behind():
            self._wait(0.5)

    def after_failure(self, error: TransientError) -> float:
        """Wait before the same request is sent again; return the seconds waited.

        A ``retry_after_s`` of the source's is obeyed; else the pause doubles,
        with jitter, so that several workers do not come back at once.
        """
        self._failures += 1
        pause_s = min(_PAUSE_MAX_S, 0.25 * 2.0**self._failures) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
        pause_s = max(pause_s, error.retry_after_s or 0.0)
        self._wait(pause_s)
        return pause_s

    def _rate_pause(self, points: int) -> float:
        if not self._settings.points_per_s_max:
            return 0.0
        now = self._clock()
        self._next_at = max(now, self._next_at) + points / self._settings.points_per_s_max
        return self._next_at - now

    def _latency_pause(self, points: int, took_s: float) -> float:
        each_s = took_s / max(points, 1)
        self._latency_s += (each_s - self._latency_s) * (_SMOOTHING if self._latency_s else 1.0)
        self._best_s = min(self._best_s or each_s, self._latency_s)
        is_slow = self._latency_s > self._best_s * self._settings.latency_factor_max
        # a pause as long as the answer took halves the load that this worker makes
        return took_s if is_slow and took_s > 0.1 else 0.0

    def _is_behind(self) -> bool:
        lag = self._lag_records()
        return lag is not None and lag > self._settings.lag_records_max

    def _wait(self, pause_s: float) -> None:
        if pause_s > 0:
            self._stop.wait(pause_s)
