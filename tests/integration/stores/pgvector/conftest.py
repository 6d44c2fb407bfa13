"""The run's PostgreSQL, a store over it, and a schema of one test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from vecferry.settings import StoreSettings
from vecferry.stores.pgvector import PgvectorStore, connect
from vecferry.testing import engines
from vecferry.testing.tables import run


@pytest.fixture(scope="module")
def url() -> str:
    return engines.pgvector()


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[PgvectorStore]:
    opened = connect(StoreSettings(type="pgvector", url=url))
    opened.version()
    yield opened
    opened.close()


@pytest.fixture
def schema(url: str) -> Iterator[str]:
    """A schema of the test's own, dropped with all that is in it."""
    name = f"it_{uuid4().hex[:12]}"
    run(url, f"CREATE SCHEMA {name}")
    yield name
    run(url, f"DROP SCHEMA {name} CASCADE")
