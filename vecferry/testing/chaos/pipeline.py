"""A live migration whose roles are processes that a test may kill."""

import contextlib
import itertools
import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vecferry.cli.letters import letters
from vecferry.cli.migration import Migration
from vecferry.cli.preparing import prepare
from vecferry.cli.status import status_of
from vecferry.log.beats import reports
from vecferry.log.control import Control
from vecferry.log.hints import HintWriter
from vecferry.log.publish import Publisher
from vecferry.log.reading import read_topic
from vecferry.model import key_bytes
from vecferry.parity.full import FullCheck, FullReport
from vecferry.producers.readback import newest_claims
from vecferry.testing.chaos.forensics import history_of
from vecferry.testing.chaos.nursery import Nursery, Sprout
from vecferry.testing.chaos.requests import SCHEMA
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import to_toml

REST_S = 180.0
TRY_AGAIN = 4
REQUEST_MAX_S = 5.0
INTENT_MAX_S = 2.0
TIMEOUT_S = 2.5


class Stage:
    """Two databases that several rounds use one after the other.

    Attributes:
        source, target: Killed and started again at will.
    """

    def __init__(self, folder: Path) -> None:
        self.source = QdrantServer(folder / "source")
        self.target = QdrantServer(folder / "target")
        self._away: set[str] = set()

    def take_away(self, side: str) -> None:
        """Kill a server, as a crash would."""
        self._server(side).kill()
        self._away.add(side)

    def give_back(self, side: str) -> None:
        """Start it again; one that was not taken away is fine."""
        if side in self._away:
            self._server(side).start()
            self._away.discard(side)

    def fail(self, side: str, **faults: object) -> None:
        """Let requests fail from now on, unless the server is away."""
        if side not in self._away:
            self._server(side).faults(**faults)

    def heal(self) -> None:
        """Make both well."""
        for side in ("source", "target"):
            self.give_back(side)
            self.fail(side)

    def __enter__(self) -> Self:
        self.source.start()
        self.target.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.source.close()
        self.target.close()

    def _server(self, side: str) -> QdrantServer:
        return self.source if side == "source" else self.target


class Pipeline:
    """One migration between the stage's two servers.

    Attributes:
        name: Of the migration and of its collection.
        folder: Where logs and the timeline stay.
        broken: The rule that roles leave out, as long as it says one.
        roles: What runs now, by name: ``capture-0`` and so on.
        migration: As the commands open it.
    """

    def __init__(
        self, stage: Stage, nursery: Nursery, folder: Path, document: Mapping[str, Any]
    ) -> None:
        """Make the source's collection and write the migration's file."""
        self.name = f"chaos-{uuid.uuid4().hex[:10]}"
        self.folder, self.stage = folder, stage
        self.broken = ""
        self.roles: dict[str, Sprout] = {}
        self._nursery = nursery
        self._numbers = itertools.count()
        self._stack = contextlib.ExitStack()
        self._began = time.monotonic()
        self._path = folder / "migration.toml"
        self._path.write_text(to_toml(_document(self.name, stage, document)))
        self.migration = Migration(self._path)
        self.ask("PUT", "", SCHEMA)

    def begin(self) -> None:
        """Prepare the migration; the source may hold points already."""
        prepare(self.migration)
        self.control: Control = self._stack.enter_context(self.migration.control())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._nursery.clear()
        self._stack.close()
        self.stage.heal()
        for server in (self.stage.source, self.stage.target):
            _ask(server, "DELETE", f"/collections/{self.name}", None)

    # --- processes ---

    def start(self, role: str) -> None:
        """Start a role of this name; a namesake that lives is replaced in the books only."""
        kind = role.split("-")[0]
        arguments = ["up", "--role", kind, "-c", str(self._path)]
        log = self._log(role)
        self.roles[role] = self._nursery.command(role, arguments, log, self.broken)
        self.say(f"started {role}: {self.roles[role].pid}")

    def start_writer(self, name: str, told: Mapping[str, Any]) -> Sprout:
        """Start a writer on this migration's collection."""
        document = {
            "url": self.stage.source.url,
            "collection": self.name,
            "migration": self.name,
            "bootstrap_servers": self.migration.settings.log.bootstrap_servers,
            "timeout_s": TIMEOUT_S,
            "request_max_s": REQUEST_MAX_S,
            "intent_max_s": INTENT_MAX_S,
            **told,
        }
        self.say(f"starts {name}: {told}")
        return self._nursery.writer(name, document, self._log(name))

    def look_after(self) -> None:
        """Start again what ended as a supervisor would.

        Raises:
            AssertionError: A role gave up.
        """
        for role, sprout in list(self.roles.items()):
            code = sprout.code
            if code == TRY_AGAIN:
                self.say(f"{role} ends with {code} and is started again")
                self.start(role)
            else:
                said = "" if code in (None, 0, -9) else sprout.text[-2000:]
                assert code in (None, 0, -9), f"{role} gave up with {code}:\n{said}"

    def _log(self, name: str) -> Path:
        return self.folder / f"{next(self._numbers):03d}-{name.replace(' ', '-')}.log"

    # --- the end ---

    def rest(self) -> FullReport:
        """Wait until everything that was hinted is applied, and compare every point.

        1. A token that is written now passes: nothing before it is open, and what
           died unresolved is a rescan on record.
        2. The snapshot and every rescan are read.
        3. Another token passes: their rows and hints are applied.
        """
        self._pass_token()
        self.wait("snapshot and rescans", lambda: self._is_read())
        self._pass_token()
        self.wait("a known lag", self._knows_lag)
        return self.compare()

    def is_captured(self) -> bool:
        """Tell whether every hints partition has an owner."""
        prefix = f"capture/{self.migration.topics.direction}/"
        claims = [(record.name, record.offset) for record in self.control.history("claim")]
        return len(newest_claims(claims, prefix)) == self.migration.settings.log.partitions

    def hints(self) -> int:
        """Return how many records of hints there are, BEATs among them."""
        return sum(1 for _ in read_topic(self.migration.connection, self.migration.topics.hints))

    def settle(self, *stages: str) -> None:
        """Wait until every hint that is written is resolved, and every event applied, by the commits.

        Unlike :meth:`rest` it needs nothing of BEATs.

        Args:
            stages: ``capture`` or ``apply``; both when left out.
        """
        topics, numbers = self.migration.topics, range(self.migration.settings.log.partitions)
        known = {"capture": topics.hints, "apply": topics.events}
        for stage in stages or known:
            topic = known[stage]
            ends = self._ends(topic)

            def has_come(stage: str = stage, ends: Mapping[int, int] = ends) -> bool:
                told = reports(self.control, stage)
                return all(told.get(at, {}).get("committed", -1) >= ends[at] for at in numbers)

            self.wait(f"the commits of {stage}", has_come)

    def _ends(self, topic: str) -> dict[int, int]:
        ends = dict.fromkeys(range(self.migration.settings.log.partitions), 0)
        for raw in read_topic(self.migration.connection, topic):
            ends[raw.partition] = max(ends[raw.partition], raw.offset + 1)
        return ends

    def compare(self) -> FullReport:
        """Compare every point of both sides, and what each holds twice; no mark, no dead letter."""
        with self.migration.stores() as both:
            (pair,) = both.pairs(self.migration.settings.parity.tolerance)
            report = FullCheck(pair, self.migration.settings.parity, lambda *_: None, 1).run()
        for found in report.mismatches:
            self.say(f"{found.kind} {found.key} {found.fields}")
        self._tell(report)
        return report

    def require_no_letters(self) -> None:
        """Hold that nothing was dead-lettered and no key is marked."""
        assert list(letters(self.migration)) == []
        assert status_of(self.migration, self.control).dead == 0

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Look after the roles until a condition is true.

        Raises:
            AssertionError: It is not in time, or a role gave up.
        """
        deadline = time.monotonic() + REST_S
        self.say(f"waits for {what}")
        while not condition():
            self.look_after()
            now = status_of(self.migration, self.control)
            assert time.monotonic() < deadline, f"{what}: not in {REST_S:g} s; it is at {now}"
            time.sleep(0.1)
        self.say(f"has {what}")

    def _pass_token(self) -> None:
        token = uuid.uuid4().hex
        with contextlib.closing(Publisher(self.migration.connection)) as publisher:
            log = self.migration.settings.log
            writer = HintWriter(
                publisher, self.migration.codec, self.migration.topics, log.partitions
            )
            writer.beat(0, token)
            publisher.flush()
        numbers = set(range(log.partitions))

        def has_passed() -> bool:
            applied = reports(self.control, "apply")
            return {at for at, report in applied.items() if report["token"] == token} == numbers

        self.wait("a token at the target", has_passed)

    def _is_read(self) -> bool:
        now = status_of(self.migration, self.control)
        return now.chunks > 0 and now.chunks == now.certified and not now.live.rescans

    def _knows_lag(self) -> bool:
        live = status_of(self.migration, self.control).live
        return live.total_s is not None and live.oldest_intent_s is None

    def _tell(self, report: FullReport) -> None:
        if report.mismatches:
            keys = [key_bytes(found.key) for found in report.mismatches[:10]]
            text = "\n".join(history_of(self.migration, keys))
            (self.folder / "history.txt").write_text(text)

    # --- the rest ---

    def say(self, what: str) -> None:
        """Add a line to the timeline."""
        with (self.folder / "timeline.txt").open("a") as file:
            file.write(f"{time.monotonic() - self._began:7.2f} {what}\n")

    @property
    def timeline(self) -> str:
        """What happened so far."""
        return (self.folder / "timeline.txt").read_text()

    def ask(self, method: str, path: str, body: object) -> Any:
        """Send a request to the source's collection, past every feed."""
        return _ask(self.stage.source, method, f"/collections/{self.name}{path}", body)

    def held(self, identifier: int) -> Any:
        """Return the payload of a point in the target, None for no point."""
        body = {"ids": [identifier], "with_payload": True}
        found = _ask(self.stage.target, "POST", f"/collections/{self.name}/points", body)
        return found[0]["payload"] if found else None


def _ask(server: QdrantServer, method: str, path: str, body: object) -> Any:
    request = urllib.request.Request(
        server.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60.0) as reply:
        return json.load(reply)["result"]


def _document(name: str, stage: Stage, more: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": name}
    for side in ("source", "target"):
        server = stage.source if side == "source" else stage.target
        addresses = {"url": server.url, "grpc_url": server.grpc_url}
        document[side] = {"type": "qdrant", **addresses, "timeout_s": TIMEOUT_S}
    document |= {
        "collections": [{"source": name}],
        "log": {"heartbeat_s": 0.5, **more["log"]},
        "snapshot": {"chunk_points": 100, "points_per_s_max": 150.0},
        "capture": {
            "request_max_s": REQUEST_MAX_S,
            "intent_max_s": INTENT_MAX_S,
            "commit_s": 0.4,
        },
        "apply": {
            "batch_points": 64,
            "request_max_s": 3.0,
            "backoff_max_s": 1.0,
            "commit_s": 0.3,
            "span_offsets": 512,
            "writes_in_flight": 2,
        },
    }
    return document
