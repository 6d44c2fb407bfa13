"""Reading everything: scroll by id with a cursor of our own, in parallel ranges."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.ports import Bounds, Ref, Since
from vecferry.stores.identity import ID_FIELD, NAMESPACE_FIELD
from vecferry.stores.qdrant import wire
from vecferry.stores.qdrant.connect import Connection
from vecferry.stores.qdrant.points import Layout, NativeId, fill_id, native_id, read_id, read_point
from vecferry.stores.qdrant.schema import Schemas
from vecferry.stores.qdrant.sequence import cut, following, place, read_edge

PAGE_BYTES = 4_000_000
"""What a page should weigh: larger ones gain nothing, and the last one of a part
overshoots its end by half a page."""

_FIRST_PAGE = 128
_PAGE_POINTS_MAX = 2_048
_IDS_PAGE = 10_000
_WALK_MAX = 200_000
"""Up to here every id is listed to cut exact chunks; beyond, a sample tells."""

_SAMPLE_A_CHUNK = 32
_SAMPLE_MAX = 100_000


class Scans:
    """The scan part of the store."""

    def __init__(self, connection: Connection, schemas: Schemas) -> None:
        self._connection = connection
        self._schemas = schemas

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the collection by id into parts of about ``points`` points."""
        total = self._schemas.count(name)
        parts = -(-total // max(points, 1))
        if parts <= 1:
            return [Bounds()]
        if total <= _WALK_MAX:
            return cut(list(self._walk(name)), parts)
        return cut(self._sample(name, min(parts * _SAMPLE_A_CHUNK, _SAMPLE_MAX)), parts)

    def scan(self, ref: Ref, bounds: Bounds, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part, or those behind ``after``, in pages of four megabytes.

        The order is Qdrant's own, by id.
        """
        yield from self._points(ref, bounds, after, _scroll)

    def scan_since(
        self, ref: Ref, bounds: Bounds, since: Since, after: Key | None = None
    ) -> Iterator[list[Point]]:
        """As :meth:`scan`, of the points that may be at or after a moment."""

        def ask(name: str, start: NativeId | None, limit: int) -> Any:
            request = _scroll(name, start, limit)
            fill_since(request.filter, since)
            return request

        yield from self._points(ref, bounds, after, ask)

    def scan_keys(self, ref: Ref, bounds: Bounds, after: Key | None = None) -> Iterator[list[Key]]:
        """As :meth:`scan`, of the keys alone: of a payload only what may hold the id."""

        def ask(name: str, start: NativeId | None, limit: int) -> Any:
            request = _scroll(name, start, _IDS_PAGE)
            request.with_vectors.enable = False
            request.with_payload.include.fields.extend((ID_FIELD, NAMESPACE_FIELD))
            return request

        for page in self._points(ref, bounds, after, ask):
            yield [point.key for point in page]

    def _points(
        self, ref: Ref, bounds: Bounds, after: Key | None, ask: "Ask"
    ) -> Iterator[list[Point]]:
        start, end = read_edge(bounds.low), read_edge(bounds.high)
        if after is not None:
            start = following(native_id(after))
            if start is None:
                return
        layout = self._schemas.layout(ref.name)
        for page in self._pages(ref.name, start, end, ask):
            found = [read_point(message, ref.logical, layout) for message in page.messages]
            points = [point for native, point in found if end is None or place(native) < place(end)]
            if points:
                yield points

    def _pages(
        self, name: str, start: NativeId | None, end: NativeId | None, ask: "Ask"
    ) -> Iterator["Page"]:
        limit = _FIRST_PAGE
        while start is None or end is None or place(start) < place(end):
            request = ask(name, start, limit)
            data = self._connection.call("/qdrant.Points/Scroll", request, f"scanning {name!r}")
            page = Page.parse(data)
            # An empty page is the end, and nothing else is: with several replicas a page
            # can be short, and its next_page_offset missing, in the middle.
            if not page.messages:
                return
            yield page
            limit = _page_points(page.size, len(page.messages))
            start = following(max((read_id(m.id) for m in page.messages), key=place))
            if start is None:
                return

    def _walk(self, name: str) -> Iterator[NativeId]:
        start: NativeId | None = None
        while True:
            request = _scroll(name, start, _IDS_PAGE)
            request.with_payload.enable = False
            request.with_vectors.enable = False
            data = self._connection.call("/qdrant.Points/Scroll", request, f"listing {name!r}")
            ids = [read_id(message.id) for message in wire.ScrollResponse.FromString(data).result]
            if not ids:
                return
            yield from ids
            start = following(max(ids, key=place))
            if start is None:
                return

    def _sample(self, name: str, number: int) -> list[NativeId]:
        request = wire.QueryPoints(collection_name=name, limit=number)
        request.query.sample = 0  # Random
        request.with_payload.enable = False
        request.with_vectors.enable = False
        data = self._connection.call("/qdrant.Points/Query", request, f"sampling {name!r}")
        return [read_id(message.id) for message in wire.QueryResponse.FromString(data).result]


Ask = Callable[[str, NativeId | None, int], Any]
"""Makes the request for a page: of a collection, from an id on, of so many points."""


class Page:
    """The points of one reply and what it weighed, in bytes."""

    def __init__(self, messages: Any, size: int) -> None:
        self.messages = messages
        self.size = size

    @classmethod
    def parse(cls, data: bytes, *, scroll: bool = True) -> "Page":
        """Parse a ``ScrollResponse`` or a ``GetResponse``, however deep its payloads are.

        Raises:
            HaltError: These are not the bytes of such a reply.
        """
        quick = wire.ScrollResponse if scroll else wire.GetResponse
        deep = wire.DeepScrollResponse if scroll else wire.DeepGetResponse
        try:
            return cls(quick.FromString(data).result, len(data))
        except DecodeError:
            pass  # nested deeper than the parser goes, or damaged: this one tells
        try:
            return cls(deep.FromString(data).result, len(data))
        except DecodeError as error:
            raise HaltError(f"a reply of {len(data)} bytes is damaged") from error


def _scroll(name: str, start: NativeId | None, limit: int) -> Any:
    request = wire.ScrollPoints(collection_name=name, limit=limit)
    if start is not None:
        fill_id(request.offset, start)
    request.with_payload.enable = True
    request.with_vectors.enable = True
    return request


def fill_since(message: Any, since: Since) -> None:
    """Write a filter of the points at or after a moment, and of those without the field."""
    number, text, none = message.should.add(), message.should.add(), message.should.add()
    number.field.key = text.field.key = none.is_empty.key = since.field
    nearest = float(since.number)  # above it, it would leave one out
    number.field.range.gte = (
        math.nextafter(nearest, -math.inf) if nearest > since.number else nearest
    )
    whole = since.moment.replace(microsecond=0)
    text.field.datetime_range.gte.seconds = int(whole.timestamp())


def _page_points(size: int, points: int) -> int:
    each = max(1, size // max(1, points))
    return max(1, min(_PAGE_POINTS_MAX, PAGE_BYTES // each))


def points_a_page(layout: Layout) -> int:
    """Return how many points to ask for when only the schema is known."""
    vectors = sum(spec.dim * 4 * (32 if spec.kind == "multi" else 1) for spec in layout.values())
    return max(1, min(1_000, PAGE_BYTES // (vectors + 2_000)))
