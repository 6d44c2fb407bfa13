"""Reading everything, in the order of the ids; parts are ranges of ids, of all tenants.

A cursor goes behind an id and knows no end and no filter: a part stops at the
first id that lies beyond it.
"""

import heapq
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import UUID

from weaviate.proto.v1 import search_get_pb2

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.ports import Bounds, Ref
from vecferry.stores.weaviate.layout import Layout
from vecferry.stores.weaviate.objects import read_object, search_request
from vecferry.stores.weaviate.read import PAGE_BYTES, Reads, objects_a_page
from vecferry.stores.weaviate.schema import Schemas

_FIRST = UUID(int=0)
_IDS_A_PAGE = 10_000
_PAGE_MAX = 1_000


class Scans:
    """The scan part of the store."""

    def __init__(self, schemas: Schemas, reads: Reads) -> None:
        self._schemas = schemas
        self._reads = reads

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the ids into ranges of about ``points`` objects; all ids are listed for it.

        A tenant that is made later lies in every part.
        """
        tenants = self._schemas.tenants(name, fresh=True)
        ids = heapq.merge(*(self._ids(name, tenant) for tenant in tenants))
        cuts: list[str] = []
        for at, native in enumerate(ids):
            if at and at % max(points, 1) == 0 and str(native) not in cuts[-1:]:
                cuts.append(str(native))
        return [Bounds("", low, high) for low, high in pairwise([None, *cuts, None])]

    def scan(self, ref: Ref, bounds: Bounds, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part, or those behind ``after``, by tenant and id."""
        layout = self._schemas.layout(ref.name, fresh=True)
        low = UUID(bounds.low) if bounds.low else _FIRST
        high = UUID(bounds.high) if bounds.high else None
        passed = None if after is None else layout.place(after)
        for tenant in self._schemas.tenants(ref.name, layout, fresh=True):
            if passed is not None and tenant < passed.tenant:
                continue
            if passed is not None and tenant == passed.tenant:
                behind = passed.id
            else:
                behind = UUID(int=max(0, low.int - 1))
                if low == _FIRST and high != _FIRST:  # no cursor goes before the first id
                    for page in self._reads.fetch(ref, tenant, [_FIRST]):
                        if page:
                            yield [point for _, point in page]
            for results in self._pages(ref.name, tenant, layout, (behind, high)):
                yield [read_object(one, ref.logical, tenant, layout)[1] for one in results]

    def _ids(self, name: str, tenant: str) -> Iterator[UUID]:
        for results in self._pages(name, tenant, None, (_FIRST, None)):
            yield from (UUID(one.metadata.id) for one in results)

    def _pages(
        self, name: str, tenant: str, layout: Layout | None, between: tuple[UUID, UUID | None]
    ) -> Iterator[list[Any]]:
        """Yield the objects behind an id and before another, in the order of their ids.

        Raises:
            HaltError: They come in another order, so that none of this holds.
        """
        behind, high = between
        limit = _IDS_A_PAGE if layout is None else objects_a_page(layout)
        while True:
            request = search_request(name, tenant, layout)
            request.after, request.limit = str(behind), limit
            data = self._schemas.ask("Search", request, f"scanning {name!r}")
            results = list(search_get_pb2.SearchReply.FromString(data).results)
            for one in results:
                native = UUID(one.metadata.id)
                if native <= behind:
                    raise HaltError(f"{name!r} listed {native} after {behind}: not in their order")
                behind = native
            inside = [one for one in results if high is None or UUID(one.metadata.id) < high]
            if inside:
                yield inside
            if not results or len(inside) < len(results):
                return
            if layout is not None:
                limit = max(1, min(_PAGE_MAX, PAGE_BYTES * len(results) // len(data)))
