"""The operator's ``pause``: work stops in every process, and no process ends."""

from vecferry.log.control import Control

KIND = "pause"
ALL = "all"


def is_paused(control: Control, *names: str) -> bool:
    """Tell whether everything is paused, or one of what ``names`` says."""
    paused = control.latest(KIND)
    records = (paused.get(name) for name in (ALL, *names))
    return any(record is not None and bool(record.body.get("paused")) for record in records)


def pause(control: Control, *, paused: bool) -> None:
    """Put on record that everything is paused, or goes on."""
    control.append(KIND, ALL, {"paused": paused})
