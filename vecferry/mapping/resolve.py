"""From the names in the file to the collections that exist: patterns resolved."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from vecferry.errors import ConfigError
from vecferry.settings import CollectionSettings


def resolve_collections(
    wanted: Sequence[CollectionSettings], existing: Sequence[str]
) -> list[CollectionSettings]:
    """Return one entry for each collection that moves, in the order of the file.

    A pattern's ``*`` in ``target`` stands for the source's whole name.

    Raises:
        ConfigError: A name is not there (the nearest is given), a pattern
            matches nothing, or two sources would share one target.
    """
    resolved: list[CollectionSettings] = []
    for entry in wanted:
        names = (
            [entry.source]
            if "*" not in entry.source
            else sorted(name for name in existing if fnmatchcase(name, entry.source))
        )
        if not names:
            raise ConfigError(
                f"no collection of the source matches {entry.source!r}: it has {_list(existing)}"
            )
        for name in names:
            if name not in existing:
                near = difflib.get_close_matches(name, existing, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {_list(existing)}"
                raise ConfigError(f"the source has no collection {name!r}: {hint}")
            target = (entry.target or "*").replace("*", name)
            resolved.append(entry.model_copy(update={"source": name, "target": target}))
    _require_distinct([entry.source for entry in resolved], "source")
    _require_distinct([entry.target for entry in resolved], "target")
    return resolved


def entry_of(wanted: Sequence[CollectionSettings], name: str) -> CollectionSettings:
    """Return the file's entry for a collection of the source that was resolved from it.

    Raises:
        ConfigError: No entry names it, nor a pattern.
    """
    for entry in wanted:
        if entry.source == name or ("*" in entry.source and fnmatchcase(name, entry.source)):
            return entry
    raise ConfigError(
        f"[[collections]] has no entry for {name!r} any more, which this migration moves"
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(repr, sorted(names)[:20])) or "none"


def _require_distinct(names: Sequence[str], side: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"collection {name!r} is named twice as a {side}: each moves once, to a place of its own"
            )
