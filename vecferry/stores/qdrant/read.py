"""Reading single points back, as strongly as Qdrant can."""

from collections.abc import Iterator, Sequence
from typing import Any

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.ports import Ref
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.connect import Connection
from vecferry.stores.qdrant.points import NativeId, fill_id, native_id, read_point
from vecferry.stores.qdrant.scan import Page, points_a_page
from vecferry.stores.qdrant.schema import Schemas

_ALL = 0
"""``ReadConsistencyType.All``: every replica must answer alike; free on a single node."""


class Reads:
    """The read part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self._connection = connection
        self._schemas = schemas

    def read(self, ref: Ref, keys: Sequence[Key]) -> list[Point | None]:
        """Return the points in the order of ``keys``, None for an absent one.

        Raises:
            HaltError: A point there says that it is another key's: two keys have
                one id, and both are named.
        """
        wanted = [native_id(key) for key in keys]
        found: dict[NativeId, Point] = {}
        for page in self._pages(ref, list(dict.fromkeys(wanted))):
            layout = self._schemas.layout(ref.name)
            found.update(read_point(message, ref.logical, layout) for message in page)
        return [
            _under(key, identifier, found.get(identifier))
            for key, identifier in zip(keys, wanted, strict=True)
        ]

    def _pages(self, ref: Ref, ids: list[NativeId]) -> Iterator[Any]:
        step = points_a_page(self._schemas.layout(ref.name)) if ids else 1
        for start in range(0, len(ids), step):
            request = wire.GetPoints(collection_name=ref.name)
            for identifier in ids[start : start + step]:
                fill_id(request.ids.add(), identifier)
            request.with_payload.enable = True
            request.with_vectors.enable = True
            request.read_consistency.type = _ALL
            doing = f"reading {len(request.ids)} points of {ref.name!r}"
            data = self._connection.call("/qdrant.Points/Get", request, doing)
            yield Page.parse(data, scroll=False).messages


def _under(key: Key, identifier: NativeId, point: Point | None) -> Point | None:
    if point is None or point.key == key:
        return point
    if point.key.id == identifier:
        # An application wrote this point natively, without _vf_id: it is where the key
        # lives, so it is the key's state.
        return Point(key, point.image)
    raise HaltError(
        f"{key} and {point.key} have the same id {identifier} in Qdrant: rename one of them"
    )
