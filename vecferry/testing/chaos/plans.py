"""What one round does, drawn from its seed: pure, so a seed says the same everywhere."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from vecferry.testing.chaos.writer import PLACES

SESSION_S = 6.0
ROLES = ("capture-0", "capture-1", "apply-0", "apply-1", "snapshot-0", "check-0")

_KINDS = {
    "kill": 8,
    "stop": 4,
    "end": 2,
    "join": 1,
    "kill writer": 4,
    "target errors": 3,
    "target away": 2,
    "source errors": 3,
    "source away": 1,
}
_TIMES = (0.5, 2.0)


class Blow(NamedTuple):
    """Something that the round does to its processes.

    Attributes:
        at_s: When, from the storm's beginning.
        what: ``kill``, ``stop``, ``end`` (SIGTERM), ``join`` (one more), ``kill
            writer``, ``target errors``, ``target away``, ``source errors``,
            ``source away`` or ``broker away``.
        whom: A role's name or a writer's number; empty for a server.
        for_s: How long: until it is healed, or started again.
        share: Of the requests that fail.
        kind: How they fail: an error's name, with ``applied`` behind it where
            they are carried out first.
    """

    at_s: float
    what: str
    whom: str = ""
    for_s: float = 0.0
    share: float = 0.0
    kind: str = ""


class Death(NamedTuple):
    """Where a writer dies by itself: at a place, when it is there for the nth time."""

    place: str
    nth: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One round.

    Attributes:
        seed: It was drawn from.
        partitions: Of the migration.
        points: That the source holds at first.
        many: Keys that the writers use; ``hot`` of them all the time.
        storm_s: How long the writers write and blows fall.
        blows: In order.
        deaths: Of each writer that is started, by turns; None for one that lives.
        is_patient: Whether the storm waits until capture has begun.
        owns_broker: Whether the broker is its own, because it is killed.
    """

    seed: int
    partitions: int
    points: int
    many: int
    hot: int
    storm_s: float
    blows: tuple[Blow, ...]
    deaths: tuple[Death | None, ...]
    is_patient: bool
    owns_broker: bool

    def __str__(self) -> str:
        blows = ", ".join(f"{blow.at_s:.1f} {blow.what} {blow.whom}".strip() for blow in self.blows)
        return f"seed {self.seed}: {self.partitions} partitions, {self.points} points; {blows}"


def plan_round(seed: int, *, broker: bool = False) -> Plan:
    """Draw a round.

    Args:
        seed: Of the dice.
        broker: The broker is killed, too.
    """
    dice = random.Random(seed)
    storm_s = dice.uniform(6.0, 9.0)
    blows = [_blow(dice, storm_s) for _ in range(dice.randint(4, 7))]
    if broker:
        blows.append(Blow(dice.uniform(2.0, storm_s), "broker away", for_s=dice.uniform(*_TIMES)))
    return Plan(
        seed=seed,
        partitions=dice.randint(2, 3),
        points=dice.randint(100, 600),
        many=dice.choice((40, 150, 500)),
        hot=dice.randint(1, 6),
        storm_s=storm_s,
        blows=tuple(sorted(blows)),
        deaths=tuple(_death(dice) for _ in range(6)),
        is_patient=dice.random() < 0.8,
        owns_broker=broker,
    )


def _blow(dice: random.Random, storm_s: float) -> Blow:
    (what,) = dice.choices(list(_KINDS), list(_KINDS.values()))
    at_s, for_s = dice.uniform(1.0, storm_s), dice.uniform(*_TIMES)
    match what:
        case "kill" | "end":
            return Blow(at_s, what, dice.choice(ROLES), for_s)
        case "stop":
            # most of them past the session, so that another one takes over meanwhile
            past_s = dice.choice((-4.0, 1.0, 1.0, 2.0))
            return Blow(at_s, what, dice.choice(ROLES), SESSION_S + past_s)
        case "join":
            return Blow(at_s, what, dice.choice(("capture-2", "apply-2", "snapshot-1")), for_s)
        case "kill writer":
            return Blow(at_s, what, str(dice.randrange(2)), for_s)
        case "target errors" | "source errors":
            kind = dice.choice(("unavailable", "internal", "timeout", "429"))
            applied = " applied" if kind != "429" and dice.random() < 0.5 else ""
            return Blow(at_s, what, "", for_s, dice.choice((0.2, 0.5, 1.0)), kind + applied)
        case _:
            return Blow(at_s, what, "", for_s)


def _death(dice: random.Random) -> Death | None:
    if dice.random() < 0.3:
        return None
    place = dice.choice(PLACES)
    return Death(place, dice.randint(1, 4) if place.startswith("resolv") else dice.randint(3, 60))
