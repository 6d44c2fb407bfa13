"""Where the points of a collection go, and how a batch gets there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vecferry.consumers.progress import Entry
from vecferry.errors import HaltError, RecordError
from vecferry.mapping.steps import Step
from vecferry.model import Key, Point, parse_key
from vecferry.ports import Ref, Write, WritePart


@dataclass(frozen=True, slots=True)
class Target:
    """Where one collection's points go.

    Attributes:
        store: Shared by the writer threads.
        ref: The collection there.
        transform: The points as the target shall hold them, None for one that it
            shall not hold; the identity when left out. Called in the writer threads.
    """

    store: WritePart
    ref: Ref
    transform: Step | None = None


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
        UnknownOutcome, TransientError, RecordError: As the store, or a transform, says.
        HaltError: A key's collection has no target.
    """
    refused: list[Refusal] = []
    arrived: dict[str, list[_Arrived]] = {}
    for key, entry in entries:
        try:
            parsed = parse_key(key)
        except ValueError as error:
            refused.append(Refusal(key, str(error), RecordError.__name__))
            continue
        arrived.setdefault(parsed.collection, []).append(_Arrived(key, parsed, entry))
    # all of it before the first request: whatever a transform raises, nothing was written
    ready = [
        (target, *_transformed(target, some, refused)) for target, some in _paired(targets, arrived)
    ]
    for target, writes, keys in ready:
        if not writes:
            continue
        if not may_send():
            raise Withheld
        for failure in target.store.write(target.ref, writes):
            refused.append(Refusal(keys[failure.key], failure.reason, RecordError.__name__))
    return refused


class _Arrived(NamedTuple):
    raw: bytes
    key: Key
    entry: Entry


def _paired(
    targets: Mapping[str, Target], arrived: Mapping[str, list[_Arrived]]
) -> list[tuple[Target, list[_Arrived]]]:
    for collection in arrived:
        if collection not in targets:
            raise HaltError(
                f"the log holds points of collection {collection!r}, which has no target here: "
                "run every role with the same [[collections]]"
            )
    return [(targets[collection], some) for collection, some in arrived.items()]


def _transformed(
    target: Target, arrived: Sequence[_Arrived], refused: list[Refusal]
) -> tuple[list[Write], dict[Key, bytes]]:
    """Return the writes with their keys' bytes; what cannot be transformed is refused."""
    points = [
        Point(each.key, each.entry.event.image)
        for each in arrived
        if each.entry.event.image is not None
    ]
    outcomes = iter(points if target.transform is None else target.transform(points))
    writes, keys = [], {}
    for raw, key, entry in arrived:
        outcome = None if entry.event.image is None else next(outcomes)
        if isinstance(outcome, RecordError):
            refused.append(Refusal(raw, str(outcome), type(outcome).__name__))
            continue
        writes.append(Write(key, None if outcome is None else outcome.image, entry.offset))
        keys[key] = raw
    return writes, keys
