"""The ids that a Qdrant client's arguments name, as keys have them."""

from collections.abc import Callable, Generator, Iterable
from typing import Any
from uuid import UUID

from qdrant_client import grpc, models

from vecferry.model import Id
from vecferry.producers.feeds.clients.steps import Ask
from vecferry.producers.feeds.clients.touches import Ids, Keys, Matching, Touch, Whole
from vecferry.stores.qdrant.sequence import following

_PAGE = 1_000


def typed(identifier: Any) -> Id | None:
    """Return an id as a key has it, or None for what Qdrant refuses."""
    if isinstance(identifier, grpc.PointId):
        kind = identifier.WhichOneof("point_id_options")
        return typed(getattr(identifier, kind)) if kind else None
    if isinstance(identifier, int | UUID):
        return identifier
    try:
        return UUID(identifier)
    except (ValueError, AttributeError, TypeError):
        return None  # the server refuses the whole request for it


def ids(given: Iterable[Any]) -> Ids:
    """Return typed ids; Qdrant has no namespaces."""
    return [("", one) for one in map(typed, given) if one is not None]


def of_points(collection: str, points: Any, verb: str = "upsert") -> Touch:
    """Return what points, batches and their wrappers touch."""
    points = getattr(points, "batch", points)  # PointsBatch
    if isinstance(points, models.PointsList | models.UpdateVectors):
        points = points.points
    if isinstance(points, models.Batch):
        return Keys(collection, ids(points.ids), verb)
    if isinstance(points, list | tuple):
        return Keys(collection, ids(one.id for one in points), verb)
    return Whole(collection, "points came in a form that names no ids")


def of_selector(collection: str, selector: Any, verb: str = "unknown") -> Touch:
    """Return what a selector of any form touches: ids, else a filter."""
    if isinstance(selector, grpc.PointsSelector):
        kind = selector.WhichOneof("points_selector_one_of")
        selector = list(selector.points.ids) if kind == "points" else selector.filter
    elif isinstance(selector, models.PointIdsList):
        selector = selector.points
    elif isinstance(selector, models.FilterSelector):
        selector = selector.filter
    if isinstance(selector, models.Filter | grpc.Filter):
        return Matching(collection, verb, _finder(collection, selector))
    if isinstance(selector, list | tuple):
        return Keys(collection, ids(selector), verb)
    return Whole(collection, "points were selected in a form that is not known")


def of_operation(collection: str, operation: Any) -> Touch:
    """Return what one operation of ``batch_update_points`` touches."""
    match operation:
        case models.UpsertOperation():
            return of_points(collection, operation.upsert)
        case models.UpdateVectorsOperation():
            return of_points(collection, operation.update_vectors, "unknown")
        case models.DeleteOperation():
            return of_selector(collection, operation.delete, "delete")
        case models.ClearPayloadOperation():
            return of_selector(collection, operation.clear_payload)
        case models.SetPayloadOperation():
            return _of_either(collection, operation.set_payload)
        case models.OverwritePayloadOperation():
            return _of_either(collection, operation.overwrite_payload)
        case models.DeletePayloadOperation():
            return _of_either(collection, operation.delete_payload)
        case models.DeleteVectorsOperation():
            return _of_either(collection, operation.delete_vectors)
    return Whole(collection, "an operation of a kind that is not known")


def _of_either(collection: str, body: Any) -> Touch:
    # where both are given, ids win
    return of_selector(collection, body.filter if body.points is None else body.points)


def _finder(collection: str, matching: Any) -> Callable[[], Generator[Ask | Ids, Any, None]]:
    def find() -> Generator[Ask | Ids, Any, None]:
        offset: Any = None
        while True:
            arguments = {
                "collection_name": collection,
                "scroll_filter": matching,
                "limit": _PAGE,
                "with_payload": False,
                "with_vectors": False,
                "offset": offset,
            }
            records, _ = yield Ask("scroll", arguments)
            page = ids(record.id for record in records)
            if not page:
                return
            yield page
            # the server's own offset is missing after any short page
            last = following(page[-1][1])  # type: ignore[arg-type]
            if last is None:
                return
            offset = str(last) if isinstance(last, UUID) else last

    return find
