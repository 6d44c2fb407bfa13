"""What is wrong with a setting, in a line that names it and what it may be."""

import difflib
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def explain(problem: Any, settings: type[BaseModel]) -> str:
    """Return one line for one of pydantic's errors.

    Args:
        problem: One of ``ValidationError.errors()``.
        settings: The class that was validated; an unknown name is held against its fields.
    """
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(settings, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"it may be one of {', '.join(known)}"
        return f"{path!r} is not a setting: {hint}"
    if problem["type"] == "missing":
        return f"{path!r} is missing"
    return f"{path!r}: {problem['msg'].removeprefix('Value error, ')}" if path else problem["msg"]


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        # an index, or a name of the user's own, is no field and leads nowhere
        field = model.model_fields.get(part)
        model = next(_models(field.annotation), model) if field else model
    return sorted(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)
