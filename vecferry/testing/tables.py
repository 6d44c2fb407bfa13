"""Tables in PostgreSQL as a test's application sees them, and points that fit them."""

import asyncio
from typing import Any

import numpy as np

from vecferry.model import Dense, Image, Key, Point, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Bounds, Ref, Store, Write

VECTOR = VectorSpec("embedding", dim=3, metric="l2")
"""Of the collections that these points fit."""


def run(url: str, *statements: str) -> list[Any]:
    """Run statements as the application would; return the rows of the last one."""
    import asyncpg

    async def work() -> list[Any]:
        connection = await asyncpg.connect(url, user="postgres")
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return list(await connection.fetch(statements[-1]))
        finally:
            await connection.close()

    return asyncio.run(work())


def vector(*values: float) -> Dense:
    """Return a float32 vector."""
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def point(id: Any, payload: dict[str, Any] | None = None, *, space: str = "") -> Point:
    """Return a point of the collection ``docs``."""
    image = Image({"embedding": vector(1, 2, 3)}, encode_payload(payload or {}))
    return Point(Key("docs", space, id), image)


def put(store: Store, ref: Ref, *points: Point) -> None:
    """Write points, of which none is refused."""
    assert store.write(ref, [Write(one.key, one.image) for one in points]) == []


def everything(store: Store, ref: Ref, bounds: Bounds | None = None) -> list[Point]:
    """Return all points, or those of one part."""
    return [one for page in store.scan(ref, bounds or Bounds()) for one in page]
