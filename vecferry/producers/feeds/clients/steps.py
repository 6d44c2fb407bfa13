"""The steps of a captured call, written once for clients that block and clients that do not.

A call is a generator: it yields what has to happen, and gets back what came of
it. :func:`run` performs the steps where it is; :func:`run_async` awaits the
client and lets the feed's own threads wait for Kafka.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple, cast

from vecferry.producers.feeds.feed import Feed
from vecferry.producers.feeds.writes import OpenWrite


class Ask(NamedTuple):
    """Call one of the client's own methods, uncaptured.

    Attributes:
        method: Its name.
        arguments: By name.
    """

    method: str
    arguments: Mapping[str, Any]


class Begin(NamedTuple):
    """Begin a write; waits for Kafka."""

    call: Callable[[], OpenWrite]


class Wait(NamedTuple):
    """Do what waits for Kafka."""

    call: Callable[[], Any]


class End(NamedTuple):
    """End a write; nothing waits for it."""

    call: Callable[[], None]


Step = Ask | Begin | Wait | End
Steps = Generator[Step, Any, Any]
Call = Callable[[str, Mapping[str, Any]], Any]
"""Calls one of the client's own methods, uncaptured."""


def run(steps: Steps, call: Call) -> Any:
    """Perform the steps; return what they return, raise what they raise."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value
        value = error = None
        try:
            value = call(step.method, step.arguments) if isinstance(step, Ask) else step.call()
        except BaseException as raised:
            error = raised


async def run_async(steps: Steps, call: Call, feed: Feed) -> Any:
    """As :func:`run`; the event loop never waits for Kafka."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(value) if error is None else steps.throw(error)
        except StopIteration as stop:
            return stop.value
        value = error = None
        try:
            match step:
                case Ask():
                    value = await cast("Awaitable[Any]", call(step.method, step.arguments))
                case Begin():
                    value = await feed.begun(step.call)
                case Wait():
                    value = await feed.in_thread(step.call)
                case End():
                    feed.in_background(step.call)
        except BaseException as raised:
            error = raised
