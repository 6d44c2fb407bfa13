"""Who is let in, and what is told to those who are not."""

import contextlib
import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from vecferry.errors import (
    ConfigError,
    TransientError,
)
from vecferry.model import Collection
from vecferry.ports import Ref
from vecferry.settings import StoreSettings
from vecferry.stores.pgvector import connect
from vecferry.testing import pgvector
from vecferry.testing.certificates import Authority
from vecferry.testing.tables import VECTOR, everything, point, put, run


def test_a_database_without_the_extension_says_so(url: str) -> None:
    name = f"bare_{uuid4().hex[:12]}"
    run(url, f"CREATE DATABASE {name}")
    bare = connect(StoreSettings(type="pgvector", url=url, database=name))
    with pytest.raises(ConfigError, match="CREATE EXTENSION vector"):
        bare.version()
    bare.close()
    run(url, f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": "nowhere"}, "3D000"),
        ({"user": "nobody"}, "28000"),
        ({"tls": True}, "SSL"),
        ({"url": "postgresql://127.0.0.1:9/postgres"}, "check url"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(url: str, change: dict[str, Any], message: str) -> None:
    given = {"type": "pgvector", "url": url, "password": "s3cret!"} | change
    store = connect(StoreSettings.model_validate(given))
    with pytest.raises(ConfigError, match=message) as raised:
        store.version()
    assert "s3cret!" not in str(raised.value)
    store.close()


class TlsFront(socketserver.ThreadingTCPServer):
    """What a server with TLS does, before one whose build has none: it answers SSLRequest."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, certificate: Path) -> None:
        self.upstream = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), _Session)

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self.server_address[1]}/postgres"


class _Session(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            if self.request.recv(8) != struct.pack(">ii", 8, 80877103):
                return
            self.request.sendall(b"S")
            with (
                self.server.context.wrap_socket(self.request, server_side=True) as inside,
                socket.create_connection(("127.0.0.1", self.server.upstream)) as outside,
            ):
                self._pump(inside, outside)

    def _pump(self, inside: ssl.SSLSocket, outside: socket.socket) -> None:
        while True:
            ready = [inside] if inside.pending() else select.select([inside, outside], [], [])[0]
            for one, other in ((inside, outside), (outside, inside)):
                if one in ready:
                    part = one.recv(65_536)
                    if not part:
                        return
                    other.sendall(part)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that wants TLS and a password, and the file of the authority that vouches for it."""
    reason = pgvector.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("postgres")
    authority = Authority(folder)
    hba = folder / "hba.conf"
    hba.write_text(
        "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    with pgvector.PostgresServer(options={"hba_file": str(hba)}) as server:
        run(server.url, "CREATE ROLE app LOGIN PASSWORD 's3cret!'")
        run(server.url, "GRANT ALL ON SCHEMA public TO app")
        with TlsFront(server.port, authority.keystore) as front:
            threading.Thread(target=front.serve_forever, daemon=True).start()
            yield front.url, authority.ca_file
            front.shutdown()


def test_tls_with_a_private_authority_and_a_password_work(secured: tuple[str, Path]) -> None:
    url, ca_file = secured
    settings = {"type": "pgvector", "url": url, "user": "app", "password": "s3cret!"}
    store = connect(StoreSettings.model_validate(settings | {"ca_file": ca_file}))
    store.create(Collection("docs", (VECTOR,)))
    put(store, Ref("docs", "docs"), point(1))
    assert everything(store, Ref("docs", "docs")) == [point(1)]
    store.drop("docs")
    store.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wr0ng!"}, "28P01"),
        ({"user": "nobody"}, "28P01"),
        ({"ca_file": None}, "check url, database and tls"),
        ({"ca_file": None, "tls": True}, "check url, database and tls"),
    ],
    ids=["password", "user", "plain", "authority"],
)
def test_what_a_secured_server_refuses_is_one_clear_error(
    secured: tuple[str, Path], change: dict[str, Any], message: str
) -> None:
    url, ca_file = secured
    given = {
        "type": "pgvector",
        "url": url,
        "user": "app",
        "password": "s3cret!",
        "ca_file": ca_file,
    }
    store = connect(StoreSettings.model_validate(given | change))
    with pytest.raises(ConfigError, match=message) as raised:
        store.version()
    store.close()
    assert "s3cret!" not in str(raised.value)
    assert "wr0ng!" not in str(raised.value)


def test_an_outage_is_transient_and_what_was_answered_survives_a_crash(tmp_path: Path) -> None:
    reason = pgvector.missing()
    if reason is not None:
        pytest.skip(reason)
    with pgvector.PostgresServer(tmp_path) as server:
        store = connect(StoreSettings(type="pgvector", url=server.url))
        ref = Ref("docs", "docs")
        store.create(Collection("docs", (VECTOR,)))
        put(store, ref, point(1))
        server.kill()
        for request in (lambda: store.read(ref, [point(1).key]), lambda: put(store, ref, point(2))):
            with pytest.raises(TransientError):
                request()
        server.start()
        put(store, ref, point(3))
        assert [one.key.id for one in everything(store, ref)] == [1, 3]
        store.close()


def test_a_standby_is_refused_and_one_that_was_the_primary_is_not_read(tmp_path: Path) -> None:
    reason = pgvector.missing()
    if reason is not None:
        pytest.skip(reason)
    with pgvector.PostgresServer(tmp_path) as server:
        store = connect(StoreSettings(type="pgvector", url=server.url))
        ref = Ref("docs", "docs")
        store.create(Collection("docs", (VECTOR,)))
        put(store, ref, point(1))
        server.stop()
        (server.path / "data" / "standby.signal").touch()
        server.start()
        with pytest.raises(TransientError):
            store.read(ref, [point(1).key])
        store.close()
        late = connect(StoreSettings(type="pgvector", url=server.url))
        with pytest.raises(ConfigError, match="standby"):
            late.version()
        late.close()
