"""The ``feed`` role: finding changes in the source itself, as ``[feed]`` says."""

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vecferry.cli.migration import run_folder
from vecferry.log.pauses import is_paused
from vecferry.producers.feeds.logical import LogicalFeed
from vecferry.producers.feeds.rounds import FeedLog, Rounds
from vecferry.producers.feeds.teller import CaptureProgress, Teller
from vecferry.settings import Settings

if TYPE_CHECKING:
    from vecferry.cli.roles import Shift


def state_folder(settings: Settings) -> Path:
    """Return where the feed keeps what it has seen."""
    chosen = settings.feed.state
    return (
        run_folder(settings.name) / "feed"
        if chosen is None
        else chosen.expanduser() / settings.name
    )


def run_feed(shift: "Shift") -> None:
    """Feed until the shift ends. The process is registered as a feed by its role's name.

    Raises:
        ConfigError: ``[feed]`` names none, or its state cannot be kept.
        HaltError: The source or the log cannot be relied on.
    """
    if shift.migration.settings.feed.type == "logical":
        _follow_log(shift)
        return
    migration, control = shift.migration, shift.control
    settings = migration.settings
    record = control.latest("migration")[settings.name]

    with (
        shift.store("source") as store,
        shift.publisher() as publisher,
        contextlib.closing(CaptureProgress(migration.connection, migration.topics)) as progress,
    ):
        origin = f"{record.at_ms}/{record.offset}"
        paused = partial(is_paused, control)
        log = FeedLog(shift.hint_writer(publisher), progress.is_past, paused, origin)
        rounds = Rounds(settings.feed, store, log, state_folder(settings), shift.stop)
        rounds.run(shift.names)


def _follow_log(shift: "Shift") -> None:
    settings, control = shift.migration.settings, shift.control
    with shift.store("source") as store, shift.publisher() as publisher:
        teller = Teller(shift.hint_writer(publisher), shift.stop)
        feed = LogicalFeed(settings.name, store, control, teller, shift.stop)
        feed.run(shift.names, partial(is_paused, control), settings.feed.every_s)
