"""An alias that is switched while a write by its name is under way."""

from collections.abc import Callable
from typing import Any

import pytest
from qdrant_client import models

from vecferry.record import HintKind
from vecferry.testing.captives import QdrantScene, point

WRITES: dict[str, Callable[[Any], object]] = {
    "upsert": lambda client: client.upsert("live", [point(7)]),
    "delete": lambda client: client.delete("live", [1]),
    "set_payload": lambda client: client.set_payload("live", {"a": 1}, points=[1]),
    "batch_update_points": lambda client: client.batch_update_points(
        "live", [models.DeleteOperation(delete=models.PointIdsList(points=[1]))]
    ),
    "upload_points": lambda client: client.upload_points("live", [point(7)]),
}


def lead(scene: QdrantScene, name: str) -> None:
    """Let the alias ``live`` lead to a collection."""
    create = models.CreateAlias(collection_name=name, alias_name="live")
    scene.original.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])


def switched_after_the_look_up(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    lead(scene, before)
    look_up = scene.original.get_aliases

    def get_aliases() -> Any:
        found = look_up()
        lead(scene, after)
        return found

    monkeypatch.setattr(scene.original, "get_aliases", get_aliases)


def contents(scene: QdrantScene) -> list[Any]:
    return scene.original.scroll("docs", limit=100)[0]


@pytest.mark.parametrize("method", WRITES)
def test_a_write_never_reaches_a_collection_that_moves_unannounced(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = QdrantScene()
    scene.original.upsert("others", [point(1)])
    switched_after_the_look_up(scene, monkeypatch, "others", "docs")
    before = contents(scene)
    WRITES[method](scene.client)
    assert contents(scene) == before
    assert scene.kinds() == []


@pytest.mark.parametrize("method", WRITES)
def test_what_is_announced_is_what_is_written(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = QdrantScene()
    scene.original.upsert("others", [point(1)])
    switched_after_the_look_up(scene, monkeypatch, "docs", "others")
    before = contents(scene)
    WRITES[method](scene.client)
    assert contents(scene) != before
    assert scene.kinds() == [HintKind.INTENT.value, HintKind.DONE.value]


def test_sent_by_its_alias_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = QdrantScene()
    switched_after_the_look_up(scene, monkeypatch, "others", "docs")
    engine: Any = scene.original._client
    send = engine.upsert
    monkeypatch.setattr(
        engine, "upsert", lambda **given: send(**given | {"collection_name": "live"})
    )
    before = contents(scene)
    scene.client.upsert("live", [point(7)])
    assert contents(scene) != before
    assert scene.kinds() == []
