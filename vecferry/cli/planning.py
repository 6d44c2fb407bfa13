"""``plan``: what will become of each collection, told beforehand; writes nothing."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from vecferry.cli.migration import Both, Migration
from vecferry.cli.output import out
from vecferry.log.topics import Premise, check_topics

_COLOURS = {
    "exact": "green",
    "widened": "cyan",
    "carried": "cyan",
    "lossy": "yellow",
    "dropped": "red",
}


def plan_document(migration: Migration, both: Both) -> dict[str, Any]:
    """Return the whole plan as JSON values."""
    premises = _premises(migration)
    return {
        "name": migration.settings.name,
        "source": both.source.version(),
        "target": both.target.version(),
        "log": {
            "embedded": migration.settings.log.embedded,
            "partitions": migration.settings.log.partitions,
            "premises": [premise._asdict() for premise in premises],
        },
        "collections": [
            {
                "source": plan.mapping.source.name,
                "target": plan.mapping.target.name,
                "points": both.source.count(plan.mapping.source.name),
                "vectors": dict(plan.mapping.vectors),
                "fields": [field._asdict() for field in plan.fields],
                "refusals": list(plan.refusals),
                "warnings": list(plan.warnings),
            }
            for plan in both.plans
        ],
    }


def _premises(migration: Migration) -> list[Premise]:
    """Return the broker's premises as far as the topics are there already."""
    log = migration.settings.log
    if log.embedded:
        return []
    found = check_topics(migration.connection, migration.topics, log)
    return [premise for premise in found if premise.value != "not there"]


def show_plan(document: dict[str, Any]) -> None:
    """Print the plan for people."""
    out.print(f"[bold]{document['name']}[/]: {document['source']} → {document['target']}")
    if document["log"]["embedded"]:
        out.print(
            "[yellow]The log is an embedded broker in memory: for trying Vecferry, not for a migration that matters.[/]"
        )
    show_premises([Premise(**each) for each in document["log"]["premises"]])
    for each in document["collections"]:
        out.print(
            f"\n[bold]{each['source']}[/] → [bold]{each['target']}[/]: {each['points']:,} points"
        )
        table = Table(box=None, pad_edge=False)
        for head in ("field", "rating", "source", "target", "why"):
            table.add_column(head, overflow="fold")
        for field in each["fields"]:
            colour = _COLOURS[field["rating"]]
            cells = [escape(field[name]) for name in ("source", "target", "reason")]
            table.add_row(escape(field["field"]), f"[{colour}]{field['rating']}[/]", *cells)
        out.print(table)
        for warning in each["warnings"]:
            out.print(f"[yellow]note[/] {escape(warning)}")
        for refusal in each["refusals"]:
            out.print(f"[red]refused[/] {escape(refusal)}")


def show_premises(premises: list[Premise]) -> None:
    """Print the broker's premises that are not met."""
    for premise in premises:
        if not premise.ok:
            out.print(
                f"[yellow]broker[/] {escape(premise.name)} is {escape(str(premise.value))}, "
                f"wanted {escape(str(premise.wanted))}: {escape(premise.help)}"
            )
