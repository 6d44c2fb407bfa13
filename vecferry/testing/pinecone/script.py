"""What goes wrong, on demand: limits of a rate, failures, lag; set at ``/_script``."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, fields
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Plan:
    """The script in force.

    Attributes:
        per_s_max: Requests to points in any one second; 0 is no limit.
        retry_after_s: Sent with a 429; negative for none.
        fail_status: What the next ``fail_times`` requests are answered with.
        fail_times: How many fail.
        fail_path: The end of the path of those that fail; empty for all.
        applied: They are carried out before they fail.
        lag_s: How long a write stays invisible; negative holds it until the script changes.
        fetch_tells: A fetch says up to which write it is, too.
    """

    per_s_max: int = 0
    retry_after_s: float = 1.0
    fail_status: int = 503
    fail_times: int = 0
    fail_path: str = ""
    applied: bool = False
    lag_s: float = 0.0
    fetch_tells: bool = False

    @property
    def asked_s(self) -> float | None:
        """What a 429 asks for, in seconds."""
        return None if self.retry_after_s < 0 else self.retry_after_s


class Verdict(NamedTuple):
    """What becomes of a request: 0 lets it pass."""

    status: int = 0
    retry_after_s: float | None = None
    applied: bool = False


class Script:
    """The plan and the counts; thread-safe."""

    def __init__(self) -> None:
        self.plan = Plan()
        self._lock = threading.Lock()
        self._recent: deque[float] = deque()
        self._failed = 0
        self._counts: Counter[str] = Counter()

    def set(self, body: dict[str, Any]) -> None:
        """Replace the plan and count from zero.

        Raises:
            ValueError: A field is unknown.
        """
        known = {field.name for field in fields(Plan)}
        if unknown := body.keys() - known:
            raise ValueError(f"there is no {sorted(unknown)}, only {sorted(known)}")
        with self._lock:
            self.plan = Plan(**body)
            self._recent.clear()
            self._counts.clear()
            self._failed = 0

    def judge(self, path: str) -> Verdict:
        """Count a request to points and say what becomes of it."""
        with self._lock:
            plan, now = self.plan, time.monotonic()
            self._counts["requests"] += 1
            self._counts[path.rpartition("/")[2]] += 1
            while self._recent and self._recent[0] <= now - 1.0:
                self._recent.popleft()
            if plan.per_s_max and len(self._recent) >= plan.per_s_max:
                self._counts["throttled"] += 1
                return Verdict(429, plan.asked_s)
            self._recent.append(now)
            if self._failed < plan.fail_times and path.endswith(plan.fail_path):
                self._failed += 1
                if plan.fail_status != 429:
                    return Verdict(plan.fail_status, None, plan.applied)
                self._counts["throttled"] += 1
                return Verdict(429, plan.asked_s, plan.applied)
            return Verdict()

    def counts(self) -> dict[str, int]:
        """Return how many requests came, by the last word of their path, and were throttled."""
        with self._lock:
            return dict(self._counts)
