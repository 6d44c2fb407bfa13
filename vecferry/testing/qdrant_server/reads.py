"""What a read does, given its body as JSON: points, pages, counts, searches."""

from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.filters import filter_of
from vecferry.testing.qdrant_server.queries import Search, order_by_of
from vecferry.testing.qdrant_server.refusals import BadInputError
from vecferry.testing.qdrant_server.values import (
    point_id,
    with_payload_of,
    with_vector_of,
)


class Selected:
    """Records of the engine, with what of them was asked for."""

    def __init__(self, records: list[Any], with_payload: object, with_vector: object) -> None:
        self.records = records
        self.with_payload = with_payload
        self.with_vector = with_vector
        self.next_offset: Any = None


def retrieve(collection: Collection, body: object) -> Selected:
    """Return the points of these ids that exist, each once, in the order asked for."""
    fields = Fields(body, "a retrieve request")
    ids = [point_id(one) for one in listed(fields.take("ids", []), "ids")]
    payload, vector = fields.take("with_payload", False), fields.take("with_vector", False)
    fields.refuse("shard_key")
    fields.close()
    wanted = list(dict.fromkeys(ids))
    with collection.reading() as shard:
        records = shard.retrieve(
            wanted, with_payload_of(payload), with_vector_of(vector, collection.shapes)
        )
    by_id = {record.id: record for record in records}
    return Selected([by_id[one] for one in wanted if one in by_id], payload, vector)


def scroll(collection: Collection, body: object) -> Selected:
    """Return a page of points, by id unless ``order_by`` says otherwise."""
    fields = Fields(body, "a scroll request")
    offset, limit = fields.take("offset"), fields.take("limit", 10)
    payload, vector = fields.take("with_payload", True), fields.take("with_vector", False)
    order_by, condition = fields.take("order_by"), filter_of(fields.take("filter"))
    fields.refuse("shard_key")
    fields.close()
    if not isinstance(limit, int) or limit < 1:
        raise BadInputError("Limit cannot be 0")
    if order_by is not None and offset is not None:
        raise BadInputError("Cannot use an `offset` when using `order_by`")
    request = edge.ScrollRequest(
        offset=None if offset is None else point_id(offset),
        limit=limit,
        filter=condition,
        with_payload=with_payload_of(payload),
        with_vector=with_vector_of(vector, collection.shapes),
        order_by=None if order_by is None else order_by_of(order_by),
    )
    with collection.reading() as shard:
        records, following = shard.scroll(request)
    page = Selected(records, payload, vector)
    page.next_offset = following if order_by is None else None
    return page


def count(collection: Collection, body: object) -> int:
    """Count points; the engine's estimate is asked for with ``exact: false``."""
    fields = Fields(body, "a count request")
    condition, exact = filter_of(fields.take("filter")), fields.take("exact", True)
    fields.refuse("shard_key")
    fields.close()
    with collection.reading() as shard:
        return int(shard.count(edge.CountRequest(exact=exact, filter=condition)))


def search(collection: Collection, body: object) -> Selected:
    """Search as the body of ``points/query`` says."""
    asked = Search(collection, body)
    with collection.reading() as shard:
        found = shard.query(asked.request)
    return Selected(found, asked.with_payload, asked.with_vector)


def facet(collection: Collection, body: object) -> list[tuple[Any, int]]:
    """Count the values of a payload field, the most frequent first."""
    fields = Fields(body, "a facet request")
    key, limit = fields.need("key"), fields.take("limit", 10)
    exact, condition = fields.take("exact", False), filter_of(fields.take("filter"))
    fields.refuse("shard_key")
    fields.close()
    request = edge.FacetRequest(key, limit=limit, exact=exact, filter=condition)
    with collection.reading() as shard:
        return [(hit.value, hit.count) for hit in shard.facet(request).hits]
