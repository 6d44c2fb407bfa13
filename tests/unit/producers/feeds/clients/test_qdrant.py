"""Every writing method of the Qdrant clients, over the vendor's own local engine."""

import asyncio
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, grpc, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from vecferry.errors import ConfigError
from vecferry.producers.feeds import LogUnavailable
from vecferry.producers.feeds.clients import captured_by, qdrant_ids
from vecferry.producers.feeds.clients.touches import Keys, Matching
from vecferry.record import HintKind
from vecferry.testing.captives import ONE, VECTORS, QdrantScene, filter_of, point
from vecferry.testing.feeds import MemoryFeed


@pytest.fixture
def scene() -> QdrantScene:
    return QdrantScene()


@pytest.mark.parametrize(
    "points",
    [
        [point(1), point(ONE)],
        models.Batch(ids=[1, ONE], vectors=[[1.0, 2.0], [1.0, 2.0]], payloads=[{}, {}]),
    ],
)
def test_an_upsert_names_its_ids(scene: QdrantScene, points: Any) -> None:
    result = scene.client.upsert("docs", points)
    assert result.status == models.UpdateStatus.COMPLETED
    assert scene.kinds() == ["INTENT", "DONE"]
    assert scene.ids() == {1, UUID(ONE)}
    assert scene.verbs() == {"upsert"}


def test_a_points_id_of_protobuf_is_the_same_id() -> None:
    given = [grpc.PointId(num=7), grpc.PointId(uuid=ONE), ONE.upper(), UUID(ONE), 7]
    assert qdrant_ids.ids(given) == [
        ("", 7),
        ("", UUID(ONE)),
        ("", UUID(ONE)),
        ("", UUID(ONE)),
        ("", 7),
    ]
    assert qdrant_ids.ids([grpc.PointId(), "no id", None]) == []


SELECTORS: list[Any] = [
    [1, ONE],
    models.PointIdsList(points=[1, ONE]),
]
FILTERS: list[Any] = [
    filter_of(1),
    models.FilterSelector(filter=filter_of(1)),
]

SELECTING: dict[str, Callable[[Any, Any], Any]] = {
    "delete": lambda client, which: client.delete("docs", which),
    "set_payload": lambda client, which: client.set_payload("docs", {"x": 1}, which),
    "overwrite_payload": lambda client, which: client.overwrite_payload("docs", {"x": 1}, which),
    "delete_payload": lambda client, which: client.delete_payload("docs", ["n"], which),
    "clear_payload": lambda client, which: client.clear_payload("docs", which),
    "delete_vectors": lambda client, which: client.delete_vectors("docs", [""], which),
}


@pytest.mark.parametrize("which", SELECTORS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("method", SELECTING)
def test_what_selects_by_ids_names_them(scene: QdrantScene, method: str, which: Any) -> None:
    SELECTING[method](scene.client, which)
    assert scene.kinds() == ["INTENT", "DONE"]
    assert scene.ids() == {1, UUID(ONE)}
    assert scene.verbs() == {"delete" if method == "delete" else "unknown"}


def test_a_selector_of_protobuf_is_the_same_selector() -> None:
    ids = grpc.PointsIdsList(ids=[grpc.PointId(num=1), grpc.PointId(uuid=ONE)])
    by_ids = qdrant_ids.of_selector("docs", grpc.PointsSelector(points=ids))
    assert by_ids == Keys("docs", [("", 1), ("", UUID(ONE))], "unknown")
    for which in (grpc.Filter(), grpc.PointsSelector(filter=grpc.Filter())):
        assert isinstance(qdrant_ids.of_selector("docs", which), Matching)


@pytest.mark.parametrize("which", FILTERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("method", SELECTING)
def test_what_selects_by_a_filter_finds_its_ids_first(
    scene: QdrantScene, method: str, which: Any
) -> None:
    SELECTING[method](scene.client, which)
    assert scene.kinds() == ["FILTER_INTENT", "FILTER_KEYS", "FILTER_DONE"]
    assert scene.ids(HintKind.FILTER_KEYS) == {1, UUID(ONE)}


def test_a_filter_that_finds_many_is_paged(scene: QdrantScene) -> None:
    scene.original.upsert("docs", [point(number, n=7) for number in range(10, 2_510)])
    scene.client.delete("docs", filter_of(7))
    assert scene.ids(HintKind.FILTER_KEYS) == set(range(10, 2_510))
    assert scene.original.count("docs").count == 3


def test_vectors_are_updated_by_id(scene: QdrantScene) -> None:
    scene.client.update_vectors("docs", [models.PointVectors(id=2, vector=[0.0, 1.0])])
    assert scene.ids() == {2}


def test_a_batch_announces_each_of_its_operations(scene: QdrantScene) -> None:
    ids = models.PointIdsList
    operations = [
        models.UpsertOperation(upsert=models.PointsList(points=[point(10)])),
        models.UpsertOperation(
            upsert=models.PointsBatch(batch=models.Batch(ids=[11], vectors=[[1.0, 1.0]]))
        ),
        models.DeleteOperation(delete=ids(points=[12])),
        models.DeleteOperation(delete=models.FilterSelector(filter=filter_of(2))),
        models.SetPayloadOperation(
            set_payload=models.SetPayload(payload={"a": 1}, points=[1], filter=filter_of(9))
        ),
        models.OverwritePayloadOperation(
            overwrite_payload=models.SetPayload(payload={"a": 1}, points=[10])
        ),
        models.DeletePayloadOperation(
            delete_payload=models.DeletePayload(keys=["a"], filter=filter_of(1))
        ),
        models.ClearPayloadOperation(clear_payload=ids(points=[11])),
        models.UpdateVectorsOperation(
            update_vectors=models.UpdateVectors(
                points=[models.PointVectors(id=10, vector=[3.0, 3.0])]
            )
        ),
        models.DeleteVectorsOperation(
            delete_vectors=models.DeleteVectors(points=[11], vector=[""])
        ),
    ]
    scene.client.batch_update_points("docs", operations)
    kinds = scene.kinds()
    assert kinds.count("INTENT") == kinds.count("DONE") == 8
    assert kinds.count("FILTER_INTENT") == kinds.count("FILTER_DONE") == 2
    assert scene.ids() == {1, 10, 11, 12}
    assert scene.ids(HintKind.FILTER_KEYS) == {1, 2, UUID(ONE)}


def test_an_operation_of_a_new_kind_is_read_again_whole() -> None:
    touch = qdrant_ids.of_operation("docs", SimpleNamespace())
    assert type(touch).__name__ == "Whole"
    assert type(qdrant_ids.of_points("docs", object())).__name__ == "Whole"
    assert type(qdrant_ids.of_selector("docs", object())).__name__ == "Whole"


@pytest.mark.filterwarnings("ignore:.recreate_collection. method is deprecated")
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.delete_collection("docs"),
        lambda client: client.recreate_collection("docs", vectors_config=VECTORS[""]),
    ],
)
def test_what_changes_a_whole_collection_becomes_a_rescan(scene: QdrantScene, call: Any) -> None:
    call(scene.client)
    assert scene.rescans() == ["docs"]
    assert scene.kinds() == ["FILTER_INTENT", "FILTER_DONE"]


def test_a_snapshot_is_recovered_only_where_its_end_is_known(scene: QdrantScene) -> None:
    with pytest.raises(ConfigError, match="wait=True"):
        scene.client.recover_snapshot("docs", "file:///nowhere", wait=False)
    assert scene.feed.hints() == []


@pytest.mark.filterwarnings("ignore:.recreate_collection. method is deprecated")
@pytest.mark.parametrize("method", ["create_collection", "recreate_collection"])
def test_a_collection_that_the_server_fills_in_the_background_is_refused(
    scene: QdrantScene, method: str
) -> None:
    with pytest.raises(ConfigError, match="init_from"):
        getattr(scene.client, method)("docs", vectors_config=VECTORS[""], init_from="others")
    assert scene.feed.hints() == []
    assert scene.original.count("docs").count == 3
    scene.client.create_collection("more", vectors_config=VECTORS[""])
    assert scene.rescans() == []


def test_an_alias_is_followed_at_each_request(scene: QdrantScene) -> None:
    def point_at(name: str) -> None:
        change = models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=name, alias_name="live")
        )
        scene.client.update_collection_aliases([change])

    point_at("others")
    scene.client.upsert("live", [point(7)])
    assert scene.feed.hints() == []
    point_at("docs")
    scene.client.upsert("live", [point(8)])
    scene.client.delete("live", filter_of(2))
    assert scene.ids() == {8}
    assert scene.ids(HintKind.FILTER_KEYS) == {2}


def test_other_collections_are_written_as_ever(scene: QdrantScene) -> None:
    scene.client.upsert("others", [point(1)])
    scene.client.upload_points("others", [point(2)])
    scene.client.delete_collection("others")
    assert scene.feed.hints() == []
    assert scene.rescans() == []


def test_an_upsert_waits_until_it_can_be_read_back(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        QdrantClient, "upsert", lambda self, **more: seen.append(more["wait"]) or _done()
    )
    scene.client.upsert("docs", [point(1)], wait=False)
    scene.client.upsert("others", [point(1)], wait=False)
    assert seen == [True, False]


def _done() -> models.UpdateResult:
    return models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)


def test_a_write_that_the_log_did_not_take_is_not_sent(scene: QdrantScene) -> None:
    scene.feed.collections  # noqa: B018 - opens it
    scene.feed.member.renewed_at = -1e9  # type: ignore[union-attr]
    with pytest.raises(LogUnavailable):
        scene.client.upsert("docs", [point(99)])
    assert scene.original.retrieve("docs", [99]) == []


def test_the_clients_own_exception_passes_through(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = UnexpectedResponse(400, "Bad Request", b"wrong size", httpx.Headers())

    def refuse(self: Any, **more: Any) -> Any:
        raise raised

    monkeypatch.setattr(QdrantClient, "upsert", refuse)
    with pytest.raises(UnexpectedResponse) as caught:
        scene.client.upsert("docs", [point(1)])
    assert caught.value is raised
    assert scene.kinds() == ["INTENT", "DONE"]


def test_a_filter_that_cannot_be_resolved_sends_nothing(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: Any, **more: Any) -> Any:
        raise ResponseHandlingException(httpx.ReadTimeout("slow"))

    monkeypatch.setattr(QdrantClient, "scroll", down)
    with pytest.raises(ResponseHandlingException):
        scene.client.delete("docs", filter_of(1))
    assert scene.kinds() == ["FILTER_INTENT", "FILTER_DONE"]
    assert scene.original.count("docs").count == 3


def test_the_async_client_is_captured_too() -> None:
    feed = MemoryFeed(partitions=1)

    async def run() -> None:
        client: Any = captured_by(feed, AsyncQdrantClient(":memory:"))
        await client.create_collection("docs", vectors_config=VECTORS[""])
        await client.upsert("docs", [point(1), point(2, n=2)])
        await client.set_payload("docs", {"x": 1}, filter_of(2))
        with pytest.raises(ValueError, match="not found"):
            await client.upsert("nowhere", [point(uuid.uuid4().hex)])
        with pytest.raises(ConfigError, match="use upsert"):
            client.upload_points("docs", [point(1)])
        with pytest.raises(ConfigError, match="alias"):
            client.upload_points("others", [point(1)])
        await client.delete_collection("docs")

    asyncio.run(run())
    feed.close()
    kinds = [hint.kind.value for hint in feed.hints()]
    assert kinds.count("INTENT") == kinds.count("DONE") == 1
    assert kinds.count("FILTER_INTENT") == kinds.count("FILTER_DONE") == 2
    assert len(feed.control.history("rescan")) == 1
