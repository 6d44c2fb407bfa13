"""The databases that are held against each other."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from vecferry.ports import Store
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines


def qdrant(_: Path) -> StoreSettings:
    url, grpc_url = engines.qdrant()
    return StoreSettings(type="qdrant", url=url, grpc_url=grpc_url)


def milvus(_: Path) -> StoreSettings:
    return StoreSettings(type="milvus", url=engines.milvus())


def pinecone(_: Path) -> StoreSettings:
    return StoreSettings(type="pinecone", url=engines.pinecone())


def pgvector(_: Path) -> StoreSettings:
    return StoreSettings(type="pgvector", url=engines.pgvector())


def weaviate(_: Path) -> StoreSettings:
    url, grpc_url = engines.weaviate()
    return StoreSettings(type="weaviate", url=url, grpc_url=grpc_url)


DATABASES: Mapping[str, Callable[[Path], StoreSettings]] = {
    "qdrant": qdrant,
    "milvus": milvus,
    "pinecone": pinecone,
    "pgvector": pgvector,
    "weaviate": weaviate,
}


@pytest.fixture
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    with contextlib.ExitStack() as stack:
        stores = []
        for side, name in zip(("source", "target"), request.param, strict=True):
            store = open_store(DATABASES[name](tmp_path / side))
            stack.callback(store.close)
            store.version()
            stores.append(store)
        yield stores[0], stores[1]


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, Store]]:
    """The databases of the names that the parameter gives; all of them without one."""
    with contextlib.ExitStack() as stack:
        opened = {}
        for name in getattr(request, "param", DATABASES):
            opened[name] = open_store(DATABASES[name](tmp_path / name))
            stack.callback(opened[name].close)
            opened[name].version()
        yield opened
