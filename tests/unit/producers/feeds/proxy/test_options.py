from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy import ProxyOptions
from vecferry.settings import StoreSettings


def source(**given: Any) -> StoreSettings:
    return StoreSettings.model_validate({"type": "qdrant", "url": "http://127.0.0.1:6333", **given})


def test_it_listens_for_this_machine_alone_unless_told_otherwise() -> None:
    assert ProxyOptions(source()).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:6333"),
        ({"tls": True}, "https://127.0.0.1:6333"),
        ({"url": "https://q.example:443/base/"}, "https://q.example:443/base"),
    ],
)
def test_the_address_behind_it_is_the_sources(given: dict[str, Any], url: str) -> None:
    assert ProxyOptions(source(**given)).rest_url == url


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({"type": "milvus"}, {}),
        ({"url": "127.0.0.1:6333"}, {}),
        ({"url": "ftp://127.0.0.1"}, {}),
        ({"grpc_url": "http://127.0.0.1:port"}, {}),
        ({}, {"cert_file": Path("cert.pem")}),
        ({}, {"writes_max": 0}),
        ({}, {"body_bytes_max": 0}),
    ],
)
def test_what_cannot_work_is_told_at_once(given: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ProxyOptions(source(**given), **more)
