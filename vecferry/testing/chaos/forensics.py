"""What the log says of a key: for a round that did not converge."""

from collections.abc import Collection, Iterator

from vecferry.cli.migration import Migration
from vecferry.log.reading import read_topic
from vecferry.record import Event, EventKind, Hint, HintKind

_FILTERS = (HintKind.FILTER_INTENT, HintKind.FILTER_DONE)


def history_of(migration: Migration, keys: Collection[bytes]) -> Iterator[str]:
    """Yield a line for each hint and each event that concerns the keys, and for every marker."""
    codec, topics, connection = migration.codec, migration.topics, migration.connection
    for raw in read_topic(connection, topics.hints):
        hint = codec.decode_hint(raw.value)
        named = [key.decode() for key in hint.keys if key in keys]
        if named or hint.kind in _FILTERS:
            yield f"hints  {raw.partition} {raw.offset:6} {_hint(hint)} {named}"
    for raw in read_topic(connection, topics.events):
        event = codec.decode_event(raw.value)
        if event.key in keys or (not event.key and event.kind is not EventKind.BEAT):
            yield f"events {raw.partition} {raw.offset:6} {_event(event)}"


def _hint(hint: Hint) -> str:
    return f"{hint.at_ms} {hint.kind} {hint.request} {hint.verb}"


def _event(event: Event) -> str:
    image = "" if event.image is None else f" payload of {len(event.image.payload)} bytes"
    return (
        f"{event.kind} {event.key.decode()} term {event.term} hint {event.hint_offset} "
        f"{event.chunk} opened {event.opened}{image}"
    )
