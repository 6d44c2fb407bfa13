import asyncio

import pytest

from vecferry.errors import ConfigError
from vecferry.producers.feeds.proxy import ProxyOptions, upstream
from vecferry.settings import StoreSettings


def test_what_is_about_one_connection_stays_on_it() -> None:
    given = [
        (b"Host", b"proxy"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"api-key", b"k"),
        (b"X-Trace", b"a"),
        (b"X-Trace", b"b"),
    ]
    assert upstream.end_to_end(given) == [
        (b"api-key", b"k"),
        (b"x-trace", b"a"),
        (b"x-trace", b"b"),
    ]


def test_a_look_up_carries_the_clients_credentials_and_nothing_else() -> None:
    given = [(b"api-key", b"k"), (b"Authorization", b"Bearer t"), (b"cookie", b"c")]
    assert upstream.credentials(given) == given[:2]
    assert upstream.metadata_credentials([("api-key", "k"), ("x", "y")]) == (("api-key", "k"),)


def test_metadata_of_the_transport_stays_on_it() -> None:
    given = [("user-agent", "grpc"), ("grpc-timeout", "1S"), ("x-bin", b"\0"), ("api-key", "k")]
    assert upstream.forwarded_metadata(given) == (("x-bin", b"\0"), ("api-key", "k"))
    assert upstream.forwarded_metadata(None) == ()


def test_the_client_adds_no_header_and_asks_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = upstream.rest_client(ProxyOptions(StoreSettings(type="qdrant", url="http://q")), 1)
    assert dict(client.headers) == {}
    assert not client.trust_env
    asyncio.run(client.aclose())


@pytest.mark.parametrize("status", [200, 400, 403, 404, 413, 429, 499])
def test_such_an_answer_says_that_it_is_over(status: int) -> None:
    assert upstream.is_final_status(status)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_such_an_answer_does_not(status: int) -> None:
    assert not upstream.is_final_status(status)


def test_an_authority_that_cannot_be_read_is_told(tmp_path: object) -> None:
    settings = StoreSettings.model_validate(
        {"type": "qdrant", "url": "https://q", "ca_file": f"{tmp_path}/none.pem"}
    )
    with pytest.raises(ConfigError, match="ca_file"):
        upstream.rest_client(ProxyOptions(settings), 1)
    with pytest.raises(ConfigError, match="ca_file"):
        upstream.Channel(ProxyOptions(settings))
