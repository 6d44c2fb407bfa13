"""Write the tables of ``docs/configuration.md`` from ``vecferry.settings``.

``python tools/configuration.py`` writes them between the page's markers; a test
holds the page against what this makes. The defaults and limits are the classes'
own, the reasons are the strings below each field in the source.
"""

import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vecferry.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- the tables are made by tools/configuration.py -->"
END = "<!-- the end of the tables -->"
_SIGNS = {"gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ "}


class UnexplainedError(Exception):
    """A setting has no string below it that says what it is for."""


def sections(settings: type[BaseModel] = Settings) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each table's heading and class; ``[source]`` and ``[target]`` are one."""
    yield "The top", settings
    seen: dict[type[BaseModel], list[str]] = {}
    for name, field in settings.model_fields.items():
        for model in _models(field.annotation):
            mark = f"`[[{name}]]`" if model is not field.annotation else f"`[{name}]`"
            seen.setdefault(model, []).append(mark)
    for model, marks in seen.items():
        yield " and ".join(marks), model
        for name, field in model.model_fields.items():
            for inner in _models(field.annotation):
                yield f"`{marks[0].strip('`[]')}.{name}`", inner


def table(model: type[BaseModel]) -> list[str]:
    """Return the lines of one class's table.

    Raises:
        UnexplainedError: A field says nothing of itself.
    """
    explained = _explained(model)
    lines = ["| setting | default | what and why |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if model is Settings and any(_models(field.annotation)):
            continue  # has a table of its own
        if name not in explained:
            raise UnexplainedError(f"{model.__name__}.{name} has no string below it")
        default = (
            "required"
            if field.is_required()
            else f"`{_toml(field.get_default(call_default_factory=True))}`"
        )
        reason = " ".join(explained[name].split()).replace("``", "`").replace("|", "\\|")
        limits = _limits(field.metadata)
        lines.append(f"| `{name}` | {default} | {reason}{f' ({limits})' if limits else ''} |")
    return lines


def render() -> str:
    """Return all tables as Markdown."""
    lines: list[str] = []
    for heading, model in sections():
        lines += [f"### {heading}", "", *table(model), ""]
    return "\n".join(lines)


def replaced(page: str) -> str:
    """Return the page with fresh tables between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{render()}\n{END}{after}"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for one in (annotation, *typing.get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def _explained(model: type[BaseModel]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in model.__bases__:
        if issubclass(base, BaseModel) and base.model_fields:
            found |= _explained(base)
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = str(below.value.value)
    return found


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, float):
        return f"{value:g}" if value < 1e-3 else f"{value:_}"
    if isinstance(value, str):
        return f'"{value}"'
    return "{}" if isinstance(value, dict | types.MappingProxyType | BaseModel) else "[]"


def _limits(metadata: Sequence[Any]) -> str:
    limits = []
    for constraint in metadata:
        for name, sign in _SIGNS.items():
            bound = getattr(constraint, name, None)
            if bound is not None:
                limits.append(f"{sign}{bound:g}" if bound < 1000 else f"{sign}{bound:_}")
        pattern = getattr(constraint, "pattern", None)
        if pattern:
            limits.append(f"`{re.sub('[|]', chr(92) + '|', pattern)}`")
    return ", ".join(limits)


def main() -> int:
    """Write the page."""
    PAGE.write_text(replaced(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
