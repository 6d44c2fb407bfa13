from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores.pgvector.connect import Address, Product, address
from vecferry.stores.pgvector.store import PgvectorStore


def settings(**given: Any) -> StoreSettings:
    return StoreSettings(type="pgvector", **given)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db.example:6543/docs", Address("db.example", 6543, "docs")),
        ("postgres://db.example", Address("db.example", 5432, "postgres")),
        ("db.example:6543", Address("db.example", 6543, "postgres")),
        ("postgresql://[::1]/d%20b", Address("::1", 5432, "d b")),
    ],
)
def test_an_address_is_read_in_every_usual_spelling(url: str, expected: Address) -> None:
    assert address(settings(url=url)) == expected


def test_the_setting_names_the_database_before_the_address() -> None:
    assert address(settings(url="postgresql://h/one", database="two")).database == "two"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://h",
        "postgresql://h:port",
        "postgresql:///db",
        "postgresql://h/db?sslmode=require",
    ],
)
def test_what_is_no_address_says_how_one_looks(url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        PgvectorStore(settings(url=url))


def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.pem"):
        PgvectorStore(settings(url="postgresql://h", ca_file=tmp_path / "nothing.pem"))


def test_capabilities_follow_the_extension_s_version() -> None:
    assert Product("16", (0, 6, 2), "public").types == ("vector",)
    assert Product("16", (0, 7), "public").types == ("vector", "halfvec", "sparsevec")
    assert str(Product("16.2", (0, 8, 5), "public")) == "PostgreSQL 16.2 with pgvector 0.8.5"


def test_closing_what_was_never_opened_is_fine() -> None:
    store = PgvectorStore(settings(url="postgresql://127.0.0.1:1"))
    store.close()
    store.close()
