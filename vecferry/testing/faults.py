"""Scripted faults around any store: what a network and a database do on a bad day.

A test says what happens to which request, in order, and then looks at the
requests that were made. Nothing here is random unless a seed is given.
"""

import random
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from vecferry.errors import RecordError, TransientError, UnknownOutcome, VecferryError
from vecferry.model import Collection, Key, Point, Vector
from vecferry.ports import Bounds, Failure, Hit, Ref, Store, Write


class Fate(Enum):
    """What becomes of a request that meets a fault."""

    REFUSED = "refused before anything happened: TransientError"
    LANDED = "landed, but the answer was lost: UnknownOutcome"
    LATE = "on its way until land_late(): UnknownOutcome now"
    NEVER = "lost on its way: UnknownOutcome, and it never lands"
    PARTLY = "its first half landed, the rest was refused: TransientError"
    PARTLY_UNKNOWN = "its first half landed, and nobody knows: UnknownOutcome"
    RAISES = "the fault's own error, before anything happened"


@dataclass(frozen=True)
class Fault:
    """One request's fault.

    Attributes:
        fate: What becomes of the request. A read or a scan can only be refused
            or raise; every other fate is REFUSED there.
        times: How many requests meet it, one after the other.
        retry_after_s: What the database asked for, on a TransientError.
        error: What RAISES raises.
    """

    fate: Fate
    times: int = 1
    retry_after_s: float | None = None
    error: VecferryError | None = None


class Call(NamedTuple):
    """One request that reached the store: its operation and its keys, in order."""

    operation: str
    keys: tuple[Key, ...]
    fate: Fate | None


class FaultyStore:
    """A store whose requests meet faults; without any it is the store inside.

    Every method may be called from any thread.

    Attributes:
        down: While true, every request is refused.
        gate: Cleared, it holds every write before it reaches the database until
            it is set again: latency without a clock.
        poison: Keys that the database refuses to write.
        poison_is_named: Whether a refusal names the key (a Failure), or the
            whole request fails with RecordError and has to be bisected.
        latency_s: What each request of writing waits before it is answered.
        calls: Every request so far, in the order in which they came.
        overlaps: How often a key was written while another write of it was out.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.capabilities = store.capabilities
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.poison: set[Key] = set()
        self.poison_is_named = True
        self.latency_s = 0.0
        self.calls: list[Call] = []
        self.overlaps = 0
        self._scripts: dict[str, deque[Fault]] = {}
        self._chance: tuple[Fault, float, random.Random] | None = None
        self._late: list[tuple[Ref, list[Write]]] = []
        self._out: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def script(self, *faults: Fault | None, on: str = "write") -> None:
        """Append faults for the next requests of an operation (write, read, scan or search).

        None lets one request through.
        """
        queue = self._scripts.setdefault(on, deque())
        for fault in faults:
            queue.extend([fault or _PASS] * (fault.times if fault else 1))

    def sometimes(self, fault: Fault, probability: float, seed: int) -> None:
        """Let each write that no script names meet ``fault`` with that probability."""
        self._chance = (fault, probability, random.Random(seed))

    def heal(self) -> None:
        """No more faults; what is on its way stays there, poison stays poison."""
        with self._lock:
            self._scripts.clear()
            self._chance = None
        self.down = False
        self.gate.set()

    def land_late(self) -> int:
        """Let every request that is on its way land now, oldest first; return their number."""
        with self._lock:
            late, self._late = self._late, []
        for ref, writes in late:
            self.store.write(ref, writes)
        return len(late)

    def forget_late(self) -> int:
        """Let no request that is on its way land, as when its time is over; return their number."""
        with self._lock:
            late, self._late = self._late, []
        return len(late)

    def writes_of(self, key: Key) -> int:
        """Return how many requests so far carried a write of ``key``."""
        with self._lock:
            return sum(key in call.keys for call in self.calls if call.operation == "write")

    # --- the Store protocol ---

    def version(self) -> str:
        """See the port."""
        self._meet("version", ())
        return self.store.version()

    def collections(self) -> list[str]:
        """See the port."""
        self._meet("collections", ())
        return self.store.collections()

    def describe(self, name: str) -> Collection:
        """See the port."""
        self._meet("describe", ())
        return self.store.describe(name)

    def create(self, collection: Collection) -> None:
        """See the port."""
        self._meet("create", ())
        self.store.create(collection)

    def drop(self, name: str) -> None:
        """See the port."""
        self._meet("drop", ())
        self.store.drop(name)

    def count(self, name: str) -> int:
        """See the port."""
        self._meet("count", ())
        return self.store.count(name)

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """See the port."""
        self._meet("plan_chunks", ())
        return self.store.plan_chunks(name, points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """See the port; a scripted fault comes before a page, the first included."""
        for page in self.store.scan(ref, bounds, after=after):
            self._meet("scan", ())
            yield page

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """See the port."""
        self._meet("read", keys)
        return self.store.read(ref, keys, position)

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """See the port."""
        self._meet("search", ())
        return self.store.search(ref, vector, queries, k, exact=exact)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """See the port."""
        keys = tuple(write.key for write in writes)
        with self._in_flight(keys):
            fault = self._next_fault("write", keys)
            self.gate.wait()
            if self.latency_s:
                self._closed.wait(self.latency_s)
            if fault is None:
                return self._land(ref, writes)
            self._suffer(ref, list(writes), fault)
            raise _error(fault, f"write of {len(writes)} points")

    def close(self) -> None:
        """See the port."""
        self._closed.set()
        self.store.close()

    # --- how a request meets its fault ---

    def _suffer(self, ref: Ref, writes: list[Write], fault: Fault) -> None:
        """Do to the database what the fault leaves of the request."""
        match fault.fate:
            case Fate.LANDED:
                self._land(ref, writes)
            case Fate.LATE:
                with self._lock:
                    self._late.append((ref, writes))
            case Fate.PARTLY | Fate.PARTLY_UNKNOWN:
                self._land(ref, writes[: len(writes) // 2])
            case _:
                return

    def _land(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        bad = [write.key for write in writes if write.key in self.poison and write.image]
        if bad and not self.poison_is_named:
            raise RecordError(f"a record among {len(writes)} cannot be written")
        good = [write for write in writes if write.key not in bad]
        refused = [Failure(key, "it is poison") for key in bad]
        return refused + (self.store.write(ref, good) if good else [])

    def _meet(self, operation: str, keys: Iterable[Key]) -> None:
        fault = self._next_fault(operation, tuple(keys))
        if fault is not None:
            raised = fault if fault.fate is Fate.RAISES else _refusal(fault.retry_after_s)
            raise _error(raised, operation)

    def _next_fault(self, operation: str, keys: tuple[Key, ...]) -> Fault | None:
        with self._lock:
            fault = self._choose(operation)
            self.calls.append(Call(operation, keys, fault.fate if fault else None))
            return fault

    def _choose(self, operation: str) -> Fault | None:
        if self.down:
            return _refusal(None)
        queue = self._scripts.get(operation)
        if queue:
            fault = queue.popleft()
            return None if fault is _PASS else fault
        if operation == "write" and self._chance is not None:
            fault, probability, dice = self._chance
            return fault if dice.random() < probability else None
        return None

    @contextmanager
    def _in_flight(self, keys: tuple[Key, ...]) -> Iterator[None]:
        with self._lock:
            self.overlaps += sum(self._out[key] > 0 for key in keys)
            self._out.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._out.subtract(keys)


_PASS = Fault(Fate.REFUSED)


def _refusal(retry_after_s: float | None) -> Fault:
    return Fault(Fate.REFUSED, retry_after_s=retry_after_s)


def _error(fault: Fault, what: str) -> VecferryError:
    match fault.fate:
        case Fate.RAISES:
            return fault.error or RecordError(f"{what} was told to fail")
        case Fate.LANDED | Fate.LATE | Fate.NEVER | Fate.PARTLY_UNKNOWN:
            return UnknownOutcome(f"no answer to a {what}", retry_after_s=fault.retry_after_s)
        case _:
            return TransientError(f"{what} was refused", retry_after_s=fault.retry_after_s)
