"""The plan for people: tables, notes and refusals."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from vecferry.cli.output import out
from vecferry.log.topics import Premise

_COLOURS = {
    "exact": "green",
    "widened": "cyan",
    "carried": "cyan",
    "lossy": "yellow",
    "dropped": "red",
}


def show_plan(document: dict[str, Any]) -> None:
    """Print the plan for people."""
    out.print(f"[bold]{document['name']}[/]: {document['source']} → {document['target']}")
    if document["log"]["embedded"]:
        out.print(
            "[yellow]The log is an embedded broker in memory: for trying Vecferry, not for a migration that matters.[/]"
        )
    show_premises([Premise(**each) for each in document["log"]["premises"]])
    for each in document["collections"]:
        _show_collection(each)
    _show_capture(document["capture"])
    _show_estimate(document["estimate"], document["log"]["partitions"])


def _show_collection(each: dict[str, Any]) -> None:
    out.print(
        f"\n[bold]{each['source']}[/] → [bold]{each['target']}[/]: {each['points']:,} points, "
        f"{each['sampled']:,} of them tried"
    )
    rows = []
    for field in each["fields"]:
        why = field["reason"]
        if field["example"]:
            why = f"{why} ({field['share']:.0%} of the sample, such as {field['example']})"
        colour = _COLOURS[field["rating"]]
        rating = f"[{colour}]{field['rating']}[/]"
        rows.append(
            (escape(field["field"]), rating, *map(escape, (field["source"], field["target"], why)))
        )
    _table(("field", "rating", "source", "target", "why"), rows)
    _table(
        ("index", "source", "target"),
        [
            (escape(f"vectors.{row['vector']}"), _words(row["source"]), _words(row["target"]))
            for row in each["index"]
        ],
    )
    limits = [[escape(row[of]) for of in ("field", "source", "target")] for row in each["limits"]]
    if limits:
        _table(("typed field", "source", "target"), limits)
    for warning in each["warnings"]:
        out.print(f"[yellow]note[/] {escape(warning)}")
    for refusal in each["refusals"]:
        out.print(f"[red]refused[/] {escape(refusal)}")


def _words(index: dict[str, Any]) -> str:
    return escape(", ".join(f"{name} {value}" for name, value in index.items()) or "its own choice")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _show_capture(capture: dict[str, Any]) -> None:
    feeds = ", ".join(capture["feeds"]) or "none"
    out.print(f"\n[bold]capture[/]: the feeds for this source are {escape(feeds)}")
    for unseen in capture["unseen"]:
        out.print(f"[yellow]unseen[/] {escape(unseen)}")
    for warning in capture["warnings"]:
        out.print(f"[yellow]note[/] {escape(warning)}")


def _show_estimate(estimate: dict[str, Any], partitions: int) -> None:
    out.print("\n[bold]estimate[/]")
    fits = "" if estimate["record_fits"] else " [red]larger than the broker takes[/]"
    rows = [
        ("points", f"{estimate['points']:,}"),
        (
            "a record of the log",
            f"{estimate['record_mean']:,.0f} bytes, the largest sampled {estimate['record_max']:,}{fits}",
        ),
        ("partitions", f"{estimate['partitions']} recommended, {partitions} set"),
        ("log", _bytes(estimate["log"])),
        ("log, all copies", _bytes(estimate["log_replicated"])),
        ("log, each broker", _bytes(estimate["log_per_broker"])),
    ]
    for side in ("source", "target"):
        rows += [(f"{side}, {what}", _bytes(estimate[side][what])) for what in ("memory", "disk")]
    rows += [(f"{phase}", f"{_range(took)} h") for phase, took in estimate["hours"].items()]
    units = f", {estimate['read_units']:,} read units" if estimate["read_units"] else ""
    rows.append(("reads of the source a pass", f"{estimate['reads']:,} points{units}"))
    rows += [
        (f"a week of the {side}", f"{_range(cost)} {escape(estimate['currency'])}")
        for side, cost in estimate["week"].items()
    ]
    if estimate["once"]:
        rows.append(("units, once", f"{estimate['once']:,.2f} {escape(estimate['currency'])}"))
    _table(("", ""), rows)
    for assumption in estimate["assumptions"]:
        out.print(f"[dim]assumed[/] {escape(assumption)}")


def _range(span: dict[str, float]) -> str:
    low, high = (f"{span[end]:,.2f}" for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def _bytes(span: dict[str, float]) -> str:
    unit, size = next(
        (
            (unit, size)
            for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
            if span["high"] >= size
        ),
        ("kB", 1e3),
    )
    return f"{span['low'] / size:,.1f} to {span['high'] / size:,.1f} {unit}"


def show_access(document: dict[str, Any]) -> None:
    """Print what each role needs: a table, then lines for ``kafka-acls``."""
    rows = [
        (each["role"], each["resource"], escape(each["name"]), ", ".join(each["operations"]))
        for each in document["kafka"]
    ]
    _table(("role", "resource", "name", "operations"), rows)
    for lack in document["missing"] or ():
        operations = ", ".join(lack["operations"])
        out.print(
            f"[red]missing[/] {escape(lack['name'])}: this client may not {operations}, which "
            f"{lack['role']} needs; the lines below grant it"
        )
    if document["missing"] is None:
        out.print("[yellow]note[/] no broker was asked whether this client has these rights")
    for side in ("source", "target"):
        for roles, rights in document[side].items():
            out.print(f"[bold]{side}[/] ({roles}): {escape(rights)}")
    out.print()
    for line in document["lines"]:
        out.print(escape(line), soft_wrap=True)


def show_premises(premises: list[Premise]) -> None:
    """Print the broker's premises that are not met."""
    for premise in premises:
        if not premise.ok:
            out.print(
                f"[yellow]broker[/] {escape(premise.name)} is {escape(str(premise.value))}, "
                f"wanted {escape(str(premise.wanted))}: {escape(premise.help)}"
            )
