"""Processes that fell silent without a farewell: one that watches the others puts them on record.

A command that only looks has watched nobody, and clocks of different machines
prove nothing. So the ``check`` role writes what it sees, once for each silence.
"""

from collections.abc import Callable

from vecferry.log.control import Control
from vecferry.log.members import KIND, left
from vecferry.record import ControlRecord

_SILENT = "silent"


def note_silences(control: Control, alive: Callable[[str], bool]) -> list[str]:
    """Put on record who is registered and no longer heard; any process may, any number of times.

    Args:
        control: Read to its end lately.
        alive: :meth:`vecferry.log.members.Member.alive` of the calling process.

    Returns:
        Whose silence was new.

    Raises:
        HaltError: ``control`` cannot be written.
        UnknownOutcome: Kafka does not answer; call again.
    """
    new = []
    for name, record in present(control).items():
        if not alive(name):
            # a heartbeat after this one makes the note void by itself
            control.append(_SILENT, name, {"since": record.offset}, timeout_s=15.0)
            new.append(name)
    return new


def present(control: Control) -> dict[str, ControlRecord]:
    """Return the newest record of each process that has neither left nor fallen silent."""
    silent = control.latest(_SILENT)
    return {
        name: record
        for name, record in control.latest(KIND).items()
        if not left(record) and (name not in silent or silent[name].body["since"] != record.offset)
    }
