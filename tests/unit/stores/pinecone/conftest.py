"""A scripted service of this process's own, and a store over it."""

import contextlib
from collections.abc import Iterator

import pytest

from vecferry.model import VectorSpec
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone import PineconeStore, connect
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject, create

KEY = "a-secret-that-must-not-be-shown"


@pytest.fixture(scope="session")
def service() -> Iterator[PineconeServer]:
    with PineconeServer(api_key=KEY) as running:
        yield running


@pytest.fixture
def server(service: PineconeServer) -> Iterator[PineconeServer]:
    """The service without a script, before and after."""
    service.script()
    yield service
    service.script()


@pytest.fixture
def settings(server: PineconeServer) -> StoreSettings:
    return StoreSettings(type="pinecone", url=server.url, api_key=KEY, timeout_s=20.0)


@pytest.fixture
def store(settings: StoreSettings) -> Iterator[PineconeStore]:
    with contextlib.closing(connect(settings)) as opened:
        yield opened


@pytest.fixture
def other(settings: StoreSettings) -> Iterator[PineconeStore]:
    """Another client, which knows nothing of the first one's writes."""
    with contextlib.closing(connect(settings)) as opened:
        yield opened


@pytest.fixture
def subject(store: PineconeStore) -> Iterator[Subject]:
    made = create(store, VectorSpec("", dim=8, metric="l2"))
    yield made
    store.drop(made.ref.name)
