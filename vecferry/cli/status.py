"""``status`` and ``wait``: how far a migration is."""

import time
from typing import Any

from rich.markup import escape
from rich.table import Table

from vecferry.cli.migration import Migration
from vecferry.cli.output import out
from vecferry.cli.progress import Reached, reached
from vecferry.log.control import Control
from vecferry.log.writers import Writers


def status_of(migration: Migration, control: Control) -> Reached:
    """Return how far the migration is, by its control log alone."""
    record = control.latest("migration").get(migration.settings.name)
    pairs: Any = [] if record is None else record.body["collections"]
    return reached(
        control,
        [source for source, _ in pairs],
        migration.settings.log.partitions,
        migration.settings.capture.expected_writers,
    )


def status_document(migration: Migration, now: Reached) -> dict[str, Any]:
    """Return the status as JSON values."""
    return {
        "name": migration.settings.name,
        "phase": now.phase,
        "paused": now.is_paused,
        "chunks": {"all": now.chunks, "certified": now.certified},
        "points": {"read": now.rows, "written": now.applied},
        # a seeded target may hold everything: then no row is needed
        "empty": now.is_empty and migration.settings.snapshot.mode == "full",
        "behind": {str(at): records for at, records in now.behind.items()},
        "diverged": now.dead,
        "workers": now.workers,
        "lag": {"capture_s": now.live.capture_s, "total_s": now.live.total_s},
        "oldest_intent_s": now.live.oldest_intent_s,
        "rescans": list(now.live.rescans),
        "feeds": list(now.live.feeds),
        "writers": _writers_document(now.live.writers),
    }


def _writers_document(writers: Writers) -> dict[str, Any]:
    return {
        "expected": [{**each._asdict(), "missing": each.missing} for each in writers.expected],
        "unexpected": dict(writers.unexpected),
        "vouched": writers.vouched,
        "reasons": writers.reasons,
    }


def show_status(document: dict[str, Any]) -> None:
    """Print the status for people."""
    paused = " [yellow](paused: `vecferry resume` goes on)[/]" if document["paused"] else ""
    out.print(f"[bold]{escape(document['name'])}[/]: {document['phase']}{paused}")
    if document["empty"]:
        out.print("[yellow]nothing was read: the source's collections held no point[/]")
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
        table.add_row("feed", escape(_spelled(feed)))
    _add_writers(table, document["writers"])


def _spelled(feed: dict[str, Any]) -> str:
    named = f"{feed['writer']}, " if feed.get("writer") else ""
    where = f"{feed.get('host', '?')} process {feed.get('pid', '?')}"
    flight = f", {feed['in_flight']} in flight" if "in_flight" in feed else ""
    seen_s = max(0.0, time.time() - feed["seen_at_ms"] / 1_000)
    passed_by = feed.get("passed_by")
    past = f", writes also what does not move: {', '.join(passed_by)}" if passed_by else ""
    version = feed.get("version", "?")
    return f"{named}{where}, version {version}{flight}, seen {seen_s:.0f} s ago{past}"


def _add_writers(table: Table, document: dict[str, Any]) -> None:
    for each in document["expected"]:
        missing = f"[yellow], {each['missing']} missing[/]" if each["missing"] else ""
        vouched = escape(f" (vouched for: {each['vouched']})") if each["vouched"] else ""
        spelled = f"{escape(each['name'])}: {each['registered']} of {each['expected']}"
        table.add_row("writer", f"{spelled}{missing}{vouched}")
    for name, count in document["unexpected"].items():
        called = escape(name) if name else "without a name"
        table.add_row("writer", f"[yellow]not expected:[/] {called}, {count} of them")
    if document["vouched"]:
        table.add_row("all writers", escape(f"vouched for: {document['vouched']}"))
