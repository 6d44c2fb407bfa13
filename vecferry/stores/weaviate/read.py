"""Reading single objects back, from a quorum of replicas."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from weaviate.proto.v1 import base_pb2, search_get_pb2

from vecferry.errors import HaltError, RecordError
from vecferry.model import Key, Point
from vecferry.ports import Ref
from vecferry.stores.weaviate.layout import Layout, Place
from vecferry.stores.weaviate.objects import read_object, search_request
from vecferry.stores.weaviate.schema import Schemas

PAGE_BYTES = 8_000_000
_PAGE_MAX = 1_000


class Reads:
    """The read part of the store."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def read(self, ref: Ref, keys: Sequence[Key]) -> list[Point | None]:
        """Return the points in the order of ``keys``, None for an absent one.

        Raises:
            HaltError: A point there says that it is another key's.
        """
        if not keys:
            return []
        layout = self._schemas.layout(ref.name)
        wanted = [_place(key, layout) for key in keys]
        found: dict[Place, Point] = {}
        for tenant in sorted({place.tenant for place in wanted if place is not None}):
            ids = {place.id: None for place in wanted if place and place.tenant == tenant}
            if layout.tenants and tenant not in self._schemas.tenants(ref.name, fresh=True):
                continue
            for page in self.fetch(ref, tenant, list(ids)):
                found.update((Place(tenant, native), point) for native, point in page)
        return [
            None if place is None else _under(key, place, found.get(place))
            for key, place in zip(keys, wanted, strict=True)
        ]

    def fetch(
        self, ref: Ref, tenant: str, ids: Sequence[UUID]
    ) -> Iterator[list[tuple[UUID, Point]]]:
        """Yield those of these objects that are there."""
        layout = self._schemas.layout(ref.name)
        step = objects_a_page(layout)
        for start in range(0, len(ids), step):
            some = ids[start : start + step]
            request = search_request(ref.name, tenant, layout)
            request.limit = len(some)
            request.filters.CopyFrom(filter_ids(some))
            data = self._schemas.ask(
                "Search", request, f"reading {len(some)} objects of {ref.name!r}"
            )
            reply = search_get_pb2.SearchReply.FromString(data)
            yield [read_object(one, ref.logical, tenant, layout) for one in reply.results]


def filter_ids(ids: Sequence[UUID]) -> Any:
    """Return the filter that any of these ids passes."""
    found = base_pb2.Filters(
        operator=base_pb2.Filters.OPERATOR_CONTAINS_ANY,
        target=base_pb2.FilterTarget(property="_id"),
    )
    found.value_text_array.values.extend(map(str, ids))
    return found


def objects_a_page(layout: Layout) -> int:
    """Return how many objects to ask for when only the schema is known."""
    vectors = sum(
        spec.dim * 4 * (32 if spec.kind == "multi" else 1) for spec in layout.vectors.values()
    )
    return max(1, min(_PAGE_MAX, PAGE_BYTES // (vectors + 2_000)))


def _place(key: Key, layout: Layout) -> Place | None:
    try:
        return layout.place(key)
    except RecordError:
        return None  # what cannot be there is not


def _under(key: Key, place: Place, point: Point | None) -> Point | None:
    if point is None or point.key == key:
        return point
    if point.key.id == place.id:
        # An application wrote this object without _vf_id: it is where the key lives.
        return Point(key, point.image)
    raise HaltError(
        f"{key} and {point.key} have the same id {place.id} in Weaviate: rename one of them"
    )
