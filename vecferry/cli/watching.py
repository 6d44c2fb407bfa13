"""The ``check`` role: BEATs into every hints partition, and the lag that they measure."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import cast

from vecferry.errors import TransientError
from vecferry.log.beats import BeatLog, Lag, measure
from vecferry.log.control import Control
from vecferry.log.hints import HintWriter
from vecferry.log.silences import note_silences, present

_log = logging.getLogger(__name__)
_BEAT_S = 1.0
_SILENT_LOOKS = 5  # after so many without a word of it another checker counts as gone


@dataclass
class Checker:
    """Writes a numbered BEAT each second and publishes the lag.

    Of several checkers one beats and the others stand by: each would take the
    other's numbers for its own, and show no lag where there is one.

    Attributes:
        control: Where progress is read and the lag is written.
        hints: Where BEATs go.
        partitions: How many there are.
        alive: Says whether a registered process is still heard; who is not is put on record.
        ask_for_lapsed: Called after each BEAT: a feeding process that fell silent
            while it may have written untold leaves a rescan.
        beats: When each one was written; numbers begin at the clock's
            milliseconds, so that those of a later checker are higher.
        name: Tells this checker from others.
    """

    control: Control
    hints: HintWriter
    partitions: int
    alive: Callable[[str], bool]
    ask_for_lapsed: Callable[[], object]
    beats: BeatLog = field(default_factory=lambda: BeatLog(time.time_ns() // 1_000_000))
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _others: tuple[int, int] = (-1, 0)  # another's newest record, and for how many looks

    def run(self, stop: Event) -> None:
        """Beat until stopped; an outage of the log makes the lag grow, and is no error."""
        while not stop.wait(_BEAT_S):
            try:
                if self._is_its_turn():
                    self._beat()
                self.ask_for_lapsed()
                note_silences(self.control, self.alive)
            except TransientError as error:
                _log.warning("the log does not answer, BEATs wait: %s", error)

    def _is_its_turn(self) -> bool:
        newest = self.control.latest("lag").get("check")
        if newest is None or newest.body.get("by") == self.name:
            return True
        offset, looks = self._others
        self._others = (newest.offset, looks + 1 if newest.offset == offset else 0)
        alone = sum(name.startswith("check/") for name in present(self.control)) < 2
        if not alone and str(newest.body.get("by")) < self.name and self._others[1] < _SILENT_LOOKS:
            return False
        # beyond the other's numbers, also where its clock was ahead of ours
        beyond = int(cast("int", newest.body.get("number", -1))) + 1
        self.beats = BeatLog(max(self.beats.next, beyond))
        return True

    def _beat(self) -> None:
        number = self.beats.next
        self.hints.beat(number)
        now = time.monotonic()
        self.beats.wrote(now)
        lags = measure(self.beats, self.control, range(self.partitions), now)
        partitions = {str(each): _rounded(lag) for each, lag in lags.items()}
        body = {"partitions": partitions, "by": self.name, "number": number}
        self.control.append("lag", "check", body, timeout_s=15.0)


def _rounded(lag: Lag) -> dict[str, float | None]:
    return {
        name: None if value is None else round(value, 3) for name, value in lag._asdict().items()
    }
