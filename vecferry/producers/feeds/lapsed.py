"""Feeding processes that fell silent while they may have written untold: their collections are read again."""

from collections.abc import Callable, Iterable

from vecferry.log.control import Control
from vecferry.log.members import KIND, left
from vecferry.producers.passes import ask


def ask_for_lapsed(
    control: Control, alive: Callable[[str], bool], collections: Iterable[str]
) -> list[str]:
    """Ask for the rescans that processes with ``on_log_down = "rescan"`` left behind.

    Such a process lets writes out while the log is away, and asks for the
    rescans itself when the log is back. One that is gone by then has only its
    registration, without a farewell. May be called any number of times, by any
    process that watches the others: each silence is asked for once.

    Args:
        control: Read to its end lately.
        alive: :meth:`vecferry.log.members.Member.alive` of the calling process.
        collections: The source's names that move; nobody knows which one it wrote.

    Returns:
        The names of the processes whose silence was new.

    Raises:
        HaltError: ``control`` cannot be written.
        UnknownOutcome: Kafka does not answer; call again.
    """
    asked = set(control.latest("rescan"))
    new = []
    for name, record in control.latest(KIND).items():
        if record.body.get("on_log_down") != "rescan" or left(record) or alive(name):
            continue
        wanted = {scope: f"lapsed/{name}/{record.offset}/{scope}" for scope in collections}
        missing = {scope: key for scope, key in wanted.items() if key not in asked}
        for scope, key in missing.items():
            ask(control, key, scope, "a process that writes while the log is away fell silent")
        if missing:
            new.append(name)
    return new
