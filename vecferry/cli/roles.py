"""One role in this process: what ``up`` starts and what a container runs."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vecferry.cli.migration import Migration
from vecferry.cli.parent import end_with_parent
from vecferry.cli.preparing import prepared
from vecferry.consumers.apply import Applier, ApplyLog, Target
from vecferry.log.control import Control
from vecferry.log.members import Member
from vecferry.log.publish import Publisher
from vecferry.mapping.names import Mapping
from vecferry.producers.chunks import ChunkBoard
from vecferry.producers.event_log import EventLog
from vecferry.producers.snapshot import SnapshotWorker
from vecferry.stores import open_store


def run_role(migration: Migration, role: str) -> None:
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
        with _registered(migration, control, role) as member:
            _ROLES[role](Shift(migration, control, member, mappings, stop))


@dataclass(frozen=True, slots=True)
class Shift:
    """What a role works with.

    Attributes:
        migration: Its settings and its log.
        control: Read to its end once.
        member: This process, registered.
        mappings: One for each collection.
        stop: Set when the work should end.
    """

    migration: Migration
    control: Control
    member: Member
    mappings: list[Mapping]
    stop: threading.Event


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
    names = [mapping.source.name for mapping in shift.mappings]
    with (
        contextlib.closing(open_store(settings.source)) as store,
        contextlib.closing(Publisher(shift.migration.connection)) as publisher,
    ):
        log = EventLog(
            publisher,
            shift.migration.topics,
            shift.migration.codec,
            settings.log.partitions,
            shift.control,
        )
        SnapshotWorker(settings.snapshot, store, log, board, shift.stop).run(names)


def _apply(shift: Shift) -> None:
    migration = shift.migration
    with (
        contextlib.closing(open_store(migration.settings.target)) as store,
        contextlib.closing(Publisher(migration.connection)) as publisher,
    ):
        log = ApplyLog(
            migration.connection, migration.topics, migration.codec, shift.control, publisher
        )
        targets = {
            mapping.source.name: Target(store, mapping.target, mapping.apply)
            for mapping in shift.mappings
        }
        Applier(migration.settings, log, targets).run(shift.stop)


_ROLES: dict[str, Callable[[Shift], None]] = {"snapshot": _snapshot, "apply": _apply}
