"""A collection in a real Milvus that every move here reads and none writes."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines
from vecferry.testing.qdrant import QdrantServer

POINTS = 3_000
DIM = 64


@pytest.fixture(scope="session")
def source() -> Iterator[str]:
    """Return the name of a collection of POINTS points."""
    name = f"moves_{uuid.uuid4().hex[:8]}"
    with contextlib.closing(
        open_store(StoreSettings(type="milvus", url=engines.milvus()))
    ) as store:
        spec = VectorSpec("v", dim=DIM, metric="dot", index={"type": "flat"})
        store.create(Collection(name, (spec,), id_types=frozenset({"int"})))
        rows = np.random.default_rng(5).standard_normal((POINTS, DIM)).astype("<f4")
        writes = [
            Write(
                Key(name, "", at - 50),
                Image({"v": Dense("float32", DIM, row.tobytes())}, encode_payload({"n": at})),
            )
            for at, row in enumerate(rows)
        ]
        for start in range(0, POINTS, 1_000):
            assert store.write(Ref(name, name), writes[start : start + 1_000]) == []
        yield name
        store.drop(name)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[QdrantServer]:
    """A Qdrant of this test's own: it can be killed and made slow."""
    with QdrantServer(tmp_path / "qdrant") as server:
        yield server


@pytest.fixture
def document(source: str, target: QdrantServer) -> dict[str, Any]:
    """Return a migration of it: short sessions, small batches and chunks, a source that is spared."""
    return {
        "source": {"type": "milvus", "url": engines.milvus()},
        "target": {
            "type": "qdrant",
            "url": target.url,
            "grpc_url": target.grpc_url,
            "timeout_s": 4.0,
        },
        "collections": [{"source": source}],
        "log": {"session_timeout_s": 6.0, "heartbeat_s": 0.5},
        "snapshot": {"chunk_points": 500, "points_per_s_max": 500.0, "workers": 1},
        "apply": {
            "workers": 2,
            "batch_points": 64,
            "request_max_s": 4.0,
            "backoff_max_s": 1.0,
            "writes_in_flight": 2,
        },
    }
