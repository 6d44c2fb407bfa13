"""What a call may change, and how such a call goes."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from vecferry.model import Id
from vecferry.producers.feeds.clients.steps import Ask, Begin, End, Step, Steps, Wait
from vecferry.producers.feeds.feed import Feed
from vecferry.producers.feeds.writes import OpenWrite, WholeWrite

Ids = list[tuple[str, Id]]
Pages = Generator[Ask | Ids, Any, None]
"""Asks the client, and yields pages of what matches."""


class Keys(NamedTuple):
    """These points, named by the arguments."""

    collection: str
    ids: Ids
    verb: str


class Matching(NamedTuple):
    """What a filter matches. ``find`` makes the generator that finds it."""

    collection: str
    verb: str
    find: Callable[[], Pages]


class Answered(NamedTuple):
    """New points whose ids only the reply tells. ``ids`` reads them from it."""

    collection: str
    verb: str
    ids: Callable[[Any], Ids]


class Whole(NamedTuple):
    """Anything in the collection."""

    collection: str
    reason: str


Touch = Keys | Matching | Answered | Whole
Touches = Generator[Step, Any, list[Touch]]


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells outcomes apart.

    Attributes:
        refuses: Whether an exception means that the source has definitely changed nothing.
        is_open: Whether a result that was returned leaves anything that may land later.
        position: What the source said to read after, by the result; empty where it does not.
    """

    refuses: Callable[[BaseException], bool]
    is_open: Callable[[Any], bool]
    position: Callable[[Any], str] = lambda _result: ""


class Captured(NamedTuple):
    """A call to be captured.

    Attributes:
        feed: Writes the hints.
        judge: Of its outcome.
        method: The client's method that sends it.
        arguments: By name.
    """

    feed: Feed
    judge: Judge
    method: str
    arguments: Mapping[str, Any]


def captured_call(call: Captured, touches: Iterable[Touch]) -> Steps:
    """Announce, send, end.

    1. INTENT of everything that the call may touch, acknowledged; what a
       filter matches is found after that.
    2. Each is made sure to be young.
    3. The call itself; its result and its exceptions pass through unchanged.
    4. DONE, or nothing where the outcome is not known.
    """
    opened: list[tuple[Touch, OpenWrite]] = []
    try:
        for touch in touches:
            if call.feed.is_open and touch.collection not in call.feed.collections:
                continue
            write = yield Begin(lambda touch=touch: _begin(call.feed, touch))  # type: ignore[misc]
            opened.append((touch, write))
            if isinstance(touch, Matching) and write.tracked:
                yield from _find(write, touch.find())
        for _, write in opened:
            if write.tracked:
                yield Wait(write.fresh)
    except BaseException:
        for _, write in opened:
            yield End(write.refused)
        raise
    try:
        result = yield Ask(call.method, call.arguments)
    except BaseException as error:
        is_refused = call.judge.refuses(error)
        for _, write in opened:
            yield End(write.refused if is_refused else write.unknown)
        raise
    is_open, position = call.judge.is_open(result), call.judge.position(result)
    for touch, write in opened:
        yield End(write.unknown) if is_open else _end(touch, write, result, position)
    return result


def _begin(feed: Feed, touch: Touch) -> OpenWrite:
    match touch:
        case Keys():
            return feed.begin_keys(touch.collection, touch.ids, verb=touch.verb)
        case Whole():
            return feed.begin_whole(touch.collection, touch.reason)
        case Matching() | Answered():
            return feed.begin_filter(touch.collection, verb=touch.verb)


def _find(write: OpenWrite, pages: Pages) -> Generator[Step, Any, None]:
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            item = pages.send(value) if error is None else pages.throw(error)
        except StopIteration:
            return
        value = error = None
        if not isinstance(item, Ask):
            yield Wait(lambda item=item: write.found(item))  # type: ignore[misc]
            continue
        try:
            value = yield item
        except BaseException as raised:
            error = raised


def _end(touch: Touch, write: OpenWrite, result: Any, position: str) -> Step:
    if isinstance(touch, Answered):
        return End(lambda: write.done(ids=touch.ids(result), position=position))
    # a rescan is on record before the caller goes on
    if isinstance(write, WholeWrite):
        return Wait(write.done)
    return End(lambda: write.done(position=position))
