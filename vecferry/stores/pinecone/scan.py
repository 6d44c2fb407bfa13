"""Reading everything: ids are listed, then fetched; parts are ranges of ids."""

from collections.abc import Iterator
from itertools import pairwise

from vecferry.errors import HaltError
from vecferry.model import Key, Point
from vecferry.ports import Bounds, Ref
from vecferry.stores.pinecone.connect import Call, Connection
from vecferry.stores.pinecone.freshness import Freshness
from vecferry.stores.pinecone.places import Place, parse_place, place_of, spell_place
from vecferry.stores.pinecone.ranges import Range, cut_ids, following, prefixes, range_within
from vecferry.stores.pinecone.read import Reads, batches
from vecferry.stores.pinecone.schema import Schemas

LIST_IDS_MAX = 100


class Scans:
    """The scan part of the store."""

    def __init__(
        self, connection: Connection, schemas: Schemas, reads: Reads, freshness: Freshness
    ) -> None:
        self._connection = connection
        self._schemas = schemas
        self._reads = reads
        self._freshness = freshness

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the order of namespaces and ids into parts of about ``points`` points.

        Small namespaces share a part; a larger one has its ids listed, a hundred
        a request, to cut it. A namespace that is made later lies in one of the
        parts, too.
        """
        points = max(points, 1)
        self._freshness.wait_for_own(name, self._schemas.layout(name))
        cuts: list[Place] = []
        held = 0
        for namespace, count in self._schemas.namespaces(name).items():
            if held and held + count > points:
                cuts.append(Place(namespace, ""))
                held = 0
            if count > points:
                found = list(cut_ids(self._list(name, namespace, Range()), points))
                cuts += [Place(namespace, cut) for cut in found]
                count = max(1, count - points * len(found))
            held += count
        edges = [None, *map(spell_place, cuts), None]
        return [Bounds("", low, high) for low, high in pairwise(edges)]

    def scan(self, ref: Ref, bounds: Bounds, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part, or those behind ``after``, in the order of their places.

        An id that was listed and is gone when it is fetched was deleted meanwhile.
        """
        low, high = (None if edge is None else parse_place(edge) for edge in bounds[1:])
        if after is not None:
            passed = place_of(after)
            low = Place(passed.namespace, following(passed.id))
        self._freshness.wait_for_own(ref.name, self._schemas.layout(ref.name))
        for namespace in self._schemas.namespaces(ref.name):
            part = range_within(namespace, low, high)
            if part is None:
                continue
            for ids in batches(self._list(ref.name, namespace, part)):
                found = self._reads.fetch(ref, namespace, ids)
                page = [
                    found[place]
                    for place in map(Place, [namespace] * len(ids), ids)
                    if place in found
                ]
                if page:
                    yield page

    def _list(self, name: str, namespace: str, part: Range) -> Iterator[str]:
        """Yield the ids of a range in ascending order.

        Raises:
            HaltError: They come in another order, so that none of this holds.
        """
        before = ""
        for prefix in prefixes(part):
            for native in self._listed(name, namespace, prefix):
                if native <= before:
                    raise HaltError(
                        f"{name!r} listed the id {native!r} after {before!r}: not in their order"
                    )
                before = native
                if part.high is not None and native >= part.high:
                    return
                if part.holds(native):
                    yield native

    def _listed(self, name: str, namespace: str, prefix: str) -> Iterator[str]:
        url = f"{self._schemas.layout(name).url}/vectors/list"
        params = [("namespace", namespace), ("limit", str(LIST_IDS_MAX))]
        if prefix:
            params.append(("prefix", prefix))
        token = ""
        while True:
            asked = [*params, ("paginationToken", token)] if token else params
            call = Call("GET", url, f"listing {name!r}", asked, absent_ok=True)
            body = self._connection.call(call).body
            if body is None:
                self._schemas.layout(name, fresh=True)  # the namespace has gone, or the index
                return
            for found in body.get("vectors") or ():
                yield found["id"]
            token = (body.get("pagination") or {}).get("next") or ""
            if not token:
                return
