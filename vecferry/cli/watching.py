"""The ``check`` role: BEATs into every hints partition, and the lag that they measure."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from vecferry.errors import TransientError
from vecferry.log.beats import BeatLog, Lag, measure
from vecferry.log.control import Control
from vecferry.log.hints import HintWriter
from vecferry.log.silences import note_silences

_log = logging.getLogger(__name__)
_BEAT_S = 1.0


@dataclass
class Checker:
    """Writes a numbered BEAT each second and publishes the lag.

    Attributes:
        control: Where progress is read and the lag is written.
        hints: Where BEATs go.
        partitions: How many there are.
        alive: Says whether a registered process is still heard; who is not is put on record.
        ask_for_lapsed: Called after each BEAT: a feeding process that fell silent
            while it may have written untold leaves a rescan.
        beats: When each one was written; numbers begin at the clock's
            milliseconds, so that those of a later checker are higher.
    """

    control: Control
    hints: HintWriter
    partitions: int
    alive: Callable[[str], bool]
    ask_for_lapsed: Callable[[], object]
    beats: BeatLog = field(default_factory=lambda: BeatLog(time.time_ns() // 1_000_000))

    def run(self, stop: Event) -> None:
        """Beat until stopped; an outage of the log makes the lag grow, and is no error."""
        while not stop.wait(_BEAT_S):
            try:
                self._beat()
                self.ask_for_lapsed()
                note_silences(self.control, self.alive)
            except TransientError as error:
                _log.warning("the log does not answer, BEATs wait: %s", error)

    def _beat(self) -> None:
        self.hints.beat(self.beats.next)
        now = time.monotonic()
        self.beats.wrote(now)
        lags = measure(self.beats, self.control, range(self.partitions), now)
        body = {"partitions": {str(number): _rounded(lag) for number, lag in lags.items()}}
        self.control.append("lag", "check", body, timeout_s=15.0)


def _rounded(lag: Lag) -> dict[str, float | None]:
    return {
        name: None if value is None else round(value, 3) for name, value in lag._asdict().items()
    }
