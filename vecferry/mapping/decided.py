"""What was decided, as canonical JSON: a file to keep, which every role is held against.

Compared are the mapping, both schemas, the index and what is acknowledged. What a
sample shows differs from day to day: of the ratings only one that is worse than in
the file is a deviation, or a new field's that needs an acknowledgement.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from vecferry.errors import ConfigError
from vecferry.mapping.plan import Plan
from vecferry.mapping.rating import REFUSED, WORST_LAST, is_worse
from vecferry.model import Collection

VERSION = 1
Document = dict[str, Any]


def schema_words(collection: Collection) -> Document:
    """Return a schema as JSON values, without what changes while nothing is decided anew.

    Namespaces are left out: a new one is no other schema.
    """
    return {
        "name": collection.name,
        "vectors": {
            spec.name: {
                "kind": spec.kind,
                "dtype": spec.dtype,
                "dim": spec.dim,
                "metric": spec.metric,
            }
            for spec in collection.vectors
        },
        "id_types": sorted(collection.id_types),
        "id_bytes_max": collection.id_bytes_max,
    }


def fingerprint(collection: Collection) -> str:
    """Return the SHA-256 of a schema's canonical JSON, hexadecimal."""
    return hashlib.sha256(_canonical(schema_words(collection))).hexdigest()


def decide(name: str, kinds: tuple[str, str], plans: Iterable[Plan]) -> Document:
    """Return the document of a migration's plans.

    Args:
        name: Of the migration.
        kinds: The types of the source and of the target.
        plans: With their samples.
    """
    return {
        "version": VERSION,
        "name": name,
        "source": kinds[0],
        "target": kinds[1],
        "collections": {plan.mapping.source.name: _collection(plan) for plan in plans},
    }


def _collection(plan: Plan) -> Document:
    # the target as it is planned, also where it is there: the same before and after `init`
    return {
        "target": plan.mapping.target.name,
        "vectors": dict(plan.mapping.vectors),
        "source_schema": schema_words(plan.source),
        "source_fingerprint": fingerprint(plan.source),
        "target_schema": schema_words(plan.planned),
        "index": {spec.name: dict(spec.index) for spec in plan.planned.vectors},
        "ratings": {rated.field: rated.rating for rated in plan.fields},
        "acknowledged": sorted(plan.acknowledged),
    }


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def write_decided(document: Document, path: Path) -> None:
    """Write the document, canonical and one line; an older file of that name is replaced.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.write_bytes(_canonical(document) + b"\n")
    except OSError as error:
        raise ConfigError(f"--out {path} cannot be written: {error.strerror}") from error


def load_decided(path: Path) -> Document:
    """Read what :func:`write_decided` wrote.

    Raises:
        ConfigError: It is not there, or is no such document.
    """
    try:
        document = json.loads(path.expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(
            f"plan_file = {str(path)!r} cannot be read ({error.strerror}): `vecferry plan --out` writes it"
        ) from error
    except ValueError as error:
        raise ConfigError(f"plan_file = {str(path)!r} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ConfigError(
            f"plan_file = {str(path)!r} is no plan of this version: write it anew with `vecferry plan --out`"
        )
    return document


def first_difference(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return the first deviation of ``now`` from ``kept``, None where there is none."""
    kept, now = _comparable(kept), _comparable(now)
    worse = _worse_ratings(kept, now)
    for document in (kept, now):
        for each in document.get("collections", {}).values():
            each.pop("ratings", None)
    return _differ("", kept, now) or worse


def require_decided(path: Path, now: Mapping[str, Any]) -> None:
    """Check that what is planned now is what the file holds.

    Raises:
        ConfigError: It is not; the first difference is named.
    """
    difference = first_difference(load_decided(path), now)
    if difference:
        raise ConfigError(
            f"what is planned now deviates from plan_file = {str(path)!r}: {difference}. Look at "
            f"`vecferry plan`; where it is right, `vecferry plan --out {path}` keeps it"
        )


def _comparable(document: Mapping[str, Any]) -> Document:
    # through JSON, so that tuples and lists, 1 and 1.0 of two sources are the same
    return cast("Document", json.loads(_canonical(document)))


def _worse_ratings(kept: Document, now: Document) -> str | None:
    for name, collection in now.get("collections", {}).items():
        before = kept.get("collections", {}).get(name, {}).get("ratings", {})
        for field, rating in collection.get("ratings", {}).items():
            known = before.get(field)
            surprise = known is None and rating in REFUSED
            if surprise or (known in WORST_LAST and is_worse(rating, known)):
                return f"collections.{name}.ratings.{field} is {rating} now and was {known or 'not there'}"
    return None


def _differ(path: str, kept: object, now: object) -> str | None:
    if not isinstance(kept, dict) or not isinstance(now, dict):
        return None if kept == now else f"{path} is {now!r} now and was {kept!r}"
    for name in sorted(kept.keys() | now.keys()):
        below = f"{path}.{name}" if path else name
        if name not in now:
            return f"{below} is no longer there"
        if name not in kept:
            return f"{below} is new"
        found = _differ(below, kept[name], now[name])
        if found:
            return found
    return None
