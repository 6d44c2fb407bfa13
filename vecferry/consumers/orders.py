"""What ``control`` says an applier must not do."""

import time
from collections.abc import Callable

from vecferry.log.control import Control
from vecferry.log.pauses import is_paused

_LOOK_S = 0.2


class Orders:
    """Whether writing is stopped: by the operator, or because the direction is over."""

    def __init__(
        self, control: Control, direction: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._control = control
        self._direction = direction
        self._clock = clock
        self._looked_at = float("-inf")
        self._holds = False

    def hold(self) -> bool:
        """Whether nothing may be sent: ``pause`` says so, or a JOURNAL of this direction lies there."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self._holds = is_paused(self._control, "apply") or self._is_over()
        return self._holds

    def _is_over(self) -> bool:
        return any(
            record.body.get("direction", self._direction) == self._direction
            for record in self._control.latest("journal").values()
        )
