"""Small migrations between two collections of one Qdrant, over the run's Kafka."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines

POINTS = 40
DIM = 8


@pytest.fixture
def qdrant() -> dict[str, Any]:
    """Return the settings of the run's Qdrant."""
    url, grpc_url = engines.qdrant()
    return {"type": "qdrant", "url": url, "grpc_url": grpc_url, "timeout_s": 5.0}


@pytest.fixture
def store(qdrant: dict[str, Any]) -> Iterator[Store]:
    with contextlib.closing(open_store(StoreSettings(**qdrant))) as store:
        yield store


@pytest.fixture
def source(store: Store) -> Iterator[str]:
    """Fill a collection; whatever begins with its name is dropped afterwards."""
    name = f"cli-{uuid.uuid4().hex[:10]}"
    store.create(Collection(name, (VectorSpec("", dim=DIM, metric="dot"),)))
    rows = np.random.default_rng(2).standard_normal((POINTS, DIM)).astype("<f4")
    store.write(
        Ref(name, name),
        [
            Write(
                Key(name, "", at),
                Image({"": Dense("float32", DIM, row.tobytes())}, encode_payload({"n": at})),
            )
            for at, row in enumerate(rows)
        ],
    )
    yield name
    for each in store.collections():
        if each.startswith(name):
            store.drop(each)


@pytest.fixture
def document(source: str, qdrant: dict[str, Any]) -> dict[str, Any]:
    """Return a migration of it into ``<name>-moved``."""
    return {
        "source": dict(qdrant),
        "target": dict(qdrant),
        "collections": [{"source": source, "target": f"{source}-moved"}],
        "log": {
            "bootstrap_servers": engines.kafka(),
            "session_timeout_s": 6.0,
            "heartbeat_s": 0.5,
            "partitions": 2,
        },
        "apply": {"request_max_s": 5.0, "backoff_max_s": 1.0},
    }
