"""The proxy before Qdrant's engine, with the official client over both protocols."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from qdrant_client import models

from vecferry.producers.feeds.proxy import aliases
from vecferry.producers.feeds.proxy import messages as wire
from vecferry.testing import engines
from vecferry.testing.proxied import VECTOR, Scene, having, point
from vecferry.testing.proxies import Seen
from vecferry.testing.waiting import wait_until


def test_every_write_of_the_client_is_announced_with_its_ids(scene: Scene) -> None:
    client, name = scene.client, scene.name
    one = uuid.uuid4()
    writes: list[tuple[Callable[[], Any], str, tuple[Any, ...]]] = [
        (lambda: client.upsert(name, [point(1, a=1), point(str(one))]), "upsert", (1, one)),
        (
            lambda: client.update_vectors(name, [models.PointVectors(id=1, vector=VECTOR)]),
            "unknown",
            (1,),
        ),
        (lambda: client.set_payload(name, {"b": 2}, points=[1]), "unknown", (1,)),
        (lambda: client.overwrite_payload(name, {"c": 3}, points=[1]), "unknown", (1,)),
        (lambda: client.delete_payload(name, ["c"], points=[1]), "unknown", (1,)),
        (lambda: client.clear_payload(name, [1]), "unknown", (1,)),
        (lambda: client.delete(name, [1]), "delete", (1,)),
    ]
    for write, verb, ids in writes:
        write()
        assert scene.begun() == Seen("begin", name, verb, ids)
    assert scene.points() == {str(one): {}}


def test_a_filter_is_resolved_before_it_is_sent(scene: Scene) -> None:
    client, name = scene.client, scene.name
    client.upsert(name, [point(number, odd=number % 2) for number in range(8)])
    scene.begun()
    client.set_payload(name, {"seen": 1}, points=having(odd=0))
    assert scene.begun() == Seen("filter", name, "unknown", (0, 2, 4, 6))
    client.delete(name, having(seen=1))
    assert scene.begun() == Seen("filter", name, "delete", (0, 2, 4, 6))
    assert sorted(scene.points()) == [1, 3, 5, 7]
    client.delete(name, models.Filter())
    assert scene.begun().ids == (1, 3, 5, 7)
    assert scene.points() == {}


def test_a_batch_is_announced_with_all_that_it_names(scene: Scene) -> None:
    scene.client.upsert(scene.name, [point(1, a=1), point(2, a=2)])
    scene.begun()
    scene.client.batch_update_points(
        scene.name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[point(3, a=3)])),
            models.DeleteOperation(delete=models.FilterSelector(filter=having(a=2))),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 1}, points=[1])),
        ],
    )
    begun = scene.begun()
    assert (begun.step, begun.verb, set(begun.ids)) == ("filter", "unknown", {1, 2, 3})
    assert scene.points() == {1: {"a": 1, "b": 1}, 3: {"a": 3}}


def test_a_filter_of_many_pages_is_resolved_whole(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = "rest" if scene.rest else "rpc"
    monkeypatch.setattr(f"vecferry.producers.feeds.proxy.{side}.PAGE_IDS", 3)
    last = [2**64 - 1, "00000000-0000-0000-0000-000000000000", str(uuid.UUID(int=2**128 - 1))]
    scene.client.upsert(scene.name, [point(each) for each in [*range(10), *last]])
    scene.begun()
    scene.client.clear_payload(scene.name, models.FilterSelector(filter=models.Filter()))
    assert len(set(scene.begun().ids)) == 13


@pytest.mark.parametrize("scene", ["rest"], indirect=True)
def test_a_filter_that_qdrant_refuses_is_refused_with_its_own_words(scene: Scene) -> None:
    path = f"/collections/{scene.name}/points/delete"
    reply = httpx.post(scene.proxy.url + path, json={"filter": {"must": [{"no": "such"}]}})
    direct = httpx.post(engines.qdrant()[0] + path, json={"filter": {"must": [{"no": "such"}]}})
    assert reply.status_code == direct.status_code == 400
    assert scene.seen() == []


def test_a_write_that_asks_not_to_wait_waits(scene: Scene) -> None:
    result = scene.client.upsert(scene.name, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.COMPLETED
    assert scene.begun().ids == (1,)


@pytest.mark.parametrize("scene", ["grpc"], indirect=True)
def test_without_being_made_to_wait_it_would_stay_open(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WAIT", b"")
    result = scene.client.upsert(scene.name, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.ACKNOWLEDGED
    wait_until(lambda: scene.steps() == ["begin", "unknown"])


def test_a_write_to_what_does_not_move_passes_unannounced(scene: Scene) -> None:
    result = scene.client.upsert(scene.other, [point(1)], wait=False)
    assert result.status == models.UpdateStatus.ACKNOWLEDGED
    scene.client.delete(scene.other, models.Filter())
    assert scene.points(scene.other) == {}
    assert scene.seen() == []


def alias(scene: Scene, target: str) -> str:
    name = f"{scene.name}-now"
    drop = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
    create = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=target, alias_name=name)
    )
    scene.direct.update_collection_aliases([drop, create])
    return name


def test_an_alias_is_what_it_stands_for_at_that_moment(scene: Scene) -> None:
    now = alias(scene, scene.other)
    scene.client.upsert(now, [point(1)])
    assert scene.seen() == []
    alias(scene, scene.name)
    scene.client.upsert(now, [point(2)])
    assert scene.begun() == Seen("begin", scene.name, "upsert", (2,))
    assert (list(scene.points(scene.other)), list(scene.points())) == ([1], [2])
    scene.client.delete(now, having())
    assert scene.begun().ids == (2,)


def _switched_under_way(scene: Scene) -> None:
    """Write to an alias that is switched between the announcement and the request."""
    now = alias(scene, scene.name)
    scene.feed.hold.clear()
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(scene.client.upsert, now, [point(5)])
        wait_until(lambda: scene.feed.waiting > 0)
        alias(scene, scene.other)
        scene.feed.hold.set()
        writing.result(60)
    scene.begun()


def test_an_alias_that_is_switched_under_way_does_not_move_the_write(scene: Scene) -> None:
    _switched_under_way(scene)
    assert (list(scene.points()), list(scene.points(scene.other))) == ([5], [])


def test_without_the_real_name_it_would_land_where_nothing_was_announced(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = aliases.find_destination

    async def keep_the_name(*given: Any) -> aliases.Destination:
        return (await find(*given))._replace(is_alias=False)

    side = "rest" if scene.rest else "rpc"
    monkeypatch.setattr(f"vecferry.producers.feeds.proxy.{side}.find_destination", keep_the_name)
    _switched_under_way(scene)
    assert (list(scene.points()), list(scene.points(scene.other))) == ([], [5])


def test_a_collection_that_is_dropped_and_made_anew_is_read_again(scene: Scene) -> None:
    scene.client.upsert(scene.name, [point(1)])
    scene.begun()
    scene.client.delete_collection(scene.name)
    assert scene.begun().step == "whole"
    vectors = models.VectorParams(size=4, distance="Dot")
    scene.client.create_collection(scene.name, vectors_config=vectors)
    assert scene.begun().step == "whole"
    scene.client.delete_collection(scene.other)
    scene.client.create_collection(scene.other, vectors_config=vectors)
    assert scene.seen() == []
    assert scene.points() == {}


def test_reads_and_schemas_pass(scene: Scene) -> None:
    client, name = scene.client, scene.name
    client.upsert(name, [point(1, a=1), point(2, a=2)])
    scene.begun()
    client.create_payload_index(name, "a", models.PayloadSchemaType.INTEGER)
    assert client.count(name).count == 2
    assert [one.id for one in client.retrieve(name, [1])] == [1]
    assert len(client.query_points(name, query=VECTOR, limit=5).points) == 2
    assert len(client.scroll(name)[0]) == 2
    assert client.collection_exists(name)
    assert client.get_collection(name).points_count == 2
    assert name in [one.name for one in client.get_collections().collections]
    assert scene.seen() == []
