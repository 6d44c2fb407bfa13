"""A client of the run's Qdrant, over each protocol, and a collection with points."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from vecferry.testing import engines

DIM = 8


@pytest.fixture(scope="module", params=["rest", "grpc"])
def client(request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    url, grpc_url = engines.qdrant()
    found = QdrantClient(
        url=url,
        grpc_port=int(grpc_url.rpartition(":")[2]),
        prefer_grpc=request.param == "grpc",
        timeout=60,
    )
    yield found
    found.close()


@pytest.fixture
def name(client: QdrantClient) -> Iterator[str]:
    found = f"clients-{uuid.uuid4().hex}"
    yield found
    client.delete_collection(found)


@pytest.fixture
def plain(client: QdrantClient, name: str) -> str:
    """A collection of 20 points with one unnamed vector."""
    client.create_collection(
        name, vectors_config=models.VectorParams(size=DIM, distance=models.Distance.DOT)
    )
    client.upsert(name, [point(number) for number in range(20)])
    return name


def point(number: int, **payload: Any) -> models.PointStruct:
    vector = np.random.default_rng(number).random(DIM, dtype="f4")
    given = payload or {"n": number, "half": number / 2, "parity": ["even", "odd"][number % 2]}
    return models.PointStruct(id=number, vector=vector.tolist(), payload=given)
