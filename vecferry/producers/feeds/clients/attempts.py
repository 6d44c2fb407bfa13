"""How often a Milvus client really sent a request: it tries again without telling.

A try that broke may land after the one that was answered, so a write of two
tries has an unknown outcome; one of none changed nothing.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_COUNTED = ("Insert", "Upsert", "Delete")
_STUBS = ("_stub", "_async_stub")


class Attempts:
    """The tries of one call.

    Attributes:
        number: How many there were.
    """

    def __init__(self) -> None:
        """Start at none."""
        self.number = 0


_CURRENT: ContextVar[Attempts | None] = ContextVar("attempts", default=None)


@contextlib.contextmanager
def counted(handler: Any) -> Iterator[Attempts | None]:
    """Count the tries of what is sent inside; None where this client's parts are not known.

    Args:
        handler: The client's connection; what counts stays in its place.
    """
    known = False
    for name in _STUBS:
        stub = getattr(handler, name, None)
        if stub is not None:
            known = True
            if not isinstance(stub, _Counting):
                setattr(handler, name, _Counting(stub))
    attempts = Attempts()
    token = _CURRENT.set(attempts)
    try:
        yield attempts if known else None
    finally:
        _CURRENT.reset(token)


class _Counting:
    """A stub that counts its calls for whoever is counting, and else is what it holds."""

    def __init__(self, stub: Any) -> None:
        self._vecferry_stub = stub

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._vecferry_stub, name)
        if name in _COUNTED and _CURRENT.get() is not None:
            return _CountingCall(found)
        return found


class _CountingCall:
    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self, *given: Any, **more: Any) -> Any:
        _count()
        return self._call(*given, **more)

    def future(self, *given: Any, **more: Any) -> Any:
        _count()
        return self._call.future(*given, **more)


def _count() -> None:
    attempts = _CURRENT.get()
    if attempts is not None:
        attempts.number += 1
