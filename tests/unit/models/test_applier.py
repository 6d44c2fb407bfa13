"""Every interleaving of appliers, on one partition and a database without conditional writes.

Two keys; the log grows by a change of either; a change's offset is its version.
A request carries one key (so a batch may land in part) and lands once, at any
later moment within T, or never. "T passed" is an event: nothing sent before
that wait began can land after it. The group may take the partition from an
applier at any moment: dead, or a zombie that wakes. Its deadline, counted from
its last successful poll, lies before its successor's assignment; check and send
are one step here, so T must also cover the time from the check to the wire. A
commit is one step, its reply included.

Two properties. ``rest``: with nothing left to do the database equals the fold
of the log. ``order``: no key shows an older state after a newer one, not even
for a moment. Each variant that leaves out one rule must fail.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pytest

from vecferry.fold import Fold, coalesce
from vecferry.model import Image
from vecferry.record import Event, EventKind

SENT, LANDED, UNKNOWN = range(3)


class Rules(NamedTuple):
    """The rules of an applier, numbered as its steps are."""

    ack: bool = True  # (1) commit only what the database acknowledged
    covered: bool = True  # (1) commit no further than that: the intake's position is ahead
    one: bool = True  # (2) one write in flight per key
    settle: bool = True  # (2) a write with unknown outcome is repeated only after T
    hold: bool = True  # (2) the commit stays before it until the repeat is acknowledged
    newest: bool = True  # (2) a write carries the key's newest state in hand
    deadline: bool = True  # (3) send nothing after the deadline of the last successful poll
    fence: bool = True  # (3) the broker refuses the commit of a lost applier
    wait: bool = True  # (4) after an unclean commit T passes before the first write
    tap: bool = True  # (4, without wait) write at once, and the same keys again after T
    tap_hold: bool = True  # (4, without wait) commit nothing before that
    mark: bool = True  # (4) commit `unclean` before the first write
    quiet: bool = True  # (4) leave `clean` only with nothing in flight
    waited: bool = True  # (4) nor while still waiting for a predecessor's requests
    span: bool = True  # (5) send nothing at or beyond the last commit + span
    cover: bool = True  # (5) after an unclean commit the first batch reaches there, or the end
    always: bool = True  # (5) after a clean commit too
    bound: bool = True  # (premise) a request lands within T or never
    forget: bool = True  # (no rule) a lost applier that obeys 3 is nothing but its requests


class World(NamedTuple):
    phase: tuple[str, ...]  # per applier: "" not yet, or gone; mark, wait, cover, run
    base: tuple[int, ...]  # ... its last commit
    pos: tuple[int, ...]  # ... its intake: its batches reach from base to pos
    done: tuple[tuple[int, int], ...]  # ... per key: the newest version acknowledged since base
    out: tuple[tuple[Any, Any], ...]  # ... per key: (version, fate) of the write in flight
    database: tuple[int, int] = (-1, -1)  # per key: the version that the database shows
    net: frozenset[tuple[int, int, int, int]] = frozenset()
    # may still land: (applier, key, version, owner when sent)
    log: tuple[int, ...] = ()  # the key of each change
    committed: int = 0
    clean: bool = True  # the commit's metadata; no commit at all is clean
    owner: int = 0
    tap: bool = False  # the owner did not wait and must write its keys again


Step = tuple[World, bool]
"""A next world, and whether the step is fair: fair steps must eventually be taken."""


def put(items: tuple, i: int, value: Any) -> tuple:
    return (*items[:i], value, *items[i + 1 :])


def mine(s: World, i: int, **changes: Any) -> World:
    return s._replace(**{name: put(getattr(s, name), i, value) for name, value in changes.items()})


@lru_cache(None)
def folded(log: tuple[int, ...]) -> tuple[int, int]:
    """The version of each key after all changes, as the real fold has it; -1 for none."""
    fold = Fold(1_000)
    fold.take(0, Event(EventKind.EPOCH, term=0))
    events = [Event(EventKind.IMAGE, b"%d" % key, Image({}), term=0) for key in log]
    taken = [(at, fold.take(at + 1, event)) for at, event in enumerate(events)]
    newest = coalesce((at, event) for at, event in taken if event)
    return tuple(newest.get(b"%d" % key, (-1, None))[0] for key in range(2))


class Explorer:
    """A world of so many appliers, changes and offsets of span, under some rules."""

    def __init__(self, world: tuple[int, int, int], rules: Rules) -> None:
        self.appliers, self.changes, self.span = world
        self.rules = rules

    def explore(self, look: str, *, until_bad: bool) -> tuple[int, str]:
        """Return how many runs came to rest, and what went wrong, "" for nothing."""
        later = ("",) * (self.appliers - 1)
        start = World(("mark", *later), *(self.each(v) for v in (0, 0, (-1, -1), (None, None))))
        seen, queue, ends, bad = {start}, deque([start]), 0, ""
        while queue and not (bad and until_bad):
            s = queue.pop()
            following = list(self.steps(s))
            if not any(fair for _, fair in following):
                ends += 1
                unequal = s.database != folded(s.log) or s.base[s.owner] < self.changes
                if "rest" in look and unequal:
                    bad = f"at rest {s.database} is not {folded(s.log)}"
            for other, _ in following:
                back = any(a < b for a, b in zip(other.database, s.database, strict=True))
                if "order" in look and back:
                    bad = f"back from {s.database} to {other.database}"
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return ends, bad

    def each(self, value: Any) -> tuple:
        return (value,) * self.appliers

    def steps(self, s: World) -> Iterator[Step]:
        if s.owner + 1 < self.appliers:
            yield self.assign(s), False
        for i in range(s.owner + 1):
            if s.phase[i]:
                for other, fair in self.applier(s, i):
                    yield other, fair and i == s.owner
        for request in s.net:
            i, key, version, _ = request
            landed = s._replace(net=s.net - {request}, database=put(s.database, key, version))
            if s.out[i][key] == (version, SENT):
                landed = mine(landed, i, out=put(s.out[i], key, (version, LANDED)))
            yield landed, True
        if len(s.log) < self.changes:
            for key in range(2):
                yield s._replace(log=(*s.log, key)), True

    def applier(self, s: World, i: int) -> Iterator[Step]:
        """What applier i, the owner or a zombie, can do next."""
        for key in range(2):
            yield from self.answers(s, i, key)
            yield from self.sends(s, i, key)
        yield from self.begins(s, i)
        yield from self.takes(s, i)
        if (i == s.owner or not self.rules.fence) and not (s.tap and self.rules.tap_hold):
            yield from self.commits(s, i)

    def answers(self, s: World, i: int, key: int) -> Iterator[Step]:
        out = s.out[i]
        if not out[key]:
            return
        version, fate = out[key]
        if fate != UNKNOWN:  # the reply is lost or late; the request may still land
            then = (version, UNKNOWN) if self.rules.settle else None
            yield mine(s, i, out=put(out, key, then)), False
        if fate == LANDED:
            acknowledged = put(s.done[i], key, version)
            yield mine(s, i, done=acknowledged, out=put(out, key, None)), True
        if fate == UNKNOWN:
            over = self.t_passed(s, lambda request: request[:2] == (i, key))
            yield mine(over, i, out=put(out, key, None)), True

    def sends(self, s: World, i: int, key: int) -> Iterator[Step]:
        if s.phase[i] != "run" or (i != s.owner and self.rules.deadline):
            return
        span = range(s.base[i], s.pos[i])
        todo = [v for v in span if s.log[v] == key and v > s.done[i][key]]
        if not todo:
            return
        version, out = todo[-1 if self.rules.newest else 0], s.out[i]
        if not out[key] or (version > out[key][0] and not self.rules.one):
            sent = s._replace(net=s.net | {(i, key, version, s.owner)})
            yield mine(sent, i, out=put(out, key, (version, SENT))), True

    def begins(self, s: World, i: int) -> Iterator[Step]:
        rules, phase = self.rules, s.phase[i]
        if phase == "mark" and i == s.owner:
            marked = s._replace(clean=False) if rules.mark else s
            yield mine(marked, i, phase="cover" if rules.always else "run"), True
        if phase == "wait":
            over = self.t_passed(s, lambda r: r[3] < i) if rules.wait else s._replace(tap=rules.tap)
            yield mine(over, i, phase="cover" if rules.cover else "run"), True
        if s.tap and phase == "run" and not any(s.out[i]):  # its own writes are answered
            over = self.t_passed(s, lambda request: request[3] < i)
            yield mine(over, i, done=(-1, -1))._replace(tap=False), True

    def takes(self, s: World, i: int) -> Iterator[Step]:
        if s.phase[i] not in ("cover", "run"):
            return
        reach = min(len(s.log), s.base[i] + self.span)
        for to in range(s.pos[i] + 1, 1 + (reach if self.rules.span else len(s.log))):
            if s.phase[i] == "run" or to >= reach:
                yield mine(s, i, pos=to, phase="run"), True

    def commits(self, s: World, i: int) -> Iterator[Step]:
        phase, base, rules = s.phase[i], s.base[i], self.rules
        to = self.position(s, i)
        if to > base and phase == "run":
            since = tuple(v if v >= to else -1 for v in s.done[i])
            yield mine(s, i, base=to, done=since)._replace(committed=to, clean=False), True
        over = phase in ("cover", "run") or (phase == "wait" and not rules.waited)
        quiet = not (any(s.out[i]) and rules.quiet)
        if over and quiet and not s.tap and i + 1 < self.appliers:  # it leaves
            left = mine(s, i, phase="")._replace(committed=base, clean=True)
            yield (self.assign(left) if i == s.owner else left), False

    def position(self, s: World, i: int) -> int:
        """The end of the prefix of its intake that the database has acknowledged to applier i."""
        to, rules = s.base[i], self.rules
        while to < s.pos[i]:
            key = s.log[to]
            out = s.out[i][key]
            early = (
                out and out[0] >= to and (not rules.ack or (out[1] == UNKNOWN and not rules.hold))
            )
            if s.done[i][key] < to and not early:
                break
            to += 1
        return s.pos[i] if to > s.base[i] and not rules.covered else to

    def t_passed(self, s: World, gone: Any) -> World:
        if not self.rules.bound:
            return s
        return s._replace(net=frozenset(request for request in s.net if not gone(request)))

    def assign(self, s: World) -> World:
        """Give the partition to the next applier."""
        if self.rules.forget and self.rules.deadline and self.rules.fence:
            s = mine(s, s.owner, phase="", base=0, pos=0, done=(-1, -1), out=(None, None))
        phase = "mark" if s.clean else "wait"
        after = mine(s, s.owner + 1, phase=phase, base=s.committed, pos=s.committed)
        return after._replace(owner=s.owner + 1, tap=False)


GOOD = {
    "the whole protocol": ((3, 4, 3), {}, "rest order"),
    "the whole protocol, a tight span": ((3, 4, 2), {}, "rest order"),
    "with all that a zombie remembers": ((2, 3, 2), {"forget": False}, "rest order"),
    "without wait, with tap": ((2, 3, 2), {"wait": False}, "rest"),
    "without span": ((2, 3, 2), {"span": False}, "rest"),
    "without cover, always": ((2, 3, 2), {"cover": False, "always": False}, "rest"),
}

BROKEN = [
    *((name, (2, 2, 2), "rest") for name in ("ack", "covered", "one", "settle", "hold")),
    *((name, (2, 2, 2), "rest") for name in ("deadline", "mark", "quiet", "bound")),
    *((name, (2, 2, 2), "rest") for name in ("wait tap", "wait tap_hold")),
    ("fence", (3, 2, 1), "rest"),
    ("waited", (3, 2, 2), "rest"),
    *((name, (2, 2, 2), "order") for name in ("newest", "wait", "cover", "always")),
    ("span", (2, 3, 2), "order"),
]


@pytest.mark.parametrize("name", GOOD)
def test_every_run_converges_and_no_key_goes_back(name: str) -> None:
    world, changed, look = GOOD[name]
    ends, bad = Explorer(world, Rules()._replace(**changed)).explore(look, until_bad=False)
    assert not bad
    assert ends, "a world in which nothing comes to rest proves nothing"


@pytest.mark.parametrize(("names", "world", "look"), BROKEN)
def test_leaving_out_one_rule_is_seen(names: str, world: tuple[int, int, int], look: str) -> None:
    rules = Rules()._replace(**dict.fromkeys(names.split(), False))
    _, bad = Explorer(world, rules).explore(look, until_bad=True)
    assert bad
