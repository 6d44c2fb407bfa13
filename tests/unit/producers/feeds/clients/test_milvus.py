"""Every writing method of the Milvus clients, over a client that only remembers what it was asked."""

import functools
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from vecferry.errors import ConfigError
from vecferry.model import Key, parse_key
from vecferry.producers.feeds.clients import captured_by
from vecferry.producers.feeds.clients.milvus import RULES
from vecferry.record import HintKind
from vecferry.testing.feeds import MemoryFeed


class Still(MilvusClient):
    """A client without a server: it knows collections, and answers as told."""

    def __init__(self) -> None:
        self._handler = SimpleNamespace()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.aliases: dict[str, str] = {}
        self.schemas: dict[str, dict[str, Any]] = {}
        self.described = 0
        self.rows: dict[str, list[Any]] = {"_default": []}
        self.fails_with: BaseException | None = None
        self.reply: Any = {}

    def add(self, name: str, pk: str = "id", *, kind: Any = DataType.INT64, **more: Any) -> None:
        fields = [{"name": pk, "type": kind, "is_primary": True, **more}]
        self.schemas[name] = {"collection_name": name, "fields": fields}

    def describe_collection(self, collection_name: str, **more: Any) -> dict[str, Any]:
        self.described += 1
        return self.schemas[self.aliases.get(collection_name, collection_name)]

    def has_collection(self, collection_name: str, **more: Any) -> bool:
        return self.aliases.get(collection_name, collection_name) in self.schemas

    def list_partitions(self, collection_name: str, **more: Any) -> list[str]:
        return list(self.rows)

    def query(self, collection_name: str, filter: str = "", **more: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        (pk,) = more["output_fields"]
        partitions = more.get("partition_names", list(self.rows))
        keys = sorted(key for name in partitions for key in self.rows[name])
        if ") and " in filter:
            last = json.loads(filter.rsplit("> ", 1)[1])
            keys = [key for key in keys if key > last]
        self.sent.append(("query", {"filter": filter, **more}))
        return [{pk: key} for key in keys[:3]]

    def _send(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if self.fails_with is not None:
            raise self.fails_with
        self.sent.append((name, dict(arguments)))
        return self.reply


class Scene:
    """A captured client; ``docs`` moves, ``others`` does not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in RULES.captures:
            original = getattr(MilvusClient, name)
            sends = _like(original, name)
            monkeypatch.setattr(MilvusClient, name, sends)
        self.feed = MemoryFeed(partitions=1)
        self.original = Still()
        self.original.add("docs")
        self.original.add("others")
        self.client: Any = captured_by(self.feed, self.original)

    def kinds(self) -> list[str]:
        return [hint.kind.value for hint in self.feed.hints()]

    def keys(self, kind: HintKind = HintKind.DONE) -> set[Key]:
        return {
            parse_key(key) for hint in self.feed.hints() if hint.kind is kind for key in hint.keys
        }

    def ids(self, kind: HintKind = HintKind.DONE) -> set[Any]:
        return {key.id for key in self.keys(kind)}

    def rescans(self) -> list[object]:
        return [record.body["scope"] for record in self.feed.control.history("rescan")]


def _like(original: Any, name: str) -> Any:
    @functools.wraps(original)
    def sends(self: Any, **arguments: Any) -> Any:
        return self._send(name, arguments)

    return sends


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("method", ["insert", "upsert"])
def test_rows_are_named_by_their_primary_key(scene: Scene, method: str) -> None:
    getattr(scene.client, method)("docs", [{"id": 1}, {"id": "2"}])
    getattr(scene.client, method)("docs", {"id": 3})
    assert scene.ids() == {1, 2, 3}
    assert scene.kinds() == ["INTENT", "DONE"] * 2
    assert {hint.verb for hint in scene.feed.hints()} == {"upsert"}


def test_the_primary_key_is_looked_up_once(scene: Scene) -> None:
    for number in range(5):
        scene.client.upsert("docs", [{"id": number}])
    assert scene.original.described == 1


def test_a_collection_made_anew_with_another_key_is_noticed(scene: Scene) -> None:
    scene.client.upsert("docs", [{"id": 1}])
    scene.original.add("docs", "name", kind=DataType.VARCHAR)
    scene.client.upsert("docs", [{"name": "one"}])
    assert scene.ids() == {1, "one"}


def test_a_text_key_is_text(scene: Scene) -> None:
    scene.original.add("docs", "name", kind=DataType.VARCHAR)
    scene.client.upsert("docs", [{"name": "5"}])
    scene.client.delete("docs", ids=[7])
    assert scene.ids() == {"5", "7"}


def test_new_points_of_an_auto_id_collection_are_named_by_the_reply(scene: Scene) -> None:
    scene.original.add("docs", auto_id=True)
    scene.original.reply = {"insert_count": 2, "ids": [101, 102]}
    assert scene.client.insert("docs", [{"n": 1}, {"n": 2}]) == {
        "insert_count": 2,
        "ids": [101, 102],
    }
    assert scene.kinds() == ["FILTER_INTENT", "FILTER_DONE"]
    assert scene.ids(HintKind.FILTER_DONE) == {101, 102}


def test_an_upsert_of_an_auto_id_collection_touches_the_old_key_and_the_new(scene: Scene) -> None:
    scene.original.add("docs", auto_id=True)
    scene.original.reply = {"upsert_count": 1, "ids": [201]}
    scene.client.upsert("docs", [{"id": 101}])
    assert scene.ids() == {101}
    assert scene.ids(HintKind.FILTER_DONE) == {201}


@pytest.mark.parametrize("given", [{"ids": [1, 2]}, {"ids": 1, "pks": [2]}])
def test_a_delete_by_ids_names_them(scene: Scene, given: Any) -> None:
    scene.client.delete("docs", **given)
    assert scene.ids() == {1, 2}
    assert {hint.verb for hint in scene.feed.hints()} == {"delete"}


def test_a_delete_reaches_every_partition_unless_it_names_one(scene: Scene) -> None:
    scene.original.rows = {"_default": [], "eu": []}
    scene.client.delete("docs", ids=[1])
    assert scene.keys() == {Key("docs", "", 1), Key("docs", "eu", 1)}
    scene.client.upsert("docs", [{"id": 2}], partition_name="eu")
    scene.client.delete("docs", ids=[3], partition_name="eu")
    written = scene.keys()
    assert written >= {Key("docs", "eu", 2), Key("docs", "eu", 3)}
    assert Key("docs", "", 2) not in written
    assert Key("docs", "", 3) not in written


def test_partitions_of_a_partition_key_are_no_namespaces(scene: Scene) -> None:
    scene.original.schemas["docs"]["fields"].append({"name": "t", "is_partition_key": True})
    scene.original.rows = {"_default_0": [], "_default_1": []}
    scene.client.delete("docs", ids=[1])
    assert scene.keys() == {Key("docs", "", 1)}


def test_a_delete_by_filter_pages_through_what_it_finds(scene: Scene) -> None:
    scene.original.rows = {"_default": list(range(8)), "eu": [3]}
    scene.client.delete("docs", filter="n > 5", filter_params={"a": 1})
    assert scene.kinds()[0] == "FILTER_INTENT"
    assert scene.kinds()[-1] == "FILTER_DONE"
    found = scene.keys(HintKind.FILTER_KEYS)
    assert found == {Key("docs", "", number) for number in range(8)} | {Key("docs", "eu", 3)}
    queries = [given for name, given in scene.original.sent if name == "query"]
    assert queries[1]["filter"] == "(n > 5) and id > 2"
    assert all(each["consistency_level"] == "Strong" for each in queries)
    assert all(each["filter_params"] == {"a": 1} for each in queries)


def test_a_text_key_in_a_filters_pages_is_spelled_safely(scene: Scene) -> None:
    scene.original.add("docs", "name", kind=DataType.VARCHAR)
    scene.original.rows = {"_default": ['a"b']}
    scene.client.delete("docs", filter="n > 5")
    queries = [given["filter"] for name, given in scene.original.sent if name == "query"]
    assert queries[1] == '(n > 5) and name > "a\\"b"'


@pytest.mark.parametrize(
    ("call", "rescans"),
    [
        (lambda client: client.drop_collection("docs"), ["docs"]),
        (lambda client: client.truncate_collection("docs"), ["docs"]),
        (lambda client: client.drop_partition("docs", "eu"), ["docs"]),
        (lambda client: client.rename_collection("docs", "away"), ["docs"]),
        (lambda client: client.rename_collection("away", "docs"), ["docs"]),
        (lambda client: client.drop_collection_field("docs", "n"), ["docs"]),
        (lambda client: client.drop_collection("others"), []),
        (lambda client: client.drop_collection("nowhere"), []),
    ],
)
def test_what_changes_a_whole_collection_becomes_a_rescan(
    scene: Scene, call: Any, rescans: list[str]
) -> None:
    call(scene.client)
    assert scene.rescans() == rescans
    assert len(scene.original.sent) == 1


def test_an_alias_is_followed_at_each_request(scene: Scene) -> None:
    scene.original.aliases["live"] = "others"
    scene.client.upsert("live", [{"id": 1}])
    assert scene.feed.hints() == []
    scene.original.aliases["live"] = "docs"
    scene.client.upsert("live", [{"id": 2}])
    assert scene.keys() == {Key("docs", "", 2)}
    # by the name that was found: the alias may be switched before it is sent
    assert [given["collection_name"] for _, given in scene.original.sent] == ["others", "docs"]


def test_a_request_is_over_within_the_time_that_a_write_may_take(scene: Scene) -> None:
    scene.client.upsert("docs", [{"id": 1}])
    scene.client.upsert("docs", [{"id": 1}], timeout=60)
    scene.client.upsert("docs", [{"id": 1}], timeout=2)
    scene.client.upsert("others", [{"id": 1}])
    # tries go on for as long as the timeout, and the last one takes as long again
    assert [given.get("timeout") for _, given in scene.original.sent] == [15.0, 15.0, 2, None]


def test_the_clients_own_exception_passes_through(scene: Scene) -> None:
    raised = MilvusException(1100, "bad value")
    scene.original.fails_with = raised
    with pytest.raises(MilvusException) as caught:
        scene.client.upsert("docs", [{"id": 1}])
    assert caught.value is raised
    assert scene.kinds() == ["INTENT", "DONE"]


def test_an_unknown_outcome_leaves_the_intent_open(scene: Scene) -> None:
    scene.original.fails_with = MilvusException(65535, "who knows")
    with pytest.raises(MilvusException):
        scene.client.upsert("docs", [{"id": 1}])
    assert scene.kinds() == ["INTENT"]


@pytest.mark.parametrize("data", [[], "rows", None, [{"n": 1}]])
def test_what_the_client_refuses_by_itself_is_not_announced(scene: Scene, data: Any) -> None:
    scene.client.upsert("docs", data)
    assert scene.feed.hints() == []


def test_a_delete_of_nothing_is_the_clients_to_refuse(scene: Scene) -> None:
    scene.client.delete("docs")
    scene.client.delete("docs", filter=" ")
    assert scene.feed.hints() == []


def test_a_delete_whose_outcome_nobody_awaits_is_refused(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="_async"):
        scene.client.delete("docs", ids=[1], _async=True)
    assert scene.original.sent == []
