"""The writes that were begun and not ended: a bounded number, each for a bounded time."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from vecferry.errors import TransientError
from vecferry.producers.feeds.writes import OpenWrite


class FullError(TransientError):
    """Too much is open: begin again when something has ended."""


@dataclass(slots=True)
class Ticket:
    """A write that was begun.

    Attributes:
        collection: What it writes to.
        write: What the feed knows of it.
        ids: How many it holds.
        expires_at: When its INTENT is swept, and nothing is left to end.
    """

    collection: str
    write: OpenWrite
    ids: int
    expires_at: float


class Tickets:
    """What is open. Used by one thread, the event loop's."""

    def __init__(
        self,
        patience_s: float,
        *,
        tickets_max: int = 10_000,
        ids_max: int = 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing.

        Args:
            patience_s: How long a ticket is good for.
            tickets_max: So many at a time.
            ids_max: All tickets hold so many ids at a time.
            clock: Seconds that only grow.
        """
        self._patience_s, self._clock = patience_s, clock
        self._tickets_max, self._ids_max = tickets_max, ids_max
        self._open: dict[str, Ticket] = {}  # in the order in which they expire
        self._ids = 0
        self._reserved = 0

    def __len__(self) -> int:
        return len(self._open)

    def reserve(self, ids: int) -> None:
        """Take room for one more ticket; :meth:`open` or :meth:`release` ends that.

        Before the INTENT is written: one that finds no room afterwards is a
        write that nobody can end.

        Raises:
            FullError: There is none.
        """
        self.expire()
        if len(self._open) + self._reserved >= self._tickets_max:
            raise FullError(f"{self._tickets_max} writes are open", retry_after_s=1.0)
        if self._ids + ids > self._ids_max:
            raise FullError(f"the open writes hold {self._ids} ids", retry_after_s=1.0)
        self._reserved += 1
        self._ids += ids

    def release(self, ids: int) -> None:
        """Give back what was reserved."""
        self._reserved -= 1
        self._ids -= ids

    def open(self, collection: str, write: OpenWrite, ids: int) -> str:
        """Put a write in the room that was reserved; return its ticket."""
        self._reserved -= 1
        name = uuid.uuid4().hex
        self._open[name] = Ticket(collection, write, ids, self._clock() + self._patience_s)
        return name

    def find(self, name: str) -> Ticket | None:
        """Return an open ticket."""
        self.expire()
        return self._open.get(name)

    def renew(self, name: str) -> None:
        """Let it expire as late as one that is opened now."""
        ticket = self._open.pop(name, None)
        if ticket is not None:
            ticket.expires_at = self._clock() + self._patience_s
            self._open[name] = ticket

    def take(self, name: str) -> Ticket | None:
        """Take a ticket out, to end its write."""
        self.expire()
        ticket = self._open.pop(name, None)
        if ticket is not None:
            self._ids -= ticket.ids
        return ticket

    def expire(self) -> int:
        """Let go of tickets whose time is over; their INTENTs are swept. Return how many."""
        now, expired = self._clock(), 0
        while self._open:
            name, ticket = next(iter(self._open.items()))
            if ticket.expires_at > now:
                break
            self._drop(name)
            expired += 1
        return expired

    def abandon(self) -> None:
        """Let go of every ticket: whoever holds one can no longer end it."""
        for name in list(self._open):
            self._drop(name)

    def _drop(self, name: str) -> None:
        ticket = self._open.pop(name)
        self._ids -= ticket.ids
        ticket.write.unknown()
