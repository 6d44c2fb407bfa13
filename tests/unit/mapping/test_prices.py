"""The table of prices: examples, the user's own, and errors that name the place."""

from pathlib import Path

import pytest

from vecferry.errors import ConfigError
from vecferry.mapping.prices import load_prices


def test_the_examples_have_a_price_for_every_store() -> None:
    prices = load_prices()
    assert prices.currency == "USD"
    for kind in ("qdrant", "milvus", "weaviate", "pinecone", "pgvector", "kafka"):
        assert prices.of(kind).week(memory=1e9, disk=1e9, brokers=1) > 0


def test_a_table_of_the_users_own_takes_their_place(tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('currency = "EUR"\n[default]\nmemory_gb_month = 30.4375\n')
    prices = load_prices(table)
    assert prices.currency == "EUR"
    assert prices.of("qdrant").week(memory=2e9) == pytest.approx(14.0)
    assert prices.of("kafka").week(memory=2e9) == pytest.approx(14.0)


def test_the_least_of_a_month_is_billed() -> None:
    assert load_prices().of("pinecone").week(disk=1.0) == pytest.approx(50 * 7 / 30.4375)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[default\n", "cannot be read"),
        ("[default]\nmemory = 1\n", "default.memory"),
        ("[default]\ndisk_gb_month = -1\n", "default.disk_gb_month"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_place(
    tmp_path: Path, text: str, told: str
) -> None:
    table = tmp_path / "prices.toml"
    table.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_prices(table)


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prices(tmp_path / "none.toml")
