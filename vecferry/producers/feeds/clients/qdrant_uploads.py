"""Uploads of any length: in batches, each announced by itself."""

import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from itertools import islice, repeat
from typing import Any

import numpy as np
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from vecferry.errors import ConfigError
from vecferry.producers.feeds.clients import qdrant_ids
from vecferry.producers.feeds.clients.steps import Ask, Step, Steps, Wait
from vecferry.producers.feeds.clients.touches import Captured, Judge, captured_call
from vecferry.producers.feeds.clients.wrapping import Asked

_BATCH = 64
_RETRIES = 3
_UPSERT = ("shard_key_selector", "update_filter", "update_mode")


def uploads(
    judge: Judge, real_name: Callable[[Asked], Generator[Step, Any, str]]
) -> Callable[[Asked], Steps]:
    """Return how ``upload_points`` and ``upload_collection`` go.

    A batch is sent with ``upsert`` and ``wait=True``, and every try of it is a
    write of its own: one that timed out may land after its successor. So
    ``parallel`` and ``method`` have no effect.
    """

    def flow(asked: Asked) -> Steps:
        collection = yield from _name(asked, real_name)
        feed, given = asked.captive.feed, asked.arguments | {"collection_name": collection}
        if collection not in feed.collections:
            return (yield Ask(asked.method, given))
        if asked.client.__class__.__name__.startswith("Async"):
            raise ConfigError(
                f"{asked.method} of an AsyncQdrantClient blocks its event loop and is not captured "
                f"for {collection!r}: use upsert"
            )
        more = {name: given[name] for name in _UPSERT if name in given}
        points = iter(given["points"]) if "points" in given else _collected(given)
        retries = given.get("max_retries", _RETRIES)
        while batch := list(islice(points, given.get("batch_size", _BATCH))):
            arguments = {
                "collection_name": given["collection_name"],
                "points": [_listed(point) for point in batch],
                "wait": True,
                **more,
            }
            call = Captured(feed, judge, "upsert", arguments)
            yield from _persist(call, qdrant_ids.of_points(collection, batch), retries)
        return None

    return flow


def _name(
    asked: Asked, real_name: Callable[[Asked], Generator[Step, Any, str]]
) -> Generator[Step, Any, str]:
    feed, name = asked.captive.feed, str(asked.arguments.get("collection_name", ""))
    if not asked.client.__class__.__name__.startswith("Async"):
        return (yield from real_name(asked))
    if not feed.is_open:
        yield Wait(lambda: feed.collections)
    if name in feed.collections:
        return name
    raise ConfigError(
        f"{asked.method} of an AsyncQdrantClient cannot ask where {name!r} leads, which may be an "
        "alias: use upsert, or the original client where the collection does not move"
    )


def _persist(call: Captured, touch: Any, retries: int) -> Steps:
    failures = 0
    while True:
        try:
            return (yield from captured_call(call, [touch]))
        except ResourceExhaustedResponse as error:
            time.sleep(error.retry_after_s)
        except Exception as error:
            failures += 1
            if failures > retries or call.judge.refuses(error):
                raise


def _collected(given: Mapping[str, Any]) -> Iterator[models.PointStruct]:
    """Put points together as ``upload_collection`` takes them apart."""
    vectors, payload, ids = given["vectors"], given.get("payload"), given.get("ids")
    if isinstance(vectors, Mapping):
        sizes = {len(each) for each in vectors.values()}
        if len(sizes) != 1:
            raise ValueError("Each named vector should have the same number of vectors")
        count: int | None = sizes.pop()
        each_vector: Iterable[Any] = (
            {name: rows[number] for name, rows in vectors.items()} for number in range(count or 0)
        )
    else:
        count = len(vectors) if isinstance(vectors, Sized) else None
        each_vector = vectors
    for what, column in (("ids", ids), ("payload", payload)):
        if count is not None and isinstance(column, Sized) and len(column) < count:
            raise ValueError(f"{what} has {len(column)} elements for {count} vectors")
    named = (str(uuid.uuid4()) for _ in repeat(None)) if ids is None else ids
    with_payload = repeat(None) if payload is None else payload
    for vector, one, fields in zip(each_vector, named, with_payload, strict=False):
        yield models.PointStruct.model_construct(id=one, vector=vector, payload=fields)


def _listed(point: Any) -> Any:
    """Return a point whose vectors are lists, which is what ``upsert`` takes."""
    vector = getattr(point, "vector", None)
    if isinstance(vector, np.ndarray):
        vector = vector.tolist()
    elif isinstance(vector, Mapping):
        vector = {
            name: one.tolist() if isinstance(one, np.ndarray) else one
            for name, one in vector.items()
        }
    elif isinstance(point, models.PointStruct):
        return point
    else:
        return point
    return models.PointStruct(id=point.id, vector=vector, payload=point.payload)
