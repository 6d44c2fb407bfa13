"""What a memory database holds: collections of points, in the order of their keys."""

import difflib
import json
from bisect import bisect_left, bisect_right
from dataclasses import replace
from threading import Lock, RLock
from typing import NamedTuple

from vecferry.errors import ConfigError
from vecferry.model import Collection, Id, Image, typed_id

Place = tuple[str, str]
"""Where a point lies: its namespace and its typed id. The order of places is the order of scans."""


class Stored(NamedTuple):
    """One point as it lies in memory; ``version`` is -1 where none was given."""

    id: Id
    image: Image
    version: int


def place_of(namespace: str, id: Id) -> Place:
    """Return where a point with this id lies."""
    return namespace, typed_id(id)


def spell_place(place: Place) -> str:
    """Spell a place as a bound."""
    return json.dumps(place, ensure_ascii=False)


def parse_place(text: str) -> Place:
    """Read what :func:`spell_place` wrote."""
    namespace, typed = json.loads(text)
    return namespace, typed


class Held:
    """One collection and its points. The owner of ``Database.lock`` alone may touch it."""

    def __init__(self, schema: Collection) -> None:
        self.schema = schema
        self.points: dict[Place, Stored] = {}
        self.deleted: dict[Place, int] = {}
        """The versions of deletes, kept only where writes are conditional."""
        self._order: list[Place] | None = None

    def put(self, place: Place, stored: Stored) -> None:
        """Store a point over whatever lies there."""
        if place not in self.points:
            self._order = None
        self.points[place] = stored
        self.deleted.pop(place, None)

    def remove(self, place: Place) -> None:
        """Delete a point; an absent one is fine."""
        if self.points.pop(place, None) is not None:
            self._order = None

    def version_at(self, place: Place) -> int:
        """Return the version that was last written or deleted there, -1 for none."""
        stored = self.points.get(place)
        return self.deleted.get(place, -1) if stored is None else stored.version

    def places(
        self, low: Place | None = None, high: Place | None = None, after: Place | None = None
    ) -> list[Place]:
        """Return the places from ``low``, and behind ``after``, to before ``high``, ascending."""
        if self._order is None:
            self._order = sorted(self.points)
        start = 0 if low is None else bisect_left(self._order, low)
        if after is not None:
            start = max(start, bisect_right(self._order, after))
        end = len(self._order) if high is None else bisect_left(self._order, high)
        return self._order[start:end]

    def described(self) -> Collection:
        """Return the schema with the namespaces that hold points now."""
        found = {namespace for namespace, _ in self.points if namespace}
        return replace(self.schema, namespaces=tuple(sorted(found | set(self.schema.namespaces))))


class Database:
    """Collections by name, under one lock."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.collections: dict[str, Held] = {}

    def held(self, name: str) -> Held:
        """Return a collection.

        Raises:
            ConfigError: There is none of that name; the nearest is given.
        """
        found = self.collections.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self.collections, n=1, cutoff=0.0)
        hint = f"the nearest is {near[0]!r}" if near else "there is none at all"
        raise ConfigError(f"there is no collection {name!r} in this memory store: {hint}")


_databases: dict[str, Database] = {}
_databases_lock = Lock()


def database(name: str) -> Database:
    """Return the process's database of that name, made when first asked for."""
    with _databases_lock:
        return _databases.setdefault(name, Database())
