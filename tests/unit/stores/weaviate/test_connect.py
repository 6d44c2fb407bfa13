import pytest

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores.weaviate import connect
from vecferry.stores.weaviate.connect import grpc_address, rest_address


@pytest.mark.parametrize(
    ("given", "rest", "grpc"),
    [
        ({"url": "http://db"}, ("http://db:8080", False), ("db:50051", False)),
        ({"url": "db:9000"}, ("http://db:9000", False), ("db:50051", False)),
        ({"url": "https://db"}, ("https://db:443", True), ("db:50051", True)),
        ({"url": "db", "tls": True}, ("https://db:443", True), ("db:50051", True)),
        (
            {"url": "https://db", "grpc_url": "https://grpc-db:443"},
            ("https://db:443", True),
            ("grpc-db:443", True),
        ),
        ({"url": "http://[::1]:1"}, ("http://[::1]:1", False), ("[::1]:50051", False)),
    ],
)
def test_both_addresses_follow_from_the_settings(given, rest, grpc):
    settings = StoreSettings(type="weaviate", **given)
    assert (rest_address(settings), grpc_address(settings)) == (rest, grpc)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "url is missing"),
        ({"url": "ftp://db"}, "http"),
        ({"url": "http://db", "tls": True}, "https"),
        ({"url": "http://db:x"}, "port"),
        ({"url": "http://db", "ca_file": "/nowhere"}, "tls"),
        ({"url": "https://db", "ca_file": "/nowhere"}, "cannot be read"),
        ({"url": "http://db", "api_key": "a\nb"}, "header"),
        ({"url": "http://db", "grpc_url": "ftp://db"}, "grpc_url"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_sent(given, says):
    with pytest.raises(ConfigError, match=says):
        connect(StoreSettings(type="weaviate", **given))


def test_a_server_that_is_not_there_is_the_configuration_s_fault():
    store = connect(StoreSettings(type="weaviate", url="http://127.0.0.1:9", timeout_s=5))
    with pytest.raises(ConfigError, match="url and grpc_url"):
        store.version()
    store.close()


def test_the_key_goes_through_both_doors_and_is_never_shown():
    store = connect(StoreSettings(type="weaviate", url="http://127.0.0.1:9", api_key="geheim"))
    assert store._connection._client.headers["authorization"] == "Bearer geheim"
    assert store._connection._metadata == (("authorization", "Bearer geheim"),)
    with pytest.raises(ConfigError) as raised:
        store.version()
    assert "geheim" not in str(raised.value)
    store.close()
