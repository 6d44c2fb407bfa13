"""A client's class with its writing methods captured: same names, signatures, types, exceptions."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from vecferry.errors import ConfigError
from vecferry.producers.feeds.clients.steps import Ask, Steps, run, run_async
from vecferry.producers.feeds.feed import Feed


@dataclass(slots=True)
class Captive:
    """What a captured client carries beside what it shares with the original one.

    Attributes:
        feed: Writes the hints.
        original: Kept, because it closes its connection when nobody holds it.
        cache: What was learnt about collections.
    """

    feed: Feed
    original: Any
    cache: dict[str, Any] = field(default_factory=dict)


class Asked(NamedTuple):
    """One call of a captured method.

    Attributes:
        client: The original, for what needs no capturing.
        captive: The feed and what was learnt.
        method: The name of the method.
        arguments: As given, by name; defaults are not filled in.
    """

    client: Any
    captive: Captive
    method: str
    arguments: dict[str, Any]


Flow = Callable[[Asked], Steps]


@dataclass(frozen=True)
class Rules:
    """What each public name of a client's class is: a table to be reviewed.

    Attributes:
        vendor: The package that the class comes from.
        captures: Methods that change points, and how each call goes.
        refused: Names that could change points past the capture, each with the reason.
        passes: Names that change no point, or that call captured methods.
    """

    vendor: str
    captures: Mapping[str, Flow]
    refused: Mapping[str, str]
    passes: frozenset[str]

    def unreviewed(self, cls: type) -> frozenset[str]:
        """Return the vendor's public names that the table does not know."""
        known = self.passes | self.captures.keys() | self.refused.keys()
        return frozenset(
            name
            for base in cls.__mro__
            if base.__module__.split(".")[0] == self.vendor
            for name in vars(base)
            if not name.startswith("_") and name not in known
        )


def capture(client: Any, feed: Feed, rules: Rules) -> Any:
    """Return a captured client that shares everything with ``client``, of a subclass of its class.

    Raises:
        ConfigError: It is captured already.
    """
    if hasattr(type(client), "_vecferry"):
        raise ConfigError("this client is captured already: capture the original one")
    base: Any = type(client)
    found: Any = object.__new__(_captured_class(base, _Shared(rules)))
    members = client.__dict__
    if members.keys() & rules.captures.keys():  # of this one object, which would go first
        members = {name: held for name, held in members.items() if name not in rules.captures}
    found.__dict__ = members
    found._vecferry = Captive(feed, client)
    return found


class _Shared:
    """Rules as a part of a cache's key: there is one object of each."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def __hash__(self) -> int:
        return id(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.rules is other.rules


@functools.lru_cache(64)
def _captured_class(base: type, shared: _Shared) -> type:
    rules = shared.rules
    members: dict[str, Any] = {
        "__slots__": ("_vecferry",),
        "__doc__": base.__doc__,
        "__module__": base.__module__,
        # the original closes the connection that both share
        "__del__": lambda self: None,
    }
    for name, flow in rules.captures.items():
        if hasattr(base, name):
            members[name] = _captured_method(name, getattr(base, name), flow)
    if hasattr(base, "__aenter__"):
        members["__aenter__"] = _aenter
    for name, reason in rules.refused.items():
        members[name] = _refused(f"{base.__name__}.{name} is not captured: {reason}")
    for name in rules.unreviewed(base):
        members[name] = _refused(
            f"{base.__name__}.{name} is not known to this version of Vecferry, which cannot tell "
            f"whether it writes: call it on the original client if it does not"
        )
    return type(f"Captured{base.__name__}", (base,), members)


def directly(asked: Asked) -> Steps:
    """Call the original: for what it must do with itself, such as closing."""
    return (yield Ask(asked.method, asked.arguments))


async def _aenter(self: Any) -> Any:
    await self._vecferry.original.__aenter__()
    return self


def _captured_method(name: str, original: Callable[..., Any], flow: Flow) -> Callable[..., Any]:
    signature = inspect.signature(original)
    keywords = [one.name for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD]

    def asked(self: Any, given: tuple[Any, ...], more: Mapping[str, Any]) -> Asked:
        arguments = dict(signature.bind(self, *given, **more).arguments)
        arguments.pop(next(iter(signature.parameters)))
        for keyword in keywords:
            arguments |= arguments.pop(keyword, {})
        return Asked(self._vecferry.original, self._vecferry, name, arguments)

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def amethod(self: Any, *given: Any, **more: Any) -> Any:
            one = asked(self, given, more)
            return await run_async(flow(one), functools.partial(_call, one), self._vecferry.feed)

        return amethod

    @functools.wraps(original)
    def method(self: Any, *given: Any, **more: Any) -> Any:
        one = asked(self, given, more)
        return run(flow(one), functools.partial(_call, one))

    return method


def _call(asked: Asked, method: str, arguments: Mapping[str, Any]) -> Any:
    return getattr(asked.client, method)(**arguments)


def _refused(message: str) -> property:
    def refuse(self: Any) -> NoReturn:
        raise ConfigError(message)

    return property(refuse)
