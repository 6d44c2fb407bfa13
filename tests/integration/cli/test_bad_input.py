"""What cannot be: a clear error (what, where, what next), and nothing is written anywhere."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from vecferry.log.child import free_port
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.ports import Ref, Store, Write
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run, Said

pytestmark = pytest.mark.kafka


def topics_of(run: Run) -> set[str]:
    servers = run.migration.settings.log.bootstrap_servers
    names = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=30.0).topics
    return {name for name in names if name.startswith(f"vecferry.{run.name}.")}


@pytest.fixture
def refused(tmp_path: Path, store: Store, source: str):
    """Let both ``plan`` and ``init`` refuse a document; see that neither left anything behind."""

    def held() -> dict[str, int]:
        # the server is shared: the collections of other tests come and go meanwhile
        return {name: store.count(name) for name in store.collections() if name.startswith(source)}

    def ask(document: dict[str, Any], code: int) -> Said:
        before = held()
        with Run(tmp_path, document) as run:
            said = run.say("init")
            assert said.code == code, said
            assert topics_of(run) == set()
            planned = run.say("plan")
        assert held() == before
        assert planned.code in (0, code)
        return said

    return ask


def test_an_unknown_setting_is_named_with_the_nearest_one(tmp_path, document):
    document["apply"]["batch_pionts"] = 5
    with Run(tmp_path, document) as run:
        said = run.say("up")
    assert said.code == 2
    assert "'apply.batch_pionts' is not a setting: did you mean 'batch_points'?" in said.line
    assert run.path.name in said.line


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("kind", ["qdrant", "milvus"])
def test_an_address_where_nothing_listens(document, refused, side, kind):
    document[side] = {"type": kind, "url": f"http://127.0.0.1:{free_port()}", "timeout_s": 2.0}
    said = refused(document, 2)
    assert f"[{side}]" in said.line
    assert "127.0.0.1" in said.line
    assert " url " in said.line


def test_a_broker_that_is_not_there(tmp_path, document):
    document["log"]["bootstrap_servers"] = address = f"127.0.0.1:{free_port()}"
    with Run(tmp_path, document) as run:
        said = run.say("init")
    assert said.code == 4  # it may come back: the same command again
    assert address in said.line
    assert "bootstrap_servers" in said.line


def test_a_wrong_key(document, refused):
    with QdrantServer(api_key="the-right-one") as server:
        document["target"] |= {"url": server.url, "grpc_url": server.grpc_url, "api_key": "wr0ng"}
        said = refused(document, 2)
    assert "[target]" in said.line
    assert "api_key" in said.line
    assert "wr0ng" not in said.line


def test_a_collection_that_is_not_there_is_told_with_the_nearest_one(document, refused, source):
    document["collections"] = [{"source": source[:-1] + "x"}]
    said = refused(document, 2)
    assert f"did you mean {source!r}?" in said.line


def test_a_target_of_another_dimension(document, refused, source, store):
    store.create(Collection(f"{source}-moved", (VectorSpec("", dim=9, metric="dot"),)))
    said = refused(document, 3)
    assert "dim of vector '' is 9 in the target's" in said.line
    assert "8 in the source" in said.line
    assert "vecferry plan" in said.line


def test_a_target_that_is_not_empty_unless_that_is_allowed(
    tmp_path, document, refused, source, store
):
    full = f"{source}-full"
    store.create(replace(store.describe(source), name=full))
    writes = [
        Write(Key(source, "", at), Image({"": Dense("float32", 8, bytes(32))})) for at in range(40)
    ]
    assert store.write(Ref(full, source), writes) == []
    document["collections"] = [{"source": source, "target": full}]
    said = refused(document, 2)
    assert "holds 40 points already" in said.line
    assert "allow_not_empty" in said.line
    document["collections"][0]["allow_not_empty"] = True
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
        assert run.say("init").code == 0  # a second time changes nothing


def test_a_name_that_was_used_for_another_migration(tmp_path, document, source, store):
    document["name"] = f"used-{uuid.uuid4().hex[:8]}"
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
    document["collections"][0]["target"] = f"{source}-elsewhere"
    with Run(tmp_path, document) as run:
        said = run.say("up")
    assert said.code == 2
    assert "was used before for another migration" in said.line
    assert "another name" in said.line
    assert f"{source}-elsewhere" not in store.collections()


def test_a_migration_that_was_never_prepared(tmp_path, document):
    with Run(tmp_path, document) as run:
        for command in (["status"], ["pause"], ["dlq", "list"], ["up", "--role", "apply"]):
            said = run.say(*command)
            assert said.code == 2, (command, said)
            assert "vecferry init" in said.line
        assert topics_of(run) == set()
