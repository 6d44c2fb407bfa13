import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import ConfigError, HaltError, TransientError, UnknownOutcome
from vecferry.settings import StoreSettings
from vecferry.stores.qdrant import connect
from vecferry.stores.qdrant.connect import Connection, NotConnectedError, grpc_address
from vecferry.testing.certificates import Authority

HEALTH = "/qdrant.Qdrant/HealthCheck"
PATH = "/qdrant.Points/Upsert"


def settings(**more: object) -> StoreSettings:
    return StoreSettings(type="qdrant", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"url": "http://host:6333"}, ("host:6334", False)),
        ({"url": "http://host"}, ("host:6334", False)),
        ({"url": "host:7000"}, ("host:7001", False)),
        ({"url": "https://host:6333"}, ("host:6334", True)),
        ({"url": "http://host:6333", "tls": True}, ("host:6334", True)),
        ({"url": "http://[::1]:6333"}, ("[::1]:6334", False)),
        ({"url": "http://a:6333", "grpc_url": "b:9999"}, ("b:9999", False)),
        ({"url": "http://a:6333", "grpc_url": "http://b"}, ("b:6334", False)),
        ({"url": "http://a:6333", "grpc_url": "https://b:1"}, ("b:1", True)),
    ],
)
def test_grpc_is_the_port_after_rests_unless_said_otherwise(given, expected):
    assert grpc_address(settings(**given)) == expected


@pytest.mark.parametrize(
    "url", ["", "http://host:port", "ftp://host:1", "http://:6333", "http://h:99999"]
)
def test_an_address_that_cannot_be_read_says_what_it_should_be(url):
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:6333"):
        connect(settings(url=url))


def test_a_ca_file_needs_tls_and_must_be_readable(tmp_path):
    with pytest.raises(ConfigError, match="tls = true"):
        Connection(settings(url="http://h:1", ca_file=tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="cannot be read"):
        Connection(settings(url="https://h:1", ca_file=tmp_path / "ca.pem"))


@pytest.mark.parametrize("key", ["line\nbreak", "clé"])
def test_a_key_that_no_header_can_carry_is_refused_without_printing_it(key):
    with pytest.raises(ConfigError, match="api_key") as raised:
        Connection(settings(url="http://h:1", api_key=key))
    assert key not in str(raised.value)


def test_tls_takes_the_authority_of_ca_file_and_no_other(tmp_path):
    authority = Authority(tmp_path)
    pem = authority.keystore.read_bytes()
    start = pem.index(b"-----BEGIN CERTIFICATE-----")
    server = grpc.server(ThreadPoolExecutor(1))
    pair = (pem[:start], pem[start:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    try:
        good = Connection(settings(url=f"https://127.0.0.1:{port - 1}", ca_file=authority.ca_file))
        with pytest.raises(HaltError, match="UNIMPLEMENTED"):  # it is reached
            good.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
        good.close()
        other = Authority(stranger).ca_file
        bad = Connection(settings(url=f"https://127.0.0.1:{port - 1}", ca_file=other))
        with pytest.raises(NotConnectedError):
            bad.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
        bad.close()
    finally:
        server.stop(None).wait(30)


def test_nothing_is_sent_at_an_address_where_nothing_is():
    with socket.socket() as taken:  # bound, not listening: refused
        taken.bind(("127.0.0.1", 0))
        connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(NotConnectedError, match="nothing was sent") as raised:
            connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
        assert not isinstance(raised.value, UnknownOutcome)
        connection.close()
        connection.close()


def test_version_at_a_wrong_address_is_a_matter_of_configuration():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = connect(settings(url="x", grpc_url=f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ConfigError, match="REST address"):
            store.version()
        store.close()


def test_the_key_goes_with_every_request_and_in_no_message(server, store):
    with pytest.raises(ConfigError) as raised:
        store.version()
    assert server.metadata[0]["api-key"] == "secret-key"
    assert "secret-key" not in str(raised.value)


def test_another_grpc_service_is_a_matter_of_configuration(store):
    with pytest.raises(ConfigError, match="UNIMPLEMENTED"):
        store.version()


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_a_wrong_key_is_found_though_the_health_check_is_open(server, store, code):
    server.reply(HEALTH, qdrant.HealthCheckReply(version="1.19.0"))
    server.fail("/qdrant.Collections/List", code)
    with pytest.raises(ConfigError, match="api_key"):
        store.version()


def test_a_key_that_is_taken_away_later_halts(server, store):
    server.fail("/qdrant.Collections/List", grpc.StatusCode.UNAUTHENTICATED)
    with pytest.raises(HaltError):
        store.collections()


def test_a_server_that_is_too_old_is_refused(server, store):
    server.reply(HEALTH, qdrant.HealthCheckReply(version="1.12.6"))
    server.reply("/qdrant.Collections/List", qdrant.ListCollectionsResponse())
    with pytest.raises(ConfigError, match=r"1\.13 or newer"):
        store.version()


@pytest.mark.parametrize("version", ["1.13.0", "1.19.2", "2.0.0", "dev"])
def test_other_versions_are_taken(server, store, version):
    server.reply(HEALTH, qdrant.HealthCheckReply(version=version))
    server.reply("/qdrant.Collections/List", qdrant.ListCollectionsResponse())
    assert store.version() == f"Qdrant {version}"


def test_a_connection_that_breaks_under_a_write_leaves_its_outcome_unknown(server):
    connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{server.port}"))
    server.reply(PATH, qdrant.HealthCheckReply())

    def die(_request, _context):
        server._server.stop(None)
        server._server.wait_for_termination(30)
        return b""

    connection.call(PATH, qdrant.HealthCheckRequest(), "warming")
    server.answers[PATH] = die
    with pytest.raises(UnknownOutcome):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    # the next one finds no server, sends nothing, and so its outcome is known
    with pytest.raises(TransientError) as raised:
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    assert not isinstance(raised.value, UnknownOutcome)
    connection.close()


def test_a_deadline_that_passes_leaves_a_writes_outcome_unknown(server):
    connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{server.port}", timeout_s=1))
    server.fail(PATH, grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(UnknownOutcome):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    connection.close()


def test_replies_beyond_grpcs_default_limit_are_taken(server):
    connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{server.port}"))
    server.reply(PATH, qdrant.HealthCheckReply(title="x" * 5_000_000))
    assert len(connection.call(PATH, qdrant.HealthCheckRequest(), "reading")) > 5_000_000
    connection.close()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL"])
def test_while_the_health_check_fails_nothing_else_is_sent(server, code):
    connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{server.port}"))
    server.fail(HEALTH, grpc.StatusCode[code])
    with pytest.raises(NotConnectedError, match=code):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    assert not server.of(PATH)
    connection.close()


def test_a_server_that_answers_is_asked_for_its_health_once(server):
    connection = Connection(settings(url="x", grpc_url=f"127.0.0.1:{server.port}"))
    server.reply(PATH, qdrant.HealthCheckReply())
    for _ in range(3):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    assert len(server.of(HEALTH)) == 1
    server.fail(PATH, grpc.StatusCode.INTERNAL)
    with pytest.raises(UnknownOutcome):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    with pytest.raises(UnknownOutcome):
        connection.call(PATH, qdrant.HealthCheckRequest(), "writing", writes=True)
    assert len(server.of(HEALTH)) == 2
    connection.close()
