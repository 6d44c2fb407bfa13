"""Every interleaving of a small world, driven through the real bookkeeping of the applier.

Two keys; the log grows by a change of either; a change's offset is its version.
A batch carries one or both keys, and each of its writes lands on its own, once,
at any later moment within T, or never. The group may take the partition away at
any moment. Each variant leaves out one rule, and must fail one of

- rest: with nothing left to do the database equals the fold of the log;
- order: no key shows an older state after a newer one, not even for a moment.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import pytest

from vecferry.consumers.progress import Batch, Progress, State
from vecferry.record import Event, EventKind
from vecferry.testing import ledgers

KEYS = (b"k", b"l")
EVENTS = {key: Event(EventKind.IMAGE, key) for key in KEYS}


@dataclass(frozen=True)
class World:
    """One moment. ``net`` holds what may still land: (applier, key, version)."""

    owner: int
    ledgers: tuple[Progress | None, ...]
    net: frozenset[tuple[int, bytes, int]] = frozenset()
    landed: frozenset[tuple[int, bytes, int]] = frozenset()
    shown: tuple[int, int] = (-1, -1)
    log: tuple[bytes, ...] = ()
    committed: int = 0
    clean: bool = True

    def identity(self) -> tuple[Any, ...]:
        books = tuple(_identity(ledger) for ledger in self.ledgers)
        return (
            self.owner,
            books,
            self.net,
            self.landed,
            self.shown,
            self.log,
            self.committed,
            self.clean,
        )


def _identity(ledger: Progress | None) -> tuple[Any, ...]:
    if ledger is None:
        return ()
    waiting = tuple((key, entry[:2]) for key, entry in ledger.waiting.items())
    batches = frozenset((_versions(batch), batch.low, batch.state) for batch in ledger.batches)
    extra = tuple(getattr(ledger, "later", ()))
    flags = (ledger.is_marked, ledger.has_waited, ledger.goal)
    return (ledger.base, ledger.position, flags, waiting, batches, extra)


def _versions(batch: Batch) -> tuple[tuple[bytes, int], ...]:
    return tuple((key, entry.offset) for key, entry in batch.entries.items())


def _clone(ledger: Progress) -> tuple[Progress, dict[Batch, Batch]]:
    new = object.__new__(type(ledger))
    new.__dict__.update(ledger.__dict__)
    twins = {batch: Batch(dict(batch.entries), batch.low, batch.state) for batch in ledger.batches}
    new.waiting = dict(ledger.waiting)
    new.busy = {key: twins[batch] for key, batch in ledger.busy.items() if batch in twins}
    new.batches = set(twins.values())
    if hasattr(ledger, "later"):
        new.later = list(ledger.later)  # type: ignore[attr-defined]
    return new, twins


@dataclass(frozen=True)
class Rules:
    """The real ledger, or one without a guard; and what the world around it enforces."""

    ledger: type[Progress] = Progress
    deadline: bool = True
    fence: bool = True
    bound: bool = True
    mark: bool = True

    @property
    def forgets(self) -> bool:
        """A lost applier that obeys is nothing but its requests."""
        return self.deadline and self.fence


class Explorer:
    def __init__(self, rules: Rules, appliers: int, changes: int, span: int) -> None:
        self.rules = rules
        self.appliers = appliers
        self.changes = changes
        self.span = span

    def start(self) -> World:
        first = self.rules.ledger(0, self.span, clean=True)
        return World(0, (first,) + (None,) * (self.appliers - 1))

    # --- steps ---

    def steps(self, w: World) -> list[tuple[str, World, bool]]:
        """Every (label, next world, fair); fair steps must eventually be taken."""
        found: list[tuple[str, World, bool]] = []
        if w.owner + 1 < self.appliers:
            found.append((f"{w.owner} lost", self._assign(w), False))
        for i, ledger in enumerate(w.ledgers):
            if ledger is not None:
                for label, then, fair in self._applier(w, i, ledger):
                    found.append((f"{i} {label}", then, fair and i == w.owner))
        for request in w.net:
            _, key, version = request
            shown = list(w.shown)
            shown[KEYS.index(key)] = version
            then = replace(
                w, net=w.net - {request}, landed=w.landed | {request}, shown=(shown[0], shown[1])
            )
            found.append((f"{request} lands", then, True))
        if len(w.log) < self.changes:
            # the first change is of k: the keys are alike
            keys = KEYS if w.log else KEYS[:1]
            found += [(f"log {key!r}", replace(w, log=(*w.log, key)), True) for key in keys]
        return found

    def _applier(self, w: World, i: int, ledger: Progress) -> list[tuple[str, World, bool]]:
        is_owner = i == w.owner
        found = self._answers(w, i, ledger)
        if is_owner:
            found += self._preparing(w, i, ledger)
        if ledger.may_send() and (is_owner or not self.rules.deadline):
            found += self._sends(w, i, ledger)
        if is_owner:
            for end in range(ledger.position + 1, min(len(w.log), ledger.limit()) + 1):
                new, _ = _clone(ledger)
                taken = [(v, EVENTS[w.log[v]], 1) for v in range(ledger.position, end)]
                new.take(end, taken)
                found.append((f"takes to {end}", self._put(w, i, new), True))
        if is_owner or not self.rules.fence:
            found += self._commits(w, i, ledger)
        return found

    def _preparing(self, w: World, i: int, ledger: Progress) -> list[tuple[str, World, bool]]:
        found = []
        if ledger.goal is None:
            new, _ = _clone(ledger)
            new.marked()
            new.reach(len(w.log))
            clean = w.clean and not self.rules.mark
            then = replace(self._put(w, i, new), committed=ledger.base, clean=clean)
            found.append(("commits unclean, asks for the end", then, True))
        elif not ledger.has_waited:
            new, _ = _clone(ledger)
            new.waited()
            then = self._expire(w, lambda request: request[0] < i)
            found.append(("waited T", self._put(then, i, new), True))
        return found

    def _answers(self, w: World, i: int, ledger: Progress) -> list[tuple[str, World, bool]]:
        found = []
        for batch in ledger.batches:
            sent = {(i, key, version) for key, version in _versions(batch)}
            if batch.state is State.FLYING:
                new, twins = _clone(ledger)
                new.unknown(twins[batch])
                found.append((f"times out {sent}", self._put(w, i, new), False))
                if sent <= w.landed:
                    new, twins = _clone(ledger)
                    new.acknowledged(twins[batch])
                    then = replace(self._put(w, i, new), landed=w.landed - sent)
                    found.append((f"has {sent} acknowledged", then, True))
            if batch.state is State.UNKNOWN:
                new, twins = _clone(ledger)
                new.settled(twins[batch])
                keys = set(batch.entries)
                then = self._expire(
                    w, lambda request, keys=keys: request[0] == i and request[1] in keys
                )
                then = replace(then, landed=then.landed - sent)
                found.append((f"waited T for {sent}", self._put(then, i, new), True))
        return found

    def _sends(self, w: World, i: int, ledger: Progress) -> list[tuple[str, World, bool]]:
        found = []
        free = ledger.choose(2, 100)
        for keys in ([[key] for key in free] + [free] if len(free) > 1 else [free]) if free else []:
            new, _ = _clone(ledger)
            found.append(self._sent(w, i, new, new.launch(keys)))
        for batch in ledger.batches:
            if batch.state is State.READY:
                new, twins = _clone(ledger)
                new.relaunch(twins[batch])
                found.append(self._sent(w, i, new, twins[batch]))
        return found

    def _sent(self, w: World, i: int, new: Progress, batch: Batch) -> tuple[str, World, bool]:
        sent = {(i, key, version) for key, version in _versions(batch)}
        then = replace(self._put(w, i, new), net=w.net | sent, landed=w.landed - sent)
        return f"sends {sent}", then, True

    def _commits(self, w: World, i: int, ledger: Progress) -> list[tuple[str, World, bool]]:
        found = []
        offset = ledger.committable()
        if ledger.is_marked and offset > ledger.base:
            new, _ = _clone(ledger)
            new.committed(offset)
            then = replace(self._put(w, i, new), committed=offset, clean=False)
            found.append((f"commits {offset}", then, True))
        # it waits for what is in flight, but not for ever
        if ledger.is_marked and i + 1 < self.appliers:
            clean = ledger.leaves_clean()
            left = replace(w, committed=offset, clean=clean)
            left = self._put(left, i, None)
            then = self._assign(left) if i == w.owner else left
            found.append((f"leaves at {offset} {clean=}", then, False))
        return found

    def follow(self, *labels: str) -> World | None:
        """Take the steps whose labels begin so; None where there is no such step."""
        w: World | None = self.start()
        for label in labels:
            assert w is not None, label
            w = next((then for name, then, _ in self.steps(w) if name.startswith(label)), None)
            if w is None:
                return None
        return w

    def _put(self, w: World, i: int, ledger: Progress | None) -> World:
        return replace(w, ledgers=(*w.ledgers[:i], ledger, *w.ledgers[i + 1 :]))

    def _expire(self, w: World, gone: Any) -> World:
        if not self.rules.bound:
            return w
        return replace(w, net=frozenset(request for request in w.net if not gone(request)))

    def _assign(self, w: World) -> World:
        if self.rules.forgets:
            w = self._put(w, w.owner, None)
            w = replace(w, landed=frozenset())
        new = self.rules.ledger(w.committed, self.span, clean=w.clean)
        return replace(self._put(w, w.owner + 1, new), owner=w.owner + 1)

    # --- properties ---

    def failure(self, look: str) -> list[str] | None:
        """Return the way to the first failure of ``look``, or None."""
        start = self.start()
        seen: dict[Any, tuple[str, Any] | None] = {start.identity(): None}
        queue = deque([start])
        while queue:
            w = queue.pop()
            name = w.identity()
            following = self.steps(w)
            why = None
            if "rest" in look and not any(fair for _, _, fair in following):
                why = self._at_rest(w)
            for label, then, _ in following:
                if "order" in look and any(n < o for n, o in zip(then.shown, w.shown, strict=True)):
                    why = f"{label}: back from {w.shown} to {then.shown}"
                key = then.identity()
                if key not in seen:
                    seen[key] = (label, name)
                    queue.append(then)
            if why is not None:
                return [*_way(seen, name), why]
        assert len(seen) > 100
        return None

    def _at_rest(self, w: World) -> str | None:
        fold = [max((v for v, of in enumerate(w.log) if of == key), default=-1) for key in KEYS]
        ledger = w.ledgers[w.owner]
        assert ledger is not None
        if list(w.shown) != fold or ledger.base < self.changes:
            return f"at rest {w.shown} is not {fold}, committed {ledger.base}"
        return None


def _way(seen: dict[Any, tuple[str, Any] | None], name: Any) -> list[str]:
    way = []
    while (step := seen[name]) is not None:
        label, name = step
        way.append(label)
    return way[::-1]


@pytest.mark.parametrize("world", [(2, 3, 2), (3, 2, 2), (2, 3, 1)])
def test_the_whole_protocol_comes_to_rest_at_the_fold_and_never_shows_an_older_state(
    world: tuple[int, int, int],
) -> None:
    assert Explorer(Rules(), *world).failure("rest order") is None


def test_repeating_an_older_state_of_the_span_also_converges() -> None:
    rules = Rules(ledgers.WithoutNewestInRepeats)
    assert Explorer(rules, 2, 2, 2).failure("rest order") is None


def _name(rules: Rules) -> str:
    missing = [name for name in ("deadline", "fence", "bound", "mark") if not getattr(rules, name)]
    return missing[0] if missing else rules.ledger.__name__


@pytest.mark.parametrize(
    ("look", "world", "rules"),
    [
        ("rest", (2, 2, 2), Rules(ledgers.WithoutAck)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutCovered)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutOne)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutSettle)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutHold)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutWait)),
        ("rest", (2, 2, 2), Rules(mark=False)),
        ("rest", (2, 2, 2), Rules(ledgers.WithoutQuiet)),
        ("rest", (2, 2, 2), Rules(bound=False)),
        ("rest", (3, 2, 2), Rules(ledgers.WithoutWaited)),
        ("order", (2, 2, 2), Rules(ledgers.WithoutNewest)),
        ("order", (2, 2, 2), Rules(ledgers.WithoutWait)),
        ("order", (2, 2, 2), Rules(ledgers.WithoutCover)),
        ("order", (2, 3, 2), Rules(ledgers.WithoutSpan)),
    ],
    ids=lambda value: _name(value) if isinstance(value, Rules) else None,
)
def test_without_one_rule_it_fails(look: str, world: tuple[int, int, int], rules: Rules) -> None:
    way = Explorer(rules, *world).failure(look)
    assert way is not None


def test_without_the_deadline_a_zombie_sends_after_its_successor() -> None:
    way = (
        *("0 commits unclean", "log b'k'", "0 takes to 1", "0 lost", "log b'k'"),
        *("1 commits unclean", "1 waited T", "1 takes to 2", "0 sends", "1 sends {(1, b'k', 1)}"),
        *("(1, b'k', 1) lands", "1 has {(1, b'k', 1)} acknowledged", "1 commits 2"),
        "(0, b'k', 0) lands",
    )
    end = Explorer(Rules(deadline=False), 2, 2, 2).follow(*way)
    assert end is not None
    assert end.shown == (0, -1)  # for good: the log's last state is 1
    before = way[: way.index("0 sends")]
    obeying = Explorer(Rules(), 2, 2, 2)
    assert obeying.follow(*before) is not None
    assert obeying.follow(*before, "0 sends") is None


def test_without_the_fence_a_zombie_hides_what_its_successor_left_in_flight() -> None:
    way = (
        *("0 commits unclean", "0 lost", "log b'k'", "1 commits unclean", "1 waited T"),
        *("1 takes to 1", "1 sends {(1, b'k', 0)}", "0 leaves at 0 clean=True", "1 lost"),
        *("log b'k'", "2 commits unclean", "2 takes to 2", "2 sends {(2, b'k', 1)}"),
        *("(2, b'k', 1) lands", "2 has {(2, b'k', 1)} acknowledged", "2 commits 2"),
        "(1, b'k', 0) lands",
    )
    end = Explorer(Rules(fence=False), 3, 2, 2).follow(*way)
    assert end is not None
    assert end.shown == (0, -1)
    before = way[: way.index("0 leaves at 0 clean=True")]
    obeying = Explorer(Rules(), 3, 2, 2)
    assert obeying.follow(*before) is not None
    assert obeying.follow(*before, "0 leaves") is None
