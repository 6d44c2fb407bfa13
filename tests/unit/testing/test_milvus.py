"""Two Milvus servers share no port, and one keeps its address from start to start."""

import pytest

from vecferry.testing import milvus
from vecferry.testing.milvus import MilvusServer

pytestmark = pytest.mark.skipif(
    milvus.missing() is not None, reason=f"Milvus cannot run here: {milvus.missing()}"
)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(milvus, "_programs", lambda: tmp_path)
    return MilvusServer(tmp_path)


def ports_of(server):
    server._prepare()
    return dict(server._ports)


def test_every_port_of_a_server_is_its_own(server, tmp_path):
    first, second = ports_of(server), ports_of(MilvusServer(tmp_path))
    assert {"metrics", "etcd_client", "etcd_peer", "proxy_port"} < set(first)
    every = [*first.values(), *second.values()]
    assert len(set(every)) == len(every)


def test_the_configuration_moves_etcds_ports_too(server):
    ports = ports_of(server)
    etcd = server.data / "configs" / "etcd.yaml"
    assert f"listen-client-urls: http://127.0.0.1:{ports['etcd_client']}" in etcd.read_text()
    assert f"path: {etcd}" in (server.data / "configs" / "milvus.yaml").read_text()


def test_a_server_that_starts_again_has_the_same_ports(server):
    assert ports_of(server) == ports_of(server)


def test_a_port_that_was_taken_meanwhile_is_replaced_but_not_the_address(server, monkeypatch):
    before = ports_of(server)
    taken = before["metrics"]
    monkeypatch.setattr(milvus, "listens", lambda port: port == taken)
    after = ports_of(server)
    assert after["metrics"] != taken
    assert after["proxy_port"] == before["proxy_port"]
