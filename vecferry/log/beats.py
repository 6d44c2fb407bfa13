"""BEATs: the lag from a hint to the target, measured by one clock.

The checker writes a numbered BEAT to every hints partition each second and
remembers when. It passes capture in order, and the appliers commit past it.
The age of the oldest one that is not applied yet is the end-to-end lag: true
when nothing changes, true on every broker, blind to no stage.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from vecferry.log.control import Control

_REMEMBERED = 100_000


class Lag(NamedTuple):
    """How far one partition is behind, in seconds; None while it cannot be told.

    Attributes:
        capture_s: From a hint to its image in ``events``.
        total_s: From a hint to the target.
    """

    capture_s: float | None
    total_s: float | None


class BeatLog:
    """When each BEAT was written, by this process's own clock.

    Args:
        first: The first number; higher than any that was ever written.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._sent_at: list[float] = []

    @property
    def next(self) -> int:
        """The number of the next BEAT."""
        return self._first + len(self._sent_at)

    def wrote(self, now: float) -> None:
        """Remember that the next BEAT was written at ``now``."""
        self._sent_at.append(now)
        if len(self._sent_at) > _REMEMBERED:  # a day of an outage
            drop = _REMEMBERED // 2
            self._first += drop
            del self._sent_at[:drop]

    def age_s(self, passed: int, now: float) -> float | None:
        """Return the age of the oldest BEAT of ours after number ``passed``.

        0.0 when everything that was written has passed; None when nothing was written.
        """
        if not self._sent_at:
            return None
        at = max(passed + 1 - self._first, 0)
        return now - self._sent_at[at] if at < len(self._sent_at) else 0.0


def passed_beats(control: Control, stage: str) -> dict[int, int]:
    """Return the newest BEAT that each partition's ``stage`` (``capture`` or ``apply``) has passed."""
    newest: dict[int, int] = {}
    for partition, report in reports(control, stage).items():
        newest[partition] = int(report.get("beat", -1))
    return newest


def reports(control: Control, stage: str) -> dict[int, dict[str, Any]]:
    """Return the newest progress report of each partition's ``stage``."""
    newest: dict[int, dict[str, Any]] = {}
    records = [
        each for each in control.latest("progress").values() if each.name.startswith(f"{stage}/")
    ]
    for record in sorted(records, key=lambda each: each.offset):
        body = cast("dict[str, Any]", record.body)
        if "partitions" in body:  # one worker's partitions in one record
            newest |= {int(number): report for number, report in body["partitions"].items()}
        else:
            newest[int(record.name.removeprefix(f"{stage}/"))] = body
    return newest


def measure(
    log: BeatLog, control: Control, partitions: Iterable[int], now: float
) -> Mapping[int, Lag]:
    """Return the lag of each partition at ``now``."""
    captured, applied = passed_beats(control, "capture"), passed_beats(control, "apply")
    return {
        number: Lag(
            log.age_s(captured.get(number, -1), now), log.age_s(applied.get(number, -1), now)
        )
        for number in partitions
    }
