"""``status`` and ``wait``: how far a migration is."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from vecferry.cli.migration import Migration
from vecferry.cli.output import out
from vecferry.cli.progress import Reached, reached
from vecferry.log.control import Control


def status_of(migration: Migration, control: Control) -> Reached:
    """Return how far the migration is, by its control log alone."""
    record = control.latest("migration").get(migration.settings.name)
    pairs: Any = [] if record is None else record.body["collections"]
    return reached(control, [source for source, _ in pairs], migration.settings.log.partitions)


def status_document(migration: Migration, now: Reached) -> dict[str, Any]:
    """Return the status as JSON values."""
    return {
        "name": migration.settings.name,
        "phase": now.phase,
        "paused": now.is_paused,
        "chunks": {"all": now.chunks, "certified": now.certified},
        "points": {"read": now.rows, "written": now.applied},
        "behind": {str(at): records for at, records in now.behind.items()},
        "diverged": now.dead,
        "workers": now.workers,
    }


def show_status(document: dict[str, Any]) -> None:
    """Print the status for people."""
    paused = " [yellow](paused: `vecferry resume` goes on)[/]" if document["paused"] else ""
    out.print(f"[bold]{escape(document['name'])}[/]: {document['phase']}{paused}")
    table = Table(box=None, show_header=False, pad_edge=False)
    chunks, points = document["chunks"], document["points"]
    table.add_row("chunks read", f"{chunks['certified']} of {chunks['all']}")
    table.add_row(
        "points", f"{points['read']:,} in the log, {points['written']:,} written to the target"
    )
    behind = document["behind"]
    table.add_row(
        "records behind",
        ", ".join(f"{at}: {n:,}" for at, n in behind.items())
        or "unknown: no applier has committed",
    )
    table.add_row(
        "workers",
        ", ".join(f"{n} {role}" for role, n in sorted(document["workers"].items())) or "none",
    )
    dead = document["diverged"]
    table.add_row("diverged keys", f"{dead}: see `vecferry dlq list`" if dead else "none")
    out.print(table)
