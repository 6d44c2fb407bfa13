"""One role in this process: what ``up`` starts and what a container runs."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from vecferry.cli.drifting import SchemaWatch
from vecferry.cli.feeding import run_feed
from vecferry.cli.migration import Migration
from vecferry.cli.parent import end_with_parent
from vecferry.cli.planning import prepared_schemas, require_kept
from vecferry.cli.preparing import prepared, prepared_transforms
from vecferry.cli.watching import Checker
from vecferry.consumers.apply import Applier, ApplyLog, Target
from vecferry.log.control import Control
from vecferry.log.hints import HintWriter
from vecferry.log.members import Member
from vecferry.log.publish import Publisher
from vecferry.mapping.names import Mapping
from vecferry.mapping.transforms import passage
from vecferry.ports import Store
from vecferry.producers.capture import CaptureWorker
from vecferry.producers.chunks import ChunkBoard
from vecferry.producers.event_log import EventLog
from vecferry.producers.extras import extra_keys, hint_extras
from vecferry.producers.feeds.lapsed import ask_for_lapsed
from vecferry.producers.passes import Rescan, ask_extras_once
from vecferry.producers.readback import newest_claims
from vecferry.producers.rescan import RescanWorker
from vecferry.producers.seeding import differing
from vecferry.producers.snapshot import Select, SnapshotWorker
from vecferry.stores import open_store

_log = logging.getLogger(__name__)


def run_role(migration: Migration, role: str, *, once: bool = False) -> None:
    """Run one role until it is done or told to stop; SIGTERM and SIGINT drain it.

    Raises:
        HaltError: Going on could lose data.
        ConfigError: The migration was not prepared, or a store refuses us.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    end_with_parent()
    with migration.control() as control:
        mappings = prepared(migration, control)
        require_kept(migration, control)
        with _registered(migration, control, role) as member:
            _ROLES[role](Shift(migration, control, member, mappings, stop, once))


@dataclass(frozen=True, slots=True)
class Shift:
    """What a role works with.

    Attributes:
        migration: Its settings and its log.
        control: Read to its end once.
        member: This process, registered.
        mappings: One for each collection.
        stop: Set when the work should end.
        once: Nothing captures, and nothing is read a second time.
    """

    migration: Migration
    control: Control
    member: Member
    mappings: list[Mapping]
    stop: threading.Event
    once: bool

    @property
    def names(self) -> list[str]:
        """The source's names of the collections."""
        return [mapping.source.name for mapping in self.mappings]

    def event_log(self, publisher: Publisher) -> EventLog:
        """Return what a producer writes to."""
        migration = self.migration
        partitions = migration.settings.log.partitions
        return EventLog(publisher, migration.topics, migration.codec, partitions, self.control)

    def hint_writer(self, publisher: Publisher) -> HintWriter:
        """Return what writes hints."""
        migration = self.migration
        partitions = migration.settings.log.partitions
        return HintWriter(publisher, migration.codec, migration.topics, partitions)

    @contextlib.contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """Open a publisher."""
        with contextlib.closing(Publisher(self.migration.connection)) as publisher:
            yield publisher

    @contextlib.contextmanager
    def store(self, side: str) -> Iterator[Store]:
        """Open the ``source`` or the ``target``."""
        with contextlib.closing(open_store(getattr(self.migration.settings, side))) as store:
            yield store


@contextlib.contextmanager
def _registered(migration: Migration, control: Control, role: str) -> Iterator[Member]:
    member = Member(control, role, migration.settings.log.heartbeat_s)
    try:
        yield member
    finally:
        member.close()


def _snapshot(shift: Shift) -> None:
    settings = shift.migration.settings
    board = ChunkBoard(shift.control, shift.member.name, shift.member.alive)
    with (
        shift.store("source") as source,
        shift.publisher() as publisher,
        _seeded(shift) as select,
    ):
        log = shift.event_log(publisher)
        worker = SnapshotWorker(settings.snapshot, source, log, board, shift.stop)
        worker.select = select
        if not shift.once:
            _await_capture(shift)
        if not worker.run(shift.names):
            return

        def hint_extras(rescan: Rescan) -> int:
            return _hint_extras(shift, source, publisher, rescan)

        rescans = RescanWorker(shift.control, worker, board, hint_extras, shift.stop)
        rescans.run(shift.names, once=shift.once)


@contextlib.contextmanager
def _seeded(shift: Shift) -> Iterator[Select | None]:
    """Open what tells which points a seeded target lacks; None where it began empty.

    What only the target has is looked for once, after the first pass.
    """
    settings = shift.migration.settings
    if settings.snapshot.mode != "seeded":
        yield None
        return
    for name in shift.names:
        ask_extras_once(shift.control, f"seeded/{name}", name, "the target was seeded")
    with shift.migration.stores() as both:
        yield differing(both.pairs(settings.parity.tolerance))


def _await_capture(shift: Shift) -> None:
    """Wait until every hints partition has an owner: capture starts before the first OPEN."""
    prefix = f"capture/{shift.migration.topics.direction}/"
    partitions = set(range(shift.migration.settings.log.partitions))
    while not shift.stop.is_set():
        claims = [(record.name, record.offset) for record in shift.control.history("claim")]
        if newest_claims(claims, prefix).keys() >= partitions:
            return
        shift.control.wait_change(1.0)


def _hint_extras(shift: Shift, source: Store, publisher: Publisher, rescan: Rescan) -> int:
    settings = shift.migration.settings
    if any(each.allow_not_empty for each in settings.collections):
        _log.warning("extras are not looked for: allow_not_empty, so some points may not be ours")
        return 0
    (mapping,) = [each for each in shift.mappings if each.source.name == rescan.scope]
    with shift.store("target") as target:
        keys = extra_keys(source, target, mapping, shift.stop)
        return hint_extras(keys, shift.hint_writer(publisher), f"extras@{rescan.asked_at}")


def _capture(shift: Shift) -> None:
    migration = shift.migration
    with shift.store("source") as source, shift.publisher() as publisher:
        log = shift.event_log(publisher)
        worker = CaptureWorker(migration.settings.capture, source, shift.names, log)
        planned = prepared_schemas(migration, shift.control)
        every_s = migration.settings.plan.drift_s
        with SchemaWatch(source, planned, every_s, shift.stop).running():
            worker.run(migration.connection, shift.stop)


def _check(shift: Shift) -> None:
    with shift.publisher() as publisher:
        partitions = shift.migration.settings.log.partitions
        hints = shift.hint_writer(publisher)
        alive = shift.member.alive
        ask = partial(ask_for_lapsed, shift.control, alive, shift.names)
        Checker(shift.control, hints, partitions, alive, ask).run(shift.stop)


def _apply(shift: Shift) -> None:
    migration = shift.migration
    transforms = prepared_transforms(migration, shift.control)
    with shift.store("target") as target, shift.publisher() as publisher:
        log = ApplyLog(
            migration.connection, migration.topics, migration.codec, shift.control, publisher
        )
        targets = {
            name: Target(target, mapping.target, passage(transforms[name], mapping))
            for name, mapping in zip(shift.names, shift.mappings, strict=True)
        }
        Applier(migration.settings, log, targets).run(shift.stop)


_ROLES: dict[str, Callable[[Shift], None]] = {
    "snapshot": _snapshot,
    "capture": _capture,
    "apply": _apply,
    "check": _check,
    "feed": run_feed,
}
