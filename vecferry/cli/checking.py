"""``check``: both sides compared, point by point."""

from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vecferry.cli.migration import Migration
from vecferry.cli.output import err, out
from vecferry.parity.full import FullCheck, FullReport, Pair

_SHOWN = 20


def check_all(migration: Migration, *, quiet: bool) -> list[FullReport]:
    """Run the full tier over every collection, with a progress bar unless ``quiet``."""
    parity = migration.settings.parity
    with migration.stores() as both:
        return [check_pair(pair, parity, quiet=quiet) for pair in both.pairs(parity.tolerance)]


def check_pair(pair: Pair, parity: Any, *, quiet: bool = False) -> FullReport:
    """Run the full tier over one collection."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet, transient=True) as progress:
        name = pair.mapping.source.name
        tasks = {
            "source": progress.add_task(f"{name}: source", total=pair.source.count(name), rate=""),
            "target": progress.add_task(
                f"{name}: target", total=pair.target.count(pair.mapping.target.name), rate=""
            ),
        }

        def advance(side: str, points: int) -> None:
            speed = progress.tasks[tasks[side]].speed or 0.0
            progress.update(tasks[side], advance=points, rate=f"{speed:,.0f}/s")

        return FullCheck(pair, parity, advance).run()


def report_document(report: FullReport) -> dict[str, Any]:
    """Return a report as JSON values."""
    return {
        "collection": report.collection,
        "equal": report.is_equal,
        "empty": report.is_empty,
        "points": {"source": report.source_points, "target": report.target_points},
        "counts": {"source": report.source_count, "target": report.target_count},
        "left_out": report.left_out,
        "digest": report.digest,
        "unequal_buckets": report.unequal_buckets,
        "mismatches": [
            {"kind": each.kind.value, "key": str(each.key), "fields": list(each.fields)}
            for each in report.mismatches
        ],
    }


def show_report(report: FullReport) -> None:
    """Print a report for people."""
    verdict = "[green]equal[/]" if report.is_equal else "[red]not equal[/]"
    if report.is_equal and report.is_empty:
        verdict = "[yellow]nothing to compare, both sides are empty[/]"
    out.print(
        f"{escape(report.collection)}: {verdict}: {report.source_points:,} points in the source, "
        f"{report.target_points:,} in the target, digest {report.digest[:16]}…"
    )
    if report.left_out:
        out.print(
            f"  the transforms leave {report.left_out:,} points of the source out of the target"
        )
    for side, passed, counted in (
        ("source", report.source_points, report.source_count),
        ("target", report.target_points, report.target_count),
    ):
        if passed != counted:
            out.print(
                f"  the {side} counts {counted:,} points and a pass over it returned {passed:,}: is it being written to?"
            )
    for each in report.mismatches[:_SHOWN]:
        out.print(
            f"  {each.kind.value} {escape(str(each.key))} {', '.join(map(escape, each.fields))}"
        )
    if len(report.mismatches) > _SHOWN:
        out.print(f"  and {len(report.mismatches) - _SHOWN:,} more: --json lists them all")
