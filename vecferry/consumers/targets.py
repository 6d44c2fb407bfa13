"""Where the points of a collection go, and how a batch gets there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vecferry.consumers.progress import Entry
from vecferry.errors import HaltError, RecordError
from vecferry.model import Point, parse_key
from vecferry.ports import Ref, Write, WritePart

Transform = Callable[[Point], Point | None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where one collection's points go.

    Attributes:
        store: Shared by the writer threads.
        ref: The collection there.
        transform: The point as the target shall hold it, None for one that it
            shall not hold; the identity when left out.
    """

    store: WritePart
    ref: Ref
    transform: Transform | None = None


class Refusal(NamedTuple):
    """A key that can never be applied in this state, and why."""

    key: bytes
    reason: str
    error: str


class Withheld(Exception):  # noqa: N818 - nothing failed
    """The deadline passed before the request was sent."""


def write_entries(
    targets: Mapping[str, Target],
    entries: Iterable[tuple[bytes, Entry]],
    may_send: Callable[[], bool],
) -> list[Refusal]:
    """Write the states of distinct keys; return only when durable, with what was refused.

    ``may_send`` is asked right before each request.

    Raises:
        Withheld: It said no; requests before that have been acknowledged.
        UnknownOutcome, TransientError, RecordError: As the store says.
        HaltError: A key's collection has no target.
    """
    refused: list[Refusal] = []
    by_target: dict[str, tuple[list[Write], dict[object, bytes]]] = {}
    for key, entry in entries:
        try:
            write = _write(targets, key, entry)
        except RecordError as error:
            refused.append(Refusal(key, str(error), type(error).__name__))
            continue
        writes, keys = by_target.setdefault(write.key.collection, ([], {}))
        writes.append(write)
        keys[write.key] = key
    for collection, (writes, keys) in by_target.items():
        if not may_send():
            raise Withheld
        target = targets[collection]
        for failure in target.store.write(target.ref, writes):
            refused.append(Refusal(keys[failure.key], failure.reason, RecordError.__name__))
    return refused


def _write(targets: Mapping[str, Target], key: bytes, entry: Entry) -> Write:
    try:
        parsed = parse_key(key)
    except ValueError as error:
        raise RecordError(str(error)) from error
    target = targets.get(parsed.collection)
    if target is None:
        raise HaltError(
            f"the log holds points of collection {parsed.collection!r}, which has no target here: "
            "run every role with the same [[collections]]"
        )
    image = entry.event.image
    if image is not None and target.transform is not None:
        point = target.transform(Point(parsed, image))
        image = None if point is None else point.image
    return Write(parsed, image, entry.offset)
