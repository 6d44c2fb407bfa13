"""Errors and delays on demand, set over REST at ``/_faults``."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    InternalError,
    ThrottledError,
    TimedOutError,
    UnavailableError,
)

_KINDS = ("unavailable", "internal", "timeout", "429")
_SCOPES = ("writes", "reads", "all")


@dataclass(frozen=True)
class Plan:
    """What goes wrong.

    Attributes:
        fail_share: Of the requests in scope; 0.5 fails every second one, exactly.
        kind: Of the error.
        latency_ms: Before each request in scope.
        retry_after_s: Sent with a 429.
        scope: Which requests: writes to points, reads, or all of both.
        applied: The request is carried out first, and then answered with the error.
        fails_max: Failures after which requests succeed again.
    """

    fail_share: float = 0.0
    kind: str = "unavailable"
    latency_ms: float = 0.0
    retry_after_s: int = 1
    scope: str = "writes"
    applied: bool = False
    fails_max: int | None = None


class Faults:
    """The faults in force; thread-safe. Which request fails is not left to chance."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.set({})

    def set(self, body: object) -> None:
        """Replace the plan, and count from zero.

        Raises:
            BadInputError: A field is unknown or out of range.
        """
        plan = Plan(**Fields(body, "faults").only(*Plan.__dataclass_fields__))
        if plan.kind not in _KINDS or plan.scope not in _SCOPES:
            raise BadInputError(f"kind is one of {_KINDS}, scope one of {_SCOPES}")
        if not 0 <= plan.fail_share <= 1 or plan.latency_ms < 0:
            raise BadInputError("fail_share is from 0 to 1, latency_ms not negative")
        with self._lock:
            self._plan = plan
            self._seen = self._failed = 0

    def describe(self) -> dict[str, Any]:
        """Return the plan, and how many requests in its scope came and failed."""
        with self._lock:
            return {**vars(self._plan), "seen": self._seen, "failed": self._failed}

    def around(self, write: bool, call: Callable[[], Any]) -> Any:
        """Make the call, unless it is its turn to fail.

        Raises:
            RefusalError: It was its turn.
        """
        plan, fails = self._turn(write)
        if plan is None:
            return call()
        if plan.latency_ms:
            time.sleep(plan.latency_ms / 1000)
        if not fails or plan.applied:
            result = call()
        if fails:
            self._raise(plan)
        return result

    def _turn(self, write: bool) -> tuple[Plan | None, bool]:
        with self._lock:
            plan = self._plan
            if plan.scope not in ("all", "writes" if write else "reads"):
                return None, False
            self._seen += 1
            due = int(self._seen * plan.fail_share) > int((self._seen - 1) * plan.fail_share)
            fails = due and (plan.fails_max is None or self._failed < plan.fails_max)
            self._failed += fails
            return plan, fails

    def _raise(self, plan: Plan) -> None:
        if plan.kind == "429":
            raise ThrottledError("Rate limit exceeded (injected)", plan.retry_after_s)
        errors = {
            "unavailable": UnavailableError,
            "internal": InternalError,
            "timeout": TimedOutError,
        }
        raise errors[plan.kind](f"{plan.kind} (injected)")
