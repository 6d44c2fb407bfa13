"""One round: writers, a snapshot and live capture, and blows; then rest, and a full comparison."""

import heapq
import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from vecferry.parity.full import FullReport
from vecferry.testing.chaos.nursery import Nursery, Sprout
from vecferry.testing.chaos.pipeline import Pipeline, Stage
from vecferry.testing.chaos.plans import ROLES, SESSION_S, Blow, Plan
from vecferry.testing.chaos.requests import point
from vecferry.testing.chaos.writer import GROUPS, LATE
from vecferry.testing.kafka import KafkaServer

_WRITERS = 2
_KILLED = -9


class PremiseError(Exception):
    """The machine was too slow for what the round presumes: it proves nothing."""


class Round:
    """Carries out one plan."""

    def __init__(
        self, plan: Plan, stage: Stage, nursery: Nursery, broker: KafkaServer | str, folder: Path
    ) -> None:
        """Prepare nothing yet: :meth:`run` does.

        Args:
            plan: What happens.
            stage: The databases; well before and after.
            nursery: Starts the processes.
            broker: A server where it is killed, else bootstrap servers.
            folder: Where logs go and stay.
        """
        self._plan, self._stage, self._broker = plan, stage, broker
        self._servers = broker if isinstance(broker, str) else broker.bootstrap_servers
        self._nursery, self._folder = nursery, folder
        self._writers: list[Sprout | None] = [None] * _WRITERS
        self._deaths = itertools.cycle(plan.deaths)
        self._seeds = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._is_broker_away = False
        self._everyone: list[Sprout] = []

    def run(self) -> FullReport:
        """Run it and return the comparison.

        Raises:
            AssertionError: A process gave up, or what should come to rest does not.
            PremiseError: A request took longer than it may.
        """
        log = {
            "bootstrap_servers": self._servers,
            "partitions": self._plan.partitions,
            "session_timeout_s": SESSION_S,
        }
        with Pipeline(self._stage, self._nursery, self._folder, {"log": log}) as self._pipeline:
            self._pipeline.say(str(self._plan))
            try:
                self._fill()
                self._pipeline.begin()
                self._storm()
            finally:
                self._heal()
            self._end_writers()
            report = self._pipeline.rest()
            self._pipeline.say(
                f"{report.source_points} points, equal: {report.is_equal}; "
                f"{self._pipeline.hints()} hints"
            )
            self._require_premises()
            self._pipeline.require_no_letters()
            return report

    @property
    def timeline(self) -> str:
        """What happened so far."""
        return self._pipeline.timeline

    def _require_premises(self) -> None:
        for writer in self._everyone:
            if LATE in writer.text:
                raise PremiseError(f"{writer.name}: {LATE}")

    def _fill(self) -> None:
        dice = Random(self._plan.seed)
        points = [
            point(
                identifier,
                [round(dice.uniform(-1, 1), 6) for _ in range(12)],
                {"g": dice.randrange(GROUPS), "n": identifier},
            )
            for identifier in dice.sample(range(1_000), self._plan.points)
        ]
        self._pipeline.ask("PUT", "/points?wait=true", {"points": points})

    # --- the storm ---

    def _storm(self) -> None:
        for role in ROLES:
            self._pipeline.start(role)
        for number in range(_WRITERS):
            self._start_writer(number)
        if self._plan.is_patient:
            self._pipeline.wait("capture", self._pipeline.is_captured)
        began = time.monotonic()
        for blow in self._plan.blows:
            self._later(began + blow.at_s, lambda blow=blow: self._strike(blow))  # type: ignore[misc]
        while time.monotonic() < began + self._plan.storm_s or self._due:
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()
            self._pipeline.look_after()
            self._replace_writers(until=began + self._plan.storm_s)
            time.sleep(0.05)

    def _later(self, at: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._order), call))

    def _after(self, blow: Blow, call: Callable[[], None]) -> None:
        self._later(time.monotonic() + blow.for_s, call)

    def _strike(self, blow: Blow) -> None:
        self._pipeline.say(f"{blow.what} {blow.whom} {blow.for_s:.1f} s {blow.kind}")
        what, whom = blow.what, blow.whom
        if what in ("kill", "end", "stop"):
            self._strike_role(blow)
        elif what == "join":
            self._pipeline.start(whom)
        elif what == "kill writer":
            writer = self._writers[int(whom)]
            if writer is not None:
                writer.kill()
        elif what == "broker away":
            self._take_broker()
            self._after(blow, self._give_broker)
        else:
            self._strike_server(blow, what.split()[0])

    def _strike_role(self, blow: Blow) -> None:
        sprout = self._pipeline.roles[blow.whom]
        if blow.what == "stop":
            sprout.signal(signal.SIGSTOP)
            self._after(blow, lambda: sprout.signal(signal.SIGCONT))
        elif blow.what == "kill":
            sprout.kill()
            self._after(blow, lambda: self._pipeline.start(blow.whom))
        elif not sprout.is_stopped:
            sprout.signal(signal.SIGTERM)
            self._pipeline.start(blow.whom)

    def _strike_server(self, blow: Blow, side: str) -> None:
        if blow.what.endswith("away"):
            self._stage.take_away(side)
            self._after(blow, lambda: self._stage.give_back(side))
            return
        kind, _, applied = blow.kind.partition(" ")
        self._stage.fail(side, fail_share=blow.share, kind=kind, applied=bool(applied), scope="all")
        self._after(blow, lambda: self._stage.fail(side))

    def _take_broker(self) -> None:
        assert isinstance(self._broker, KafkaServer)
        self._broker.kill()
        self._is_broker_away = True

    def _give_broker(self) -> None:
        if self._is_broker_away:
            assert isinstance(self._broker, KafkaServer)
            self._broker.start()
            self._is_broker_away = False

    # --- writers ---

    def _start_writer(self, number: int) -> None:
        death = next(self._deaths)
        told = {
            "seed": f"{self._plan.seed}/{number}/{next(self._seeds)}",
            "threads": 2,
            "hot": self._plan.hot,
            "many": self._plan.many,
            "pause_ms": 15,
            "die": None if death is None else list(death),
        }
        writer = self._pipeline.start_writer(f"writer-{number}", told)
        self._writers[number] = writer
        self._everyone.append(writer)

    def _replace_writers(self, until: float) -> None:
        for number, writer in enumerate(self._writers):
            if writer is None or writer.lives:
                continue
            self._require_sound(writer)
            self._pipeline.say(f"{writer.name} is dead")
            self._writers[number] = None
            if time.monotonic() < until:
                self._later(
                    time.monotonic() + 0.3,
                    lambda number=number: self._start_writer(number),  # type: ignore[misc]
                )

    def _end_writers(self) -> None:
        for writer in self._writers:
            if writer is not None:
                writer.signal(signal.SIGTERM)
        for writer in self._writers:
            if writer is not None:
                writer.ended(60.0)
                self._require_sound(writer)

    def _require_sound(self, writer: Sprout) -> None:
        code = writer.code
        assert code in (0, _KILLED), f"{writer.name} ended with {code}:\n{writer.text[-2000:]}"

    # --- the rest ---

    def _heal(self) -> None:
        """Everything is well again: continued, started, there, without faults."""
        self._pipeline.say("heals")
        self._due.clear()
        self._give_broker()
        self._stage.heal()
        for role, sprout in list(self._pipeline.roles.items()):
            sprout.signal(signal.SIGCONT)
            if not sprout.lives:
                self._pipeline.start(role)
