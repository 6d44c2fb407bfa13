"""One write of the application, from its INTENT to its end.

The order is the argument:

1. INTENT, acknowledged: from here on nothing that happens to this process can
   hide the write, because the INTENT is swept if nobody ends it.
2. ``fresh()``, right before the request is sent: the sweep comes
   ``intent_max_s + request_max_s`` after the INTENT, and the request must be over by then.
3. The request.
4. ``done()`` when its outcome is known, or ``unknown()`` when it is not: then
   the INTENT stays open until it is swept.
"""

import time
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from vecferry.model import Id
from vecferry.producers.feeds.debts import Debts
from vecferry.producers.feeds.options import Options
from vecferry.producers.feeds.session import LogUnavailable, Session
from vecferry.record import Hint, HintKind

_PAGE_KEYS = 10_000
_MARGIN_S = 5.0  # between our clock's idea of a sweep and the worker's

Ids = Iterable[tuple[str, Id]]
"""Ids with their namespaces: ``("", 7)``."""


class Desk(NamedTuple):
    """What a write works with.

    Attributes:
        session: Writes its hints.
        options: How long things may take.
        debts: Of the process.
    """

    session: Session
    options: Options
    debts: Debts


class OpenWrite:
    """A write that was begun. This one needs nothing: its collection does not move.

    A write ends once; whatever is called after that does nothing.

    Attributes:
        tracked: Whether the log knows of it.
    """

    tracked = False

    def fresh(self) -> None:
        """Make sure, right before the request is sent, that what announced it is young.

        Raises:
            LogUnavailable: It is not, and could not be announced again: do not
                send. The write has ended.
        """

    def found(self, ids: Ids) -> None:
        """Add what a filter found; acknowledged when it returns.

        Raises:
            LogUnavailable: It is not on record: do not send.
        """

    def done(self, *, ids: Ids | None = None, position: str = "") -> None:
        """End it: its outcome is known, a success or a definite refusal. Not waited for.

        Args:
            ids: Keys that only the reply told.
            position: What the source says to read after.
        """

    def refused(self) -> None:
        """End it: the source has definitely changed nothing."""
        self.done()

    def unknown(self) -> None:
        """Leave it open: it may have landed, or may land yet."""


class UntoldWrite(OpenWrite):
    """A write that goes out while the log is away: its collection is read again afterwards."""

    def __init__(self, desk: Desk, collection: str) -> None:
        """Count it as out."""
        self._desk, self._collection = desk, collection
        self._is_over = False
        desk.debts.sent()

    def done(self, *, ids: Ids | None = None, position: str = "") -> None:
        """Owe a rescan from now on."""
        self._end(0.0)

    def unknown(self) -> None:
        """Owe a rescan that begins when the write can no longer land."""
        self._end(self._desk.options.request_max_s)

    def _end(self, delay_s: float) -> None:
        if not self._is_over:
            self._is_over = True
            self._desk.debts.over(self._collection, delay_s)


class ToldWrite(OpenWrite):
    """What the writes that the log knows of have in common."""

    tracked = True

    def __init__(self, desk: Desk, collection: str, verb: str) -> None:
        """Announce nothing yet: :meth:`announce` does."""
        self._desk, self._session = desk, desk.session
        self._collection, self._verb = collection, verb
        self._announced_at: float | None = None
        self._untold: UntoldWrite | None = None
        self._is_over = False
        self._session.count(1)

    def announce(self) -> None:
        """Write what announces the write, acknowledged: at first, and again when it has aged.

        Raises:
            LogUnavailable: It is not on record. The write has ended.
        """
        at = time.monotonic()
        try:
            self._session.require_log()
        except LogUnavailable:
            if self._announced_at is None:
                self._over()  # nothing was written, so nothing needs an end
            else:
                self.refused()
            raise
        try:
            self._announce()
        except BaseException:
            self.refused()  # what may be written yet must not wait for its sweep
            raise
        self._announced_at = at

    def fresh(self) -> None:
        """See :meth:`OpenWrite.fresh`; with ``on_log_down = "rescan"`` it goes out untold instead."""
        if self._untold is not None:
            return
        try:
            self._session.require_log()
            at = self._announced_at
            if at is None or time.monotonic() - at > self._desk.options.intent_max_s:
                self.announce()
        except LogUnavailable:
            self._fail()

    def unknown(self) -> None:
        """See :meth:`OpenWrite.unknown`."""
        self._over()
        if self._untold is not None:
            self._untold.unknown()

    def _fail(self) -> None:
        """End what was told; raise again what is being handled, or go on untold."""
        self.refused()
        if not self._session.lets_through:
            raise
        self._untold = UntoldWrite(self._desk, self._collection)

    def _announce(self) -> None:
        raise NotImplementedError

    def _over(self) -> bool:
        """Tell whether this call is the one that ends it."""
        if self._is_over:
            return False
        self._is_over = True
        self._session.count(-1)
        return True

    def _keys(self, ids: Ids) -> tuple[bytes, ...]:
        return tuple(self._session.key(self._collection, space, one) for space, one in ids)


class KeyedWrite(ToldWrite):
    """A write whose keys are known before it is sent."""

    def __init__(self, desk: Desk, collection: str, verb: str, ids: Ids) -> None:
        """Take its keys; none may be missing.

        Raises:
            RecordError: No point of the collection can have one of the ids.
        """
        # before it counts as under way: an id that is none ends it here
        keys = tuple(desk.session.key(collection, space, one) for space, one in ids)
        super().__init__(desk, collection, verb)
        self._intent = Hint(HintKind.INTENT, self._session.request(), keys, verb)

    def done(self, *, ids: Ids | None = None, position: str = "") -> None:
        """See :meth:`OpenWrite.done`."""
        if self._over():
            keys = (*self._intent.keys, *self._keys(ids or ()))
            hint = self._intent._replace(kind=HintKind.DONE, keys=keys, position=position)
            self._session.end(hint)
        if self._untold is not None:
            self._untold.done()

    def _announce(self) -> None:
        self._session.write(self._intent)


class FilterWrite(ToldWrite):
    """A write whose keys are not known before it is sent: a filter finds them, or the reply tells.

    Announced in every partition. What any feed hints while it is open is read
    again at its end, because another process can slip a point in between the
    resolving and the writing. So when its announcement has aged before it is
    sent (a filter that finds a lot takes a while), a second one is opened and
    the first stays open too. One that ends too late to be sure of that is left
    to the sweep, which makes it a rescan.
    """

    def __init__(self, desk: Desk, collection: str, verb: str) -> None:
        """Announce nothing yet."""
        super().__init__(desk, collection, verb)
        self._requests: list[str] = []
        self._began_at = time.monotonic()

    def found(self, ids: Ids) -> None:
        """See :meth:`OpenWrite.found`."""
        keys = iter(self._keys(ids))
        while page := tuple(islice(keys, _PAGE_KEYS)):
            try:
                self._session.write(Hint(HintKind.FILTER_KEYS, self._requests[0], page, self._verb))
            except BaseException:
                self.refused()
                raise

    def done(self, *, ids: Ids | None = None, position: str = "") -> None:
        """See :meth:`OpenWrite.done`."""
        if self._over() and self._is_certain():
            self._end(self._keys(ids or ()), position)
        if self._untold is not None:
            self._untold.done()

    def refused(self) -> None:
        """See :meth:`OpenWrite.refused`."""
        if self._over():
            self._end((), "")
        if self._untold is not None:
            self._untold.done()

    def _is_certain(self) -> bool:
        open_s = time.monotonic() - self._began_at
        options = self._desk.options
        return open_s < max(options.request_max_s, options.patience_s - _MARGIN_S)

    def _announce(self) -> None:
        request = self._session.request()
        self._requests.append(request)  # also if it fails: it may be written yet
        hint = Hint(HintKind.FILTER_INTENT, request, (), self._verb, scope=self._collection)
        self._session.write(hint)

    def _end(self, keys: tuple[bytes, ...], position: str) -> None:
        for request in self._requests:
            self._session.end(Hint(HintKind.FILTER_DONE, request, keys, self._verb, position))


class WholeWrite(FilterWrite):
    """A write that may change anything in its collection: it becomes a rescan.

    It is announced before it is sent, and the rescan is on record before it
    counts as done: whenever the process dies, a rescan comes after the write.
    """

    def __init__(self, desk: Desk, collection: str, reason: str) -> None:
        """Announce nothing yet; ``reason`` is for people."""
        super().__init__(desk, collection, "unknown")
        self._reason = reason

    def done(self, *, ids: Ids | None = None, position: str = "") -> None:
        """Put the rescan on record, which is waited for; where the log is away it is owed."""
        if self._over():
            try:
                self._session.rescan(self._collection, self._reason)
            except LogUnavailable:
                # what announced it stays open too, and its sweep is a rescan
                self._desk.debts.owe(self._collection)
            else:
                self._end((), "")
        if self._untold is not None:
            self._untold.done()
