"""Whole migrations through the real command line, with faults in between.

A :class:`Run` is one migration's file and the processes that were started with
it. What they have reached is read from ``control``, as ``status`` does, so a
test waits for what happened and not for time to pass.
"""

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from vecferry.cli.main import main
from vecferry.cli.migration import Migration
from vecferry.cli.progress import Reached
from vecferry.cli.status import status_of
from vecferry.fold import decode_metadata
from vecferry.log.control import Control
from vecferry.log.reading import read_topic
from vecferry.record import ControlRecord, EventKind
from vecferry.testing.waiting import wait_until

_END_S = 120.0


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """Its error, with every run of white space as one blank."""
        return " ".join(self.err.split())


def say(*arguments: str) -> Said:
    """Run one command in this process, as a shell would; its exit code is part of the answer."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers.clear()  # the command sets its own; those of the caller must not be closed
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(list(arguments))
            except SystemExit as ended:
                code = ended.code
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    return Said(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


class Commit(NamedTuple):
    """A commit of a group: its offset, and whether the worker left nothing in flight."""

    offset: int
    is_clean: bool


class Worker:
    """A command in a process of its own.

    Attributes:
        pid: Of the process.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self._running = subprocess.Popen(
                [sys.executable, "-m", "vecferry.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._running.pid

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._running.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    def ended(self, timeout_s: float = _END_S) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: It has not ended in that time.
        """
        try:
            return self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs after {timeout_s:g} s:\n{self.text}") from None

    def close(self) -> None:
        """End it, by force after a while."""
        if self.is_running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._running.wait(30.0)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()


class Run:
    """One migration: its file, its processes, and what ``control`` says of it.

    Attributes:
        name: The migration's, of its own unless the document gives one.
        path: Its file.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        """Write the file into ``folder``; nothing is started yet."""
        self.name = str(document.get("name", f"run-{uuid.uuid4().hex[:12]}"))
        self.path = folder / f"{self.name}.toml"
        self.path.write_text(to_toml({"name": self.name, **document}))
        self._folder = folder
        self._workers: list[Worker] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.close()
        self._stack.close()

    # --- the command line ---

    def say(self, *arguments: str) -> Said:
        """Run one command on this migration, in this process."""
        return say(*arguments, "-c", str(self.path))

    def start(self, *arguments: str) -> Worker:
        """Start one command on this migration in a process of its own."""
        log = self._folder / f"{self.name}-{len(self._workers)}.log"
        worker = Worker([*arguments, "-c", str(self.path)], log)
        self._workers.append(worker)
        return worker

    # --- what it has reached ---

    def arrived(self) -> int:
        """Return how many points the target holds, in all collections."""
        with self.migration.stores() as both:
            return sum(both.target.count(plan.mapping.target.name) for plan in both.plans)

    @cached_property
    def migration(self) -> Migration:
        """The same migration, as the commands open it."""
        return Migration(self.path)

    @cached_property
    def control(self) -> Control:
        """Its ``control``, tailed; the topics must be there."""
        return self._stack.enter_context(self.migration.control())

    def now(self) -> Reached:
        """How far it is, as far as this process has read ``control``."""
        return status_of(self.migration, self.control)

    def wait(self, condition: Callable[[Reached], bool], timeout_s: float = _END_S) -> Reached:
        """Wait until what was reached fulfils the condition.

        Raises:
            AssertionError: It did not in that time; what the processes said is shown.
        """
        try:
            wait_until(lambda: condition(self.now()), timeout_s)
        except AssertionError as error:
            said = "\n".join(worker.text[-3000:] for worker in self._workers)
            raise AssertionError(f"{error}; it has reached {self.now()}\n{said}") from None
        return self.now()

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role's workers that registered and still live."""
        return [
            pid
            for record in self.control.latest("process").values()
            if record.body["role"] == role and not record.body.get("left")
            if _lives(pid := int(str(record.body["pid"])))
        ]

    def rows(self, chunk: str) -> int:
        """Return how many rows of a chunk lie in the log, whatever became of their windows."""
        migration = self.migration
        events = (
            migration.codec.decode_event(raw.value)
            for raw in read_topic(migration.connection, migration.topics.events)
        )
        return sum(event.kind is EventKind.ROW and event.chunk == chunk for event in events)

    def require_equal(self) -> None:
        """Check every collection, and that no record was given up.

        Raises:
            AssertionError: A side has other points, or some twice, or there are dead letters.
        """
        checked = self.say("check", "--json")
        assert checked.code == 0, checked
        assert all(each["equal"] for each in checked.document), checked
        assert self.letters() == []

    def letters(self) -> list[Any]:
        """Return the dead letters, as ``dlq list`` prints them."""
        found: list[Any] = self.say("dlq", "list", "--json").document
        return found

    def claims(self) -> list[str]:
        """Return the chunks that workers have claimed, in order."""
        return [
            str(record.body["chunk"])
            for record in self._of("claim")
            if record.name.startswith("snapshot/")
        ]

    def certified(self) -> set[str]:
        """Return the chunks with a certificate."""
        return {record.name for record in self._of("certificate")}

    def claims_of(self, chunks: set[str]) -> int:
        """Return how often any of these chunks was claimed."""
        return sum(chunk in chunks for chunk in self.claims())

    def commits(self) -> dict[int, Commit]:
        """Return what the appliers' group has committed, by partition, as the broker says."""
        migration = self.migration
        group, events = migration.topics.group("apply"), migration.topics.events
        parts = [TopicPartition(events, at) for at in range(migration.settings.log.partitions)]
        # the admin client's request crashes on a coordinator that is still loading
        looking = migration.connection.consumer(group)
        try:
            asked = looking.committed(parts, timeout=10.0)
        finally:
            looking.close()
        found = {}
        for part in asked:
            known = decode_metadata(part.metadata)
            found[part.partition] = Commit(part.offset, known is not None and known[1])
        return found

    def shares(self) -> dict[str, int]:
        """Return how many partitions each member of the appliers' group has, by its id."""
        group = self.migration.topics.group("apply")
        found = self._admin.describe_consumer_groups([group], request_timeout=10.0)[group].result()
        return {
            member.member_id: len(member.assignment.topic_partitions) for member in found.members
        }

    @cached_property
    def _admin(self) -> AdminClient:
        return self.migration.connection.admin()

    def _of(self, kind: str) -> Iterator[ControlRecord]:
        return iter(self.control.history(kind))


def to_toml(document: Mapping[str, Any], prefix: str = "") -> str:
    """Spell a document as TOML: tables, lists of tables, lists and scalars."""
    scalars, tables = [], []
    for name, value in document.items():
        if isinstance(value, Mapping):
            tables.append(f"\n[{prefix}{name}]\n{to_toml(value, f'{prefix}{name}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables += [
                f"\n[[{prefix}{name}]]\n{to_toml(each, f'{prefix}{name}.')}" for each in value
            ]
        else:
            scalars.append(f"{json.dumps(name)} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(scalars + tables)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
