"""The rules by which a schema may change, as a function that says which one is broken.

Old records stay in the log for as long as a migration can be rolled back, and
during an upgrade old programs read what new ones write. So every version must
read every other one, in both directions, not only its neighbour:

- a new field has a default; a field is removed only when it had one;
- a field keeps its name and its type; not even int may become long, because an
  old reader cannot go back;
- an enumeration may get new symbols, because each has a default that an old
  reader takes for what it does not know;
- a union keeps its branches.

The matching is that of Avro 1.11, "Schema Resolution".
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

_PROMOTED = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


def check_history(current: Any, released: Sequence[Any]) -> list[str]:
    """Return what is wrong with a schema's history; empty when it may be released.

    Args:
        current: The schema in use.
        released: Every version, oldest first, as parsed JSON.
    """
    found = []
    if not released or _bare(current) != _bare(released[-1]):
        found.append(f"the current schema is not version {len(released)}: release it as the next")
    for (new, reader), (old, writer) in permutations(enumerate(released, 1), 2):
        found += [
            f"version {new} cannot read version {old}: {why}" for why in unreadable(reader, writer)
        ]
    return found


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Return why a reader's schema cannot read what a writer's wrote; empty when it can.

    Both are JSON as in an ``.avsc`` file, not yet parsed.
    """
    return _Match(_named(reader), _named(writer)).compare(reader, writer, "")


def undocumented(schema: Any) -> list[str]:
    """Return the paths of fields, records and enumerations without a ``doc``."""
    return _without_doc(schema, "")


class _Match:
    def __init__(self, readers: Mapping[str, Any], writers: Mapping[str, Any]) -> None:
        self._readers, self._writers = readers, writers
        self._seen: set[tuple[int, int]] = set()  # a recursive type is looked at once

    def compare(self, reader: Any, writer: Any, path: str) -> list[str]:
        reader, writer = _resolve(reader, self._readers), _resolve(writer, self._writers)
        if isinstance(writer, list):
            return [why for branch in writer for why in self.compare(reader, branch, path)]
        if isinstance(reader, list):
            tried = [self.compare(branch, writer, path) for branch in reader]
            if any(not reasons for reasons in tried):
                return []
            alike = [
                reasons
                for branch, reasons in zip(reader, tried, strict=True)
                if _same_name(_resolve(branch, self._readers), writer)
            ]
            return (
                alike[0] if alike else [f"{_at(path)}no branch of the union takes {_kind(writer)}"]
            )
        if _kind(reader) != _kind(writer):
            if _kind(reader) in _PROMOTED.get(_kind(writer), ()):
                return []
            return [f"{_at(path)}{_kind(writer)} became {_kind(reader)}"]
        return self._compare_alike(reader, writer, path)

    def _compare_alike(self, reader: Any, writer: Any, path: str) -> list[str]:
        kind = _kind(reader)
        if kind in ("record", "enum", "fixed") and not _same_name(reader, writer):
            return [f"{_at(path)}the {kind} {writer['name']} became {reader['name']}"]
        if kind == "record":
            return self._compare_records(reader, writer, path)
        if kind == "enum":
            lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if lost and "default" not in reader:
                return [f"{_at(path)}the reader has no default for {', '.join(lost)}"]
        elif kind == "fixed" and reader["size"] != writer["size"]:
            return [f"{_at(path)}fixed of {writer['size']} bytes became {reader['size']}"]
        elif kind in ("array", "map"):
            inner = "items" if kind == "array" else "values"
            return self.compare(reader[inner], writer[inner], f"{path}[]")
        return []

    def _compare_records(self, reader: Any, writer: Any, path: str) -> list[str]:
        pair = (id(reader), id(writer))
        if pair in self._seen:
            return []
        self._seen.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        found = []
        for field in reader["fields"]:
            inside = f"{path}.{field['name']}" if path else field["name"]
            names = [field["name"], *field.get("aliases", ())]
            match = next((written[name] for name in names if name in written), None)
            if match is not None:
                found += self.compare(field["type"], match["type"], inside)
            elif "default" not in field:
                found.append(f"{_at(inside)}it was not written and has no default")
        return found


def _named(schema: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(part: Any) -> None:
        if isinstance(part, list):
            for inner in part:
                visit(inner)
        elif isinstance(part, dict):
            if part.get("type") in ("record", "enum", "fixed"):
                found[_short(part["name"])] = part
            for inner in (part.get("type"), part.get("items"), part.get("values")):
                if isinstance(inner, dict | list):
                    visit(inner)
            for field in part.get("fields", ()):
                visit(field["type"])

    visit(schema)
    return found


def _resolve(schema: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(schema, str):
        return named.get(_short(schema), schema)
    if isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
        return _resolve(schema["type"], named)
    return schema


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _same_name(reader: Any, writer: Any) -> bool:
    # by the unqualified name, as the specification has it
    if not (isinstance(reader, dict) and isinstance(writer, dict)):
        return False
    names = {_short(name) for name in (reader.get("name", ""), *reader.get("aliases", ()))}
    return _short(writer.get("name", "")) in names


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _at(path: str) -> str:
    return f"{path}: " if path else ""


def _bare(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _bare(inner) for name, inner in part.items() if name != "doc"}
    return [_bare(inner) for inner in part] if isinstance(part, list) else part


def _without_doc(part: Any, path: str) -> list[str]:
    if isinstance(part, list):
        return [found for inner in part for found in _without_doc(inner, path)]
    if not isinstance(part, dict):
        return []
    inside = f"{path}.{part['name']}" if path and "name" in part else part.get("name", path)
    found = [inside] if "name" in part and not part.get("doc") else []
    for name in ("type", "items", "values", "fields"):
        found += _without_doc(part.get(name), inside)
    return found
