"""The stores that the behaviour suite runs over; what one cannot do, its capabilities say."""

from collections.abc import Callable, Iterator

import pytest

from vecferry.ports import Store
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines
from vecferry.testing.subjects import Subject, create, plain


def memory() -> StoreSettings:
    return StoreSettings(type="memory", url="memory://conformance")


def memory_that_normalises() -> StoreSettings:
    return StoreSettings(type="memory", url="memory://conformance-cosine?normalises")


def qdrant() -> StoreSettings:
    url, grpc_url = engines.qdrant()
    return StoreSettings(type="qdrant", url=url, grpc_url=grpc_url)


def milvus() -> StoreSettings:
    return StoreSettings(type="milvus", url=engines.milvus())


def milvus_lite() -> StoreSettings:
    return StoreSettings(type="milvus", url=engines.milvus_lite())


def pinecone() -> StoreSettings:
    return StoreSettings(type="pinecone", url=engines.pinecone())


def pgvector() -> StoreSettings:
    return StoreSettings(type="pgvector", url=engines.pgvector())


def weaviate() -> StoreSettings:
    url, grpc_url = engines.weaviate()
    return StoreSettings(type="weaviate", url=url, grpc_url=grpc_url)


def parquet() -> StoreSettings:
    return StoreSettings(type="parquet", url=str(engines.begin_run() / "parquet"))


def parquet_of_objects() -> StoreSettings:
    return StoreSettings(type="parquet", url="memory://conformance")


STORES: list[Callable[[], StoreSettings]] = [
    memory,
    memory_that_normalises,
    qdrant,
    pgvector,
    pinecone,
    weaviate,
    parquet,
    parquet_of_objects,
    milvus_lite,
    pytest.param(milvus, marks=pytest.mark.milvus),
]


@pytest.fixture(scope="session", params=STORES, ids=lambda settings: settings.__name__)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    opened = open_store(request.param())
    opened.version()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared(store: Store) -> Iterator[Subject]:
    """One collection for the tests that look at their own keys only; creating is slow."""
    subject = create(store, plain(store.capabilities))
    yield subject
    store.drop(subject.ref.name)


@pytest.fixture
def alone(store: Store) -> Iterator[Subject]:
    """A collection that one test has for itself."""
    subject = create(store, plain(store.capabilities))
    yield subject
    store.drop(subject.ref.name)


@pytest.fixture
def integers(store: Store) -> Iterator[Subject]:
    """A collection of one test whose ids are declared to be integers."""
    subject = create(store, plain(store.capabilities), ids=("int",))
    yield subject
    store.drop(subject.ref.name)
