"""``up``: prepare, run every role under a supervisor, watch until all is applied."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vecferry.cli import plan_text, preparing
from vecferry.cli.migration import Migration, run_folder
from vecferry.cli.output import err
from vecferry.cli.progress import Reached
from vecferry.cli.status import status_of
from vecferry.cli.supervisor import Supervisor, Workers
from vecferry.errors import ConfigError, HaltError
from vecferry.log.control import Control
from vecferry.log.embedded import EmbeddedBroker

_LOOK_S = 0.5

Step = Callable[[Reached, Supervisor], bool]
"""Called at every look, for who wants to do more than watch; True ends the run."""


@dataclass(frozen=True, slots=True)
class Run:
    """How ``up`` runs.

    Attributes:
        log_format: Of the workers.
        quiet: Show no bars.
        once: Capture nothing, and end when all that was read is applied.
        step: Called at every look.
    """

    log_format: str = "text"
    quiet: bool = False
    once: bool = False
    step: Step | None = None


def run_all(migration: Migration, run: Run) -> Reached:
    """Run every role until the user stops it, or ``once`` is done; return how far it came.

    SIGINT and SIGTERM drain: every worker finishes what it has in hand and
    commits, and a later ``up`` goes on from there.

    Raises:
        HaltError: A role stopped because going on could lose data.
    """
    if run.once and migration.settings.snapshot.mode == "seeded":
        raise ConfigError(
            "snapshot.mode = 'seeded' needs capture, which removes what only the target has: "
            "leave --once out"
        )
    stop = threading.Event()
    with _broker(migration), _signals(stop):
        premises = preparing.prepare(migration)
        if not run.quiet:
            plan_text.show_premises(premises)
        with migration.control() as control:
            return _watch(migration, control, stop, run)


def _watch(migration: Migration, control: Control, stop: threading.Event, run: Run) -> Reached:
    with _screen(_points(migration), quiet=run.quiet) as screen:

        def look() -> Reached:
            now = status_of(migration, control)
            screen.show(now)
            return now

        workers = Workers(migration.path, screen.say, run.log_format, once=run.once)
        with Supervisor(workers, _roles(migration, run)) as supervisor:
            reason = None
            while reason is None and not stop.wait(_LOOK_S):
                reason = supervisor.watch()
                now = look()
                if run.step is not None and run.step(now, supervisor):
                    break
                if run.once and now.is_applied and not now.live.rescans:
                    break
            if stop.is_set():
                screen.say("stopping: every worker finishes what it has in hand")
        control.read_to_end()
        now = look()
    if reason is not None:
        raise HaltError(
            f"{reason}. Nothing more was committed; `vecferry up` goes on once the cause is gone"
        )
    return now


def _roles(migration: Migration, run: Run) -> list[str]:
    settings = migration.settings
    roles = ["snapshot"] * settings.snapshot.workers + ["apply"] * settings.apply.workers
    if run.once:
        return roles
    feeds = [] if settings.feed.type == "none" else ["feed"]
    return ["capture"] * settings.capture.workers + feeds + ["check"] + roles


def _points(migration: Migration) -> int:
    with migration.stores() as both:
        return sum(both.source.count(plan.mapping.source.name) for plan in both.plans)


class _Screen:
    """Two bars, read and written; lines of the workers above them."""

    def __init__(self, progress: Progress, total: int, *, quiet: bool) -> None:
        self._progress = progress
        self._quiet = quiet
        self._read = progress.add_task("read into the log", total=total, rate="")
        self._written = progress.add_task("written to the target", total=total, rate="")

    def say(self, line: str) -> None:
        """Print a line above the bars, on standard error."""
        err.print(escape(line), soft_wrap=True)

    def show(self, now: Reached) -> None:
        """Move the bars to where the migration is."""
        for task, done in ((self._read, now.rows), (self._written, now.applied)):
            total = self._progress.tasks[task].total or 0
            speed = self._progress.tasks[task].speed or 0.0
            self._progress.update(
                task, completed=done, total=max(total, done), rate=f"{speed:,.0f} points/s"
            )


@contextlib.contextmanager
def _screen(total: int, *, quiet: bool) -> Iterator[_Screen]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet) as progress:
        yield _Screen(progress, total, quiet=quiet)


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set ``stop``; a second one ends the program at once."""

    def first(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _broker(migration: Migration) -> Iterator[None]:
    """Start the embedded broker where the settings ask for it, and leave its address for other commands.

    Raises:
        ConfigError: Another ``up`` of this migration runs here.
    """
    if not migration.settings.log.embedded:
        yield
        return
    folder: Path = run_folder(migration.settings.name)
    folder.mkdir(parents=True, exist_ok=True)
    address = folder / "broker"
    lock = folder / "pid"
    if lock.exists() and _lives(int(lock.read_text() or 0)):
        raise ConfigError(
            f"`vecferry up` of {migration.settings.name!r} runs already, as process {lock.read_text()}"
        )
    with EmbeddedBroker() as broker:
        _write(lock, str(os.getpid()))
        _write(address, broker.bootstrap_servers)
        try:
            yield
        finally:
            address.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Write a file so that nobody reads half of it."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
