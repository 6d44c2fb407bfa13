"""What ``control`` says of a migration, in numbers: the same for every command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from vecferry.log.beats import reports
from vecferry.log.control import Control
from vecferry.log.pauses import is_paused
from vecferry.log.silences import present
from vecferry.log.writers import FEEDS, Writers, writers
from vecferry.producers.chunks import Chunk, certificates, persisted_chunks
from vecferry.producers.passes import open_rescans
from vecferry.record import ControlRecord


@dataclass(frozen=True, slots=True)
class Live:
    """What goes on beside the snapshot.

    Attributes:
        capture_s, total_s: The worst partition's lag from a hint to its image,
            and to the target, in seconds; None while no checker tells.
        oldest_intent_s: The age of the oldest write without its end, in seconds.
        rescans: Scopes that are to be read again.
        feeds: The processes that feed: name, writer, host, pid, version, in
            flight, names that they wrote and that do not move, and when they were
            last heard, Unix milliseconds by their own clock.
        writers: Those that should write against those that do.
    """

    capture_s: float | None = None
    total_s: float | None = None
    oldest_intent_s: float | None = None
    rescans: tuple[str, ...] = ()
    feeds: tuple[dict[str, Any], ...] = ()
    writers: Writers = field(default_factory=Writers)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a migration is.

    Attributes:
        phase: NEW, SNAPSHOT, CATCHUP or APPLIED.
        chunks, certified: Chunks that were cut, and those that lie in the log whole.
        rows: Points of the certified chunks.
        applied: Points written, repeats counted again.
        dead: Keys marked as diverged.
        behind: Records between the end of the log and the commits, by partition.
        workers: Processes that neither left nor fell silent, by role.
        is_paused: Whether the operator said so.
        live: What goes on beside the snapshot.
    """

    phase: str
    chunks: int
    certified: int
    rows: int
    applied: int
    dead: int
    behind: dict[int, int]
    workers: dict[str, int]
    is_paused: bool
    live: Live = field(default_factory=Live)

    @property
    def is_applied(self) -> bool:
        """Whether everything that the snapshot read was applied."""
        return self.phase == "APPLIED"

    @property
    def is_empty(self) -> bool:
        """Whether everything was read and not one point came of it, not even a dead letter."""
        return self.phase not in ("NEW", "SNAPSHOT") and not self.rows and not self.dead


def reached(
    control: Control,
    collections: Sequence[str],
    partitions: int,
    expected_writers: Mapping[str, int] | None = None,
) -> Reached:
    """Fold ``control`` into numbers, as far as it has been read."""
    chunks, done = persisted_chunks(control, collections), certificates(control)
    certified = [done[chunk.id] for chunk in chunks if chunk.id in done]
    applied = reports(control, "apply")
    is_read = len(certified) == len(chunks) and _all_cut(chunks, collections)
    has_applied = is_read and all(
        applied.get(partition, {}).get("committed", 0)
        > max(each.closed[partition] for each in certified)
        for partition in range(partitions)
    )
    if has_applied:
        phase = "APPLIED"
    elif is_read:
        phase = "CATCHUP"
    else:
        phase = "SNAPSHOT" if chunks else "NEW"
    return Reached(
        phase=phase,
        chunks=len(chunks),
        certified=len(certified),
        rows=sum(each.rows for each in certified),
        applied=sum(body["points"] for body in applied.values()),
        dead=sum(1 for record in control.latest("diverged").values() if record.body["diverged"]),
        behind={
            at: max(0, body["end"] - body["committed"]) for at, body in sorted(applied.items())
        },
        workers=_workers(control),
        is_paused=is_paused(control),
        live=_live(control, collections, writers(control, expected_writers or {})),
    )


def _all_cut(chunks: Sequence[Chunk], collections: Sequence[str]) -> bool:
    return bool(collections) and {chunk.collection for chunk in chunks} == set(collections)


def _live(control: Control, collections: Sequence[str], known: Writers) -> Live:
    living = present(control)
    record = control.latest("lag").get("check")
    if record is None or not any(name.startswith("check/") for name in living):
        lags: Any = []  # nobody measures: what the last one said is old
    else:
        lags = cast("Any", record.body["partitions"]).values()
    intents = [report.get("oldest_intent_s") for report in reports(control, "capture").values()]
    return Live(
        capture_s=_worst(lag["capture_s"] for lag in lags),
        total_s=_worst(lag["total_s"] for lag in lags),
        oldest_intent_s=max((age for age in intents if age is not None), default=None),
        rescans=tuple(each.scope for each in open_rescans(control, collections)),
        feeds=tuple(_feed(record) for record in living.values() if record.name.startswith(FEEDS)),
        writers=known,
    )


def _worst(lags: Any) -> float | None:
    """Return the largest; one partition whose lag is unknown makes it unknown."""
    known = list(lags)
    return max(known) if known and None not in known else None


def _feed(record: ControlRecord) -> dict[str, Any]:
    told = ("writer", "host", "pid", "version", "in_flight", "passed_by")
    known = {each: record.body[each] for each in told if each in record.body}
    return {"name": record.name, **known, "seen_at_ms": record.at_ms}


def _workers(control: Control) -> dict[str, int]:
    living: dict[str, int] = {}
    for name in present(control):
        role = name.split("/", 1)[0]
        living[role] = living.get(role, 0) + 1
    return living
