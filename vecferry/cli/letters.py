"""``dlq``: the dead letters, and what each one means."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.markup import escape

from vecferry.cli.migration import Migration
from vecferry.cli.output import out
from vecferry.errors import RecordError
from vecferry.log.reading import read_topic
from vecferry.model import parse_key
from vecferry.record import Dead


class Letter(NamedTuple):
    """A dead letter and where it lies: ``<partition>:<offset>``."""

    place: str
    dead: Dead
    is_open: bool


def letters(migration: Migration) -> Iterator[Letter]:
    """Yield the dead letters in the order of their partitions and offsets."""
    with migration.control() as control:
        diverged = {
            name for name, record in control.latest("diverged").items() if record.body["diverged"]
        }
    for raw in read_topic(migration.connection, migration.topics.dead):
        dead = migration.codec.decode_dead(raw.value)
        yield Letter(f"{raw.partition}:{raw.offset}", dead, dead.key.hex() in diverged)


def letter_document(letter: Letter) -> dict[str, Any]:
    """Return a letter as JSON values, without what its record holds."""
    dead = letter.dead
    return {
        "place": letter.place,
        "key": spell_key(dead.key),
        "open": letter.is_open,
        "role": dead.role,
        "error": dead.error,
        "reason": dead.reason,
        "origin": {"topic": dead.topic, "partition": dead.partition, "offset": dead.offset},
        "bytes": len(dead.value),
        "at_ms": dead.at_ms,
    }


def spell_key(data: bytes) -> str:
    """Return a key for people; a damaged one by its bytes."""
    try:
        return str(parse_key(data))
    except ValueError:
        return data.hex() or "(none)"


def show_letter(letter: Letter, codec: Any, *, whole: bool = False) -> None:
    """Print a letter for people; ``whole`` adds what the record was, never its contents."""
    dead = letter.dead
    state = "[red]open[/]" if letter.is_open else "[green]healed by a later write[/]"
    out.print(
        f"[bold]{letter.place}[/] {escape(spell_key(dead.key))} {state} {escape(dead.error)}: {escape(dead.reason)}"
    )
    if not whole:
        return
    out.print(
        f"  given up by {dead.role}; from {dead.topic} partition {dead.partition} offset {dead.offset}, {len(dead.value)} bytes"
    )
    try:
        event = codec.decode_event(dead.value)
    except RecordError as error:
        out.print(f"  the record itself cannot be read: {escape(str(error))}")
        return
    out.print(f"  it is an event of kind {event.kind}")
    if event.image is not None:
        shapes = {
            name: f"{type(vector).__name__} of {len(vector[-1])} bytes"
            for name, vector in event.image.vectors.items()
        }
        out.print(f"  vectors {escape(str(shapes))}, payload of {len(event.image.payload)} bytes")
