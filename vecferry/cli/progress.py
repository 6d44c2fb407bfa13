"""What ``control`` says of a migration, in numbers: the same for every command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from vecferry.log.control import Control
from vecferry.producers.chunks import certificates, persisted_chunks


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
        workers: Living processes by role.
        is_paused: Whether the operator said so.
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

    @property
    def is_applied(self) -> bool:
        """Whether everything that the snapshot read was applied."""
        return self.phase == "APPLIED"


def reached(control: Control, collections: Sequence[str], partitions: int) -> Reached:
    """Fold ``control`` into numbers, as far as it has been read."""
    chunks, done = persisted_chunks(control, collections), certificates(control)
    certified = [done[chunk.id] for chunk in chunks if chunk.id in done]
    progress = {
        int(name.removeprefix("apply/")): cast("dict[str, Any]", record.body)
        for name, record in control.latest("progress").items()
    }
    is_read = bool(chunks) and len(certified) == len(chunks) and _all_cut(chunks, collections)
    has_applied = is_read and all(
        progress.get(partition, {}).get("committed", 0)
        > max(each.closed[partition] for each in certified)
        for partition in range(partitions)
    )
    paused = control.latest("pause").get("all")
    return Reached(
        phase="APPLIED"
        if has_applied
        else "CATCHUP"
        if is_read
        else "SNAPSHOT"
        if chunks
        else "NEW",
        chunks=len(chunks),
        certified=len(certified),
        rows=sum(each.rows for each in certified),
        applied=sum(body["points"] for body in progress.values()),
        dead=sum(1 for record in control.latest("diverged").values() if record.body["diverged"]),
        behind={
            at: max(0, body["end"] - body["committed"]) for at, body in sorted(progress.items())
        },
        workers=_workers(control),
        is_paused=paused is not None and bool(paused.body["paused"]),
    )


def _all_cut(chunks: Sequence[Any], collections: Sequence[str]) -> bool:
    return {chunk.collection for chunk in chunks} == set(collections)


def _workers(control: Control) -> dict[str, int]:
    living: dict[str, int] = {}
    for name, record in control.latest("process").items():
        if not record.body.get("left"):
            role = name.split("/", 1)[0]
            living[role] = living.get(role, 0) + 1
    return living
