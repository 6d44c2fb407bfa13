"""Moves live vector collections between databases without stopping their application."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecferry.producers.feeds import Feed as Feed
    from vecferry.producers.feeds import register as register
    from vecferry.producers.feeds.clients import captured as captured

__version__ = "0.1.0"

_LAZY = {
    "Feed": "vecferry.producers.feeds",
    "captured": "vecferry.producers.feeds.clients",
    "register": "vecferry.producers.feeds",
}


def __getattr__(name: str) -> Any:
    # importing the package must not import Kafka's client, nor any vendor's
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
