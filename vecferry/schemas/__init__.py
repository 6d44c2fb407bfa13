"""The contract: what the records of the log are on the wire.

``<name>.avsc`` is the current schema of ``hint``, ``event``, ``dead`` and
``control``; ``released/<name>/<n>.avsc`` keeps every version that was ever
released, so that a record written years ago still finds the schema that its
fingerprint names. The rules by which a schema may change are in
:mod:`vecferry.schemas.evolution`. This package imports nothing of the project.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, cast

import orjson
from fastavro import schema as avro

Name = Literal["hint", "event", "dead", "control"]
Schema = dict[str, Any]

NAMES: tuple[Name, ...] = ("hint", "event", "dead", "control")


def source(name: Name, version: int | None = None) -> Schema:
    """Return a schema as it is written, docs and all; the current one without a version.

    Raises:
        FileNotFoundError: There is no such version.
    """
    folder = files(__name__)
    file = (
        folder / f"{name}.avsc"
        if version is None
        else folder / "released" / name / f"{version}.avsc"
    )
    return cast("Schema", orjson.loads(file.read_bytes()))


@cache
def load(name: Name, version: int | None = None) -> Schema:
    """Return a schema parsed for fastavro; the current one without a version.

    It is shared and must not be changed.

    Raises:
        FileNotFoundError: There is no such version.
    """
    return parse(source(name, version))


def parse(schema: Schema) -> Schema:
    """Return any schema parsed for fastavro."""
    parsed = cast("Schema", avro.parse_schema(schema))
    _spell_defaults(parsed)
    return parsed


@cache
def versions(name: Name) -> tuple[int, ...]:
    """Return the released versions, oldest first."""
    folder = files(__name__) / "released" / name
    return tuple(sorted(int(file.name.removesuffix(".avsc")) for file in folder.iterdir()))


@cache
def fingerprint(name: Name, version: int | None = None) -> bytes:
    """Return the CRC-64-AVRO fingerprint of a schema, 8 bytes little-endian.

    As single-object encoding puts it before a record.
    """
    return fingerprint_of(source(name, version))


def fingerprint_of(schema: Schema) -> bytes:
    """Return the CRC-64-AVRO fingerprint of any schema's canonical form."""
    canonical = avro.to_parsing_canonical_form(schema)
    return bytes.fromhex(avro.fingerprint(canonical, "CRC-64-AVRO"))


@cache
def by_fingerprint(name: Name) -> Mapping[bytes, Schema]:
    """Return every schema, current or released, under its fingerprint, parsed."""
    known = {fingerprint(name, version): load(name, version) for version in versions(name)}
    known[fingerprint(name)] = load(name)
    return MappingProxyType(known)


@cache
def enums(name: Name) -> Mapping[str, tuple[str, ...]]:
    """Return the symbols of each enumeration in the current schema, by its name."""
    found: dict[str, tuple[str, ...]] = {}
    _find_enums(source(name), found)
    return MappingProxyType(found)


def _find_enums(part: Any, found: dict[str, tuple[str, ...]]) -> None:
    if isinstance(part, dict):
        if part.get("type") == "enum":
            found[part["name"]] = tuple(part["symbols"])
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _find_enums(inner, found)


def _spell_defaults(part: Any) -> None:
    # JSON spells a default of bytes as text, and fastavro hands it on as it is
    if isinstance(part, dict):
        if part.get("type") == "bytes" and isinstance(part.get("default"), str):
            part["default"] = part["default"].encode("latin-1")
        for inner in part.values():
            _spell_defaults(inner)
    elif isinstance(part, list):
        for inner in part:
            _spell_defaults(inner)
