"""``up``: prepare, run every role under a supervisor, watch until all is applied."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vecferry.cli import planning, preparing
from vecferry.cli.migration import Migration, run_folder
from vecferry.cli.output import err
from vecferry.cli.progress import Reached
from vecferry.cli.status import status_of
from vecferry.cli.supervisor import Supervisor
from vecferry.errors import ConfigError, HaltError
from vecferry.log.control import Control
from vecferry.log.embedded import EmbeddedBroker

_LOOK_S = 0.5

Step = Callable[[Reached, Supervisor], None]
"""Called at every look, for who wants to do more than watch."""


def run_all(
    migration: Migration, log_format: str, *, quiet: bool, step: Step | None = None
) -> Reached:
    """Run every role until all is applied or the user stops it; return how far it came.

    SIGINT and SIGTERM drain: every worker finishes what it has in hand and
    commits, and a later ``up`` goes on from there.

    Raises:
        HaltError: A role stopped because going on could lose data.
    """
    stop = threading.Event()
    with _broker(migration), _signals(stop):
        premises = preparing.prepare(migration)
        if not quiet:
            planning.show_premises(premises)
        with migration.control() as control:
            return _watch(_Watched(migration, control, stop, quiet, step), log_format)


class _Watched:
    """What is looked at, and on which screen."""

    def __init__(
        self,
        migration: Migration,
        control: Control,
        stop: threading.Event,
        quiet: bool,
        step: Step | None,
    ) -> None:
        self.migration = migration
        self.control = control
        self.stop = stop
        self.quiet = quiet
        self.step = step

    def look(self) -> Reached:
        return status_of(self.migration, self.control)


def _watch(watched: _Watched, log_format: str) -> Reached:
    settings = watched.migration.settings
    roles = ["snapshot"] * settings.snapshot.workers + ["apply"] * settings.apply.workers
    total = _points(watched.migration)
    with _screen(total, quiet=watched.quiet) as screen:
        with Supervisor(watched.migration.path, roles, screen.say, log_format) as supervisor:
            reason = _until_done(watched, supervisor, screen)
            if watched.stop.is_set():
                screen.say("stopping: every worker finishes what it has in hand")
        watched.control.read_to_end()
        now = watched.look()
        screen.show(now)
    if reason is not None:
        raise HaltError(
            f"{reason}. Nothing more was committed; `vecferry up` goes on once the cause is gone"
        )
    return now


def _until_done(watched: _Watched, supervisor: Supervisor, screen: "_Screen") -> str | None:
    while not watched.stop.is_set():
        reason = supervisor.watch()
        now = watched.look()
        screen.show(now)
        if reason is not None:
            return reason
        if watched.step is not None:
            watched.step(now, supervisor)
        if now.is_applied:
            return None
        watched.stop.wait(_LOOK_S)
    return None


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
