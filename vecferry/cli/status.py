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
        "lag": {"capture_s": now.live.capture_s, "total_s": now.live.total_s},
        "oldest_intent_s": now.live.oldest_intent_s,
        "rescans": list(now.live.rescans),
        "feeds": list(now.live.feeds),
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
    _add_live(table, document)
    out.print(table)


def _add_live(table: Table, document: dict[str, Any]) -> None:
    lag, workers = document["lag"], document["workers"]
    if lag["total_s"] is not None:
        spelled = f"{lag['total_s']:.1f} s to the target, {lag['capture_s']:.1f} s of it to the log"
    else:
        spelled = (
            "unknown: no `check` role has told" if "capture" in workers else "nothing captures"
        )
    table.add_row("lag", spelled)
    if document["oldest_intent_s"] is not None:
        table.add_row("oldest open write", f"{document['oldest_intent_s']:.0f} s")
    if document["rescans"]:
        table.add_row("rescans pending", escape(", ".join(document["rescans"])))
    for feed in document["feeds"]:
        flight = f", {feed['in_flight']} in flight" if "in_flight" in feed else ""
        where = f"{feed.get('host', '?')} process {feed.get('pid', '?')}"
        table.add_row("feed", escape(f"{where}, version {feed.get('version', '?')}{flight}"))
