"""Addresses and versions are read as their owners write them."""

import pytest

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores.milvus.connect import Product, address, parse_product


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("v2.3.5-lite", Product(False, (2, 3, 5), "2.3.5-lite")),
        ("2.6.1", Product(False, (2, 6, 1), "2.6.1")),
        ("milvus_lite-3.2.2", Product(True, (3, 2, 2), "3.2.2")),
        ("master-20260101", Product(False, (2, 6), "master-20260101")),
    ],
)
def test_a_version_is_read(text, product):
    assert parse_product(text) == product


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://localhost:1", ("localhost:1", False)),
        ("localhost", ("localhost:19530", False)),
        ("https://a.example", ("a.example:443", True)),
        ("http://[::1]:5", ("[::1]:5", False)),
    ],
)
def test_an_address_is_read(given, expected):
    assert address(StoreSettings(type="milvus", url=given)) == expected


@pytest.mark.parametrize("url", ["", "http://", "http://a:port", "ftp://a:1"])
def test_a_wrong_address_is_a_clear_error(url):
    with pytest.raises(ConfigError, match="url"):
        address(StoreSettings(type="milvus", url=url))
