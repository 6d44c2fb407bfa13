"""Every interleaving of a small world of writers, capture workers and snapshots, on the real fold.

One key, one partition. Writers put, delete, or delete by a filter; capture
workers claim, read back and publish; snapshot attempts open, read, publish and
close. A worker that lost its partition lives on as a zombie.

At rest the fold of the log must equal the source, and the fold up to the first
accepted token must equal the source already (nothing is written after it). Each
variant that leaves out one rule, of the workers or of the fold, must fail.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from vecferry.fold import Fold, Left, decode_metadata, encode_metadata
from vecferry.model import Image
from vecferry.record import Event, EventKind
from vecferry.testing.folds import (
    LastEpochFold,
    OneWindowFold,
    UnfencedBeatFold,
    UnfencedFold,
    WindowlessFold,
)

ABSENT = "-"
KEY = b"4:docs0:i1"
WINDOW = 1_000

Ops = tuple[tuple[str, str], ...]
PUT_X, PUT_Y, DELETE, FILTER = ("put", "x"), ("put", "y"), ("delete", ""), ("filter", "")


class Rules(NamedTuple):
    """The workers' rules, each of which a case leaves out."""

    intent: bool = True  # INTENT before the write, so that a crash after it is swept into a hint
    patient: bool = True  # an unknown outcome stays open until the request can no longer land
    check: bool = True  # no commit of hints before `control` shows no newer claim
    open_first: bool = True  # OPEN is acknowledged before the read
    reread: bool = True  # keys hinted while a filter write is open are read again after it


class Writer(NamedTuple):
    pc: str = "idle"  # idle intent (resolved) written done | flight: crashed, may land | lost
    ids: str = ""  # what a filter write resolved


class Capture(NamedTuple):
    pc: str = "off"  # off assigned claimed ready read gone
    term: int = -1
    at: int = 0  # next hint
    seen: str = ""  # what it read back


class Attempt(NamedTuple):
    pc: str = "off"  # off opened rows sent closed gone
    opened: int = -1
    seen: str = ""


class Folded(NamedTuple):
    """All that the rest of a run can depend on: what the fold remembers, and what it said."""

    length: int = 0
    memory: tuple[object, ...] = ()
    state: str = ABSENT
    at_token: str | None = None  # the key's state at the first accepted token


class World(NamedTuple):
    source: str
    writers: tuple[Writer, ...]
    captures: tuple[Capture, ...]
    attempts: tuple[Attempt, ...]
    log: Folded
    hints: tuple[str, ...] = ()  # "key", "filter+", "filter-", "token"
    committed: int = 0
    claims: int = 0  # `control`: the highest term so far
    certified: bool = False


Step = tuple[World, bool]
"""A next world, and whether the step is fair: fair steps must eventually be taken."""


class Log:
    """Appends to logs by running the real fold; logs that it cannot tell apart become one."""

    def __init__(self, fold: type[Fold]) -> None:
        self.fold = fold
        self.written: dict[Folded, tuple[Event, ...]] = {Folded(): ()}
        self.known: dict[tuple[object, ...], Folded] = {}

    def append(self, log: Folded, event: Event) -> Folded:
        said = (event.kind, event.image and event.image.payload, event.term, event.opened)
        found = self.known.get((log, *said))
        if found is None:
            events = (*self.written[log], event)
            found = self.known[log, *said] = self.run(events)
            self.written.setdefault(found, events)
        return found

    def run(self, events: tuple[Event, ...]) -> Folded:
        fold = self.fold(WINDOW)
        state, at_token = ABSENT, None
        for offset, event in enumerate(events):
            accepted = fold.take(offset, event)
            if accepted is None:
                continue
            if accepted.kind is EventKind.BEAT:
                at_token = state if at_token is None else at_token
            else:
                state = ABSENT if accepted.image is None else accepted.image.payload.decode()
        memory = (fold.term, tuple(fold._windows.items()), tuple(fold._live.items()))
        return Folded(len(events), memory, state, at_token)


def live(state: str, term: int) -> Event:
    if state == ABSENT:
        return Event(EventKind.DELETE, key=KEY, term=term)
    return Event(EventKind.IMAGE, key=KEY, image=Image({}, state.encode()), term=term)


def put(items: tuple, i: int, **changes: object) -> tuple:
    return (*items[:i], items[i]._replace(**changes), *items[i + 1 :])


class Explorer:
    """One case: the world's writers, the rules, the fold."""

    def __init__(self, ops: Ops, rules: Rules, fold: type[Fold], *, crashes: bool) -> None:
        self.ops, self.rules, self.crashes = ops, rules, crashes
        self.log = Log(fold)

    def explore(self, start: World, *, until_bad: bool) -> tuple[int, World | None]:
        """Return how many runs came to rest, and a world at rest that is wrong, if any."""
        seen, queue, ends, bad = {start}, deque([start]), 0, None
        while queue and not (bad and until_bad):
            world = queue.pop()
            following = list(self.steps(world))
            if not any(fair for _, fair in following):
                ends += 1
                if self.is_wrong(world):
                    bad = world
            for other, _ in following:
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return ends, bad

    def is_wrong(self, world: World) -> bool:
        log = world.log
        if log.state != world.source or log.at_token is None:
            return True
        return not world.attempts and log.at_token != world.source

    def steps(self, world: World) -> Iterator[Step]:
        for i in range(len(world.writers)):
            yield from self.writer(world, i)
        idle = all(writer.pc in ("done", "late") for writer in world.writers)
        if idle and "token" not in world.hints:
            yield world._replace(hints=(*world.hints, "token")), True
        for j in range(len(world.captures)):
            yield from self.capture(world, j)
        for k in range(len(world.attempts)):
            yield from self.attempt(world, k)

    def writer(self, s: World, i: int) -> Iterator[Step]:
        (op, value), w = self.ops[i], s.writers[i]
        written = value if op == "put" else ABSENT
        done = (*s.hints, "filter-" + w.ids if op == "filter" else "key")

        def to(pc: str, **changes: object) -> World:
            return s._replace(writers=put(s.writers, i, pc=pc), **changes)

        if w.pc == "idle":
            yield to("intent", hints=s.hints + (("filter+",) if op == "filter" else ())), True
        elif w.pc == "intent" and op == "filter":
            ids = "key" if s.source != ABSENT else ""
            yield s._replace(writers=put(s.writers, i, pc="resolved", ids=ids)), True
        elif w.pc in ("intent", "resolved"):
            yield to("written", source=written), True
            if self.crashes and self.rules.intent:
                yield to("flight"), False
        elif w.pc == "flight":  # crashed; the request may land late, or never
            yield to("lost", source=written), False
            yield to("lost"), True
            if not self.rules.patient:
                yield to("late", hints=done), False
        elif w.pc == "late":
            yield to("done", source=written), False
        elif w.pc == "written":
            yield to("done", hints=done), True
            if self.crashes:
                yield to("lost" if self.rules.intent else "done"), False
        elif w.pc == "lost":  # swept
            yield to("done", hints=done), True

    def capture(self, s: World, j: int) -> Iterator[Step]:
        c = s.captures[j]
        newest = all(other.pc == "off" for other in s.captures[j + 1 :])

        def to(pc: str, **changes: object) -> tuple[Capture, ...]:
            return put(s.captures, j, pc=pc, **changes)

        if c.pc == "off" and (j == 0 or s.captures[j - 1].pc != "off"):
            yield s._replace(captures=to("assigned")), j == 0
        elif c.pc == "assigned":
            claimed = to("claimed", term=s.claims + 1, at=s.committed)
            yield s._replace(claims=s.claims + 1, captures=claimed), newest
        elif c.pc == "claimed":
            epoch = self.log.append(s.log, Event(EventKind.EPOCH, term=c.term))
            yield s._replace(log=epoch, captures=to("ready")), newest
        elif c.pc == "ready":
            yield from self.intake(s, j, newest)
            yield from self.commit(s, j, newest)
        elif c.pc == "read":
            log = self.log.append(s.log, live(c.seen, c.term))
            yield s._replace(log=log, captures=to("ready", at=c.at + 1, seen="")), newest

    def intake(self, s: World, j: int, newest: bool) -> Iterator[Step]:
        c = s.captures[j]
        if c.at == len(s.hints):
            return
        passed = put(s.captures, j, at=c.at + 1)
        if s.hints[c.at] == "token":
            beat = self.log.append(s.log, Event(EventKind.BEAT, term=c.term))
            yield s._replace(log=beat, captures=passed), newest
        elif self.needs_no_read(s.hints[: c.at + 1]):
            yield s._replace(captures=passed), newest
        else:
            yield s._replace(captures=put(s.captures, j, pc="read", seen=s.source)), newest

    def commit(self, s: World, j: int, newest: bool) -> Iterator[Step]:
        c = s.captures[j]
        if c.at <= s.committed:
            return
        if not newest:  # the broker refuses it
            yield s._replace(captures=put(s.captures, j, pc="gone")), True
        elif self.rules.check and s.claims > c.term:  # claim again
            yield s._replace(captures=put(s.captures, j, pc="assigned")), True
        else:
            before = open_since(s.hints[: c.at])
            if before > s.committed:
                yield s._replace(committed=before), True

    def attempt(self, s: World, k: int) -> Iterator[Step]:
        a, order = s.attempts[k], self.rules.open_first

        def to(pc: str, **changes: object) -> tuple[Attempt, ...]:
            return put(s.attempts, k, pc=pc, **changes)

        opens, reads = ("off", "opened") if order else ("read", "off")
        if a.pc == opens and not s.certified:
            log = self.log.append(s.log, Event(EventKind.OPEN, chunk="c"))
            after = to("opened" if order else "rows", opened=s.log.length)
            yield s._replace(log=log, attempts=after), k == 0 or s.attempts[0].pc == "gone"
        if a.pc == reads:
            yield s._replace(attempts=to("rows" if order else "read", seen=s.source)), True
        if a.pc == "rows":
            row = Event(EventKind.ROW, KEY, Image({}, a.seen.encode()), chunk="c", opened=a.opened)
            log = s.log if a.seen == ABSENT else self.log.append(s.log, row)
            yield s._replace(log=log, attempts=to("sent", seen="")), True
        if a.pc == "sent":
            log = self.log.append(s.log, Event(EventKind.CLOSE, chunk="c", opened=a.opened))
            yield s._replace(log=log, attempts=to("closed"), certified=True), True
        if self.crashes and k == 0 and a.pc in ("opened", "rows"):
            yield s._replace(attempts=to("gone")), False

    def needs_no_read(self, hints: tuple[str, ...]) -> bool:
        """Whether the last hint opens a filter write, or ends one that touched nothing."""
        if hints[-1] == "filter+":
            return True
        opened = hints.index("filter+") if "filter+" in hints else len(hints)
        meanwhile = self.rules.reread and "key" in hints[opened:]
        return hints[-1] == "filter-" and not meanwhile


def open_since(hints: tuple[str, ...]) -> int:
    """The offset that a commit must not pass: the filter write still open, if there is one."""
    is_open = "filter+" in hints and not {"filter-", "filter-key"} & set(hints)
    return hints.index("filter+") if is_open else len(hints)


class Case(NamedTuple):
    name: str
    ops: Ops
    present: bool = False
    workers: int = 1
    attempts: int = 0
    crashes: bool = False
    rules: Rules = Rules()
    fold: type[Fold] = Fold


def explore(case: Case, *, until_bad: bool) -> tuple[int, World | None, Explorer]:
    explorer = Explorer(case.ops, case.rules, case.fold, crashes=case.crashes)
    log = Folded()
    if case.present and not case.attempts:
        log = explorer.log.append(log, Event(EventKind.EPOCH, term=0))
        log = explorer.log.append(log, live("i", 0))
    start = World(
        "i" if case.present else ABSENT,
        (Writer(),) * len(case.ops),
        (Capture(),) * case.workers,
        (Attempt(),) * case.attempts,
        log,
    )
    return *explorer.explore(start, until_bad=until_bad), explorer


GOOD = [
    Case("racing puts, two capture workers", (PUT_X, PUT_Y), workers=2, present=True),
    Case(
        "a put and a delete of crashing writers, two capture workers",
        (PUT_X, DELETE),
        workers=2,
        present=True,
        crashes=True,
    ),
    Case("a filter delete against a put, two capture workers", (PUT_X, FILTER), workers=2),
    Case("racing snapshot attempts, a put", (PUT_X,), attempts=2, present=True, crashes=True),
    Case("racing snapshot attempts, a put and a delete", (PUT_X, DELETE), attempts=2, present=True),
    Case(
        "two capture workers, a snapshot, a crashing delete",
        (DELETE,),
        workers=2,
        attempts=1,
        present=True,
        crashes=True,
    ),
]

BROKEN = [
    Case("no INTENT", (PUT_X,), crashes=True, rules=Rules(intent=False)),
    Case("a timed-out write is done at once", (PUT_X,), crashes=True, rules=Rules(patient=False)),
    Case("zombie captures are not fenced", (PUT_X, PUT_Y), workers=2, fold=UnfencedFold),
    Case("the last epoch wins, not the highest", (PUT_X,), workers=2, fold=LastEpochFold),
    Case("hints committed without a look at claims", (PUT_X,), workers=2, rules=Rules(check=False)),
    Case("a zombie's token counts", (PUT_X,), workers=2, fold=UnfencedBeatFold),
    Case("no snapshot window", (DELETE,), attempts=1, present=True, fold=WindowlessFold),
    Case(
        "the chunk is read before OPEN",
        (DELETE,),
        attempts=1,
        present=True,
        rules=Rules(open_first=False),
    ),
    Case(
        "a late OPEN replaces the window",
        (),
        attempts=2,
        present=True,
        crashes=True,
        fold=OneWindowFold,
    ),
    Case("keys hinted in a filter write not reread", (PUT_X, FILTER), rules=Rules(reread=False)),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_every_run_comes_to_rest_with_the_log_equal_to_the_source(case: Case) -> None:
    ends, bad, explorer = explore(case, until_bad=False)
    assert bad is None
    assert ends, "a world in which nothing comes to rest proves nothing"
    for events in explorer.log.written.values():
        assert_restarts_agree(events)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_leaving_out_one_rule_is_seen(case: Case) -> None:
    _, bad, _ = explore(case, until_bad=True)
    assert bad is not None


def assert_restarts_agree(events: tuple[Event, ...]) -> None:
    """A reader restarted at any commit accepts what one that never stopped accepts."""
    fold, commits, accepted = Fold(WINDOW), [], []
    for offset, event in enumerate(events):
        commits.append(encode_metadata(Left(fold.checkpoint(offset), is_clean=True)))
        accepted.append(fold.take(offset, event))
    for commit, metadata in enumerate(commits):
        read = decode_metadata(metadata)
        assert read is not None
        again = Fold(WINDOW, read[0])
        taken = [again.take(at, events[at]) for at in range(read[0].offset, len(events))]
        assert taken[commit - read[0].offset :] == accepted[commit:]
