"""Which chunks are to be read: the first pass over everything, and rescans of a scope.

A rescan is asked for by a record of kind ``rescan`` in ``control``: by capture
when a filter write died, by a feed when something changed that no hint can
name, by an operator. It is the same chunks again, in windows of their own, and
then a hint for every key of the scope that the target has and the source has
not. Nothing of it is repeated but what was open when a worker died.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vecferry.log.control import Control
from vecferry.ports import Bounds
from vecferry.producers.chunks import Chunk, persisted_chunks

KIND = "rescan"
EXTRAS = "extras"


class Rescan(NamedTuple):
    """A scope that has to be read again.

    Attributes:
        name: Of its record.
        scope: The source's name of the collection.
        reason: Why, for people.
        asked_at: The offset of the record that asks.
        done: The offset up to which it was done, -1 for not yet.
        extras_only: Only what the target has too many is looked for.
    """

    name: str
    scope: str
    reason: str
    asked_at: int
    done: int
    extras_only: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done."""
        return self.done < self.asked_at


def ask(control: Control, name: str, scope: str, reason: str) -> int:
    """Ask for a rescan of a collection, durably; return the record's offset."""
    return control.append(KIND, name, {"scope": scope, "reason": reason, "done": False})


def ask_extras_once(control: Control, name: str, scope: str, reason: str) -> None:
    """Ask that a collection's extras are looked for, unless that was asked under this name before."""
    if name not in control.latest(KIND):
        body = {"scope": scope, "reason": reason, "done": False, "extras_only": True}
        control.append(KIND, name, body)


def rescans(control: Control) -> list[Rescan]:
    """Return every rescan that was asked for, the oldest first."""
    done = {
        name: int(str(record.body["upto"])) for name, record in control.latest("rescanned").items()
    }
    return [
        Rescan(
            name,
            str(record.body["scope"]),
            str(record.body.get("reason", "")),
            record.offset,
            done.get(name, -1),
            bool(record.body.get("extras_only")),
        )
        for name, record in sorted(control.latest(KIND).items(), key=lambda item: item[1].offset)
    ]


def finish(control: Control, rescan: Rescan) -> None:
    """Put on record that a rescan is done, as far as it was asked for when it began."""
    control.append("rescanned", rescan.name, {"scope": rescan.scope, "upto": rescan.asked_at})


def rescan_chunks(control: Control, rescan: Rescan) -> list[Chunk]:
    """Return the chunks of a rescan: the bounds of the first pass under ids of their own.

    Bounds cover every key that will ever exist, so they are good again. The
    ids name the asking record: asked for again, it is read again.
    """
    if rescan.extras_only:
        return []
    return [
        Chunk(f"{chunk.id}@{rescan.asked_at}", chunk.collection, chunk.bounds)
        for chunk in persisted_chunks(control, [rescan.scope])
    ]


def extras_chunk(rescan: Rescan) -> Chunk:
    """Return what stands for the extras pass among the chunks, so that one worker does it."""
    return Chunk(f"{rescan.scope}/{EXTRAS}@{rescan.asked_at}", rescan.scope, Bounds())


def open_rescans(control: Control, collections: Sequence[str]) -> list[Rescan]:
    """Return the rescans of these collections that are still to be done."""
    return [each for each in rescans(control) if each.is_open and each.scope in collections]
