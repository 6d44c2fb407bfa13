"""Reading single points back, at or after a log sequence number."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from vecferry.errors import HaltError, RecordError
from vecferry.model import Key, Point
from vecferry.ports import Ref
from vecferry.stores.pinecone.connect import Call, Connection, Reply
from vecferry.stores.pinecone.freshness import Freshness, indexed
from vecferry.stores.pinecone.places import Place, place_of
from vecferry.stores.pinecone.records import decode_record
from vecferry.stores.pinecone.schema import Layout, Schemas

FETCH_IDS_MAX = 200
QUERY_BYTES_MAX = 6_000
"""Of a query string: eight kilobytes is what servers and proxies between take of a line."""


class Reads:
    """The read part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas, freshness: Freshness) -> None:
        self._connection = connection
        self._schemas = schemas
        self._freshness = freshness

    def read(self, ref: Ref, keys: Sequence[Key], position: str) -> list[Point | None]:
        """Return the points in the order of ``keys``, None for an absent one.

        Seen are the writes of this store, and all up to ``position``, the number
        that an application's write got in the namespace of these keys. Another's
        write of which nobody told the number is seen when the service has it.

        Raises:
            TransientError: The service is not as far as that within ``timeout_s``.
            HaltError: A point there says that it is another key's.
        """
        wanted = [_place(key) for key in keys]
        groups: dict[str, dict[str, None]] = {}
        for place in wanted:
            if place is not None:
                groups.setdefault(place.namespace, {})[place.id] = None
        found: dict[Place, Point] = {}
        for namespace, ids in groups.items():
            target = self._freshness.target(ref.name, namespace, position)
            found |= self.fetch(ref, namespace, list(ids), target)
        return [
            None if place is None else _under(key, place, found.get(place))
            for key, place in zip(keys, wanted, strict=True)
        ]

    def fetch(
        self, ref: Ref, namespace: str, ids: Sequence[str], target: int = 0
    ) -> dict[Place, Point]:
        """Return the points with these ids that there are, as of ``target`` or later."""
        layout = self._schemas.layout(ref.name)
        found: dict[Place, Point] = {}
        for some in batches(ids):
            for native, record in self._fetch(ref.name, layout, namespace, some, target).items():
                point = decode_record({**record, "id": native}, namespace, ref.logical, layout)
                found[Place(namespace, native)] = point
        return found

    def _fetch(
        self, name: str, layout: Layout, namespace: str, ids: Sequence[str], target: int
    ) -> dict[str, Any]:
        params = [("namespace", namespace), *(("ids", native) for native in ids)]
        call = Call(
            "GET",
            f"{layout.url}/vectors/fetch",
            f"reading {len(ids)} points of {name!r}",
            params,
            absent_ok=True,
        )

        def ask() -> Reply:
            return self._connection.call(call)

        reply = ask()
        if (indexed(reply) or 0) < target:
            if indexed(reply) is None:  # a fetch that does not say: a query does
                self._freshness.wait(name, namespace, layout, target)
                reply = ask()
            else:
                reply = self._freshness.read(ask, name, namespace, target)
        if reply.body is None:
            self._schemas.layout(name, fresh=True)  # the namespace has gone, or the whole index
            return {}
        records: dict[str, Any] = reply.body.get("vectors") or {}
        return records


def batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield the ids in groups that one fetch can ask for."""
    group: list[str] = []
    size = 0
    for native in ids:
        weight = len(quote(native, safe="")) + len("&ids=")
        if group and (len(group) == FETCH_IDS_MAX or size + weight > QUERY_BYTES_MAX):
            yield group
            group, size = [], 0
        group.append(native)
        size += weight
    if group:
        yield group


def _place(key: Key) -> Place | None:
    try:
        return place_of(key)
    except RecordError:
        return None  # it cannot have been written


def _under(key: Key, place: Place, point: Point | None) -> Point | None:
    if point is None or point.key == key:
        return point
    if point.key.id == place.id and point.key.namespace == key.namespace:
        # An application wrote this point natively, without _vf_id: it is where the key
        # lives, so it is the key's state.
        return Point(key, point.image)
    raise HaltError(
        f"{key} and {point.key} have the same id {place.id} in Pinecone: rename one of them"
    )
