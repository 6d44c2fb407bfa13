"""Uploads by a captured Qdrant client, batch by batch."""

from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException

from vecferry.testing.captives import QdrantScene, point


@pytest.fixture
def scene() -> QdrantScene:
    return QdrantScene()


def test_uploads_are_announced_batch_by_batch(scene: QdrantScene) -> None:
    given = (point(number) for number in range(100, 250))
    assert scene.client.upload_points("docs", given, batch_size=64) is None
    assert scene.kinds() == ["INTENT", "DONE"] * 3
    assert scene.ids() == set(range(100, 250))
    assert scene.original.count("docs").count == 153


@pytest.mark.parametrize("named", [False, True])
def test_a_collection_is_uploaded_from_arrays(scene: QdrantScene, named: bool) -> None:
    vectors: Any = np.arange(20, dtype=np.float32).reshape(10, 2)
    scene.client.upload_collection(
        "docs",
        {"": vectors} if named else vectors,
        payload=[{"n": number} for number in range(10)],
        ids=list(range(50, 60)),
        batch_size=4,
    )
    assert scene.ids() == set(range(50, 60))
    (found,) = scene.original.retrieve("docs", [53], with_vectors=True)
    assert found.payload == {"n": 3}
    assert found.vector == [6.0, 7.0] or found.vector == {"": [6.0, 7.0]}


def test_an_upload_without_ids_makes_them_first(scene: QdrantScene) -> None:
    scene.client.upload_collection("docs", [[1.0, 1.0], [2.0, 2.0]])
    made = scene.ids()
    assert len(made) == 2
    assert all(isinstance(each, UUID) for each in made)
    assert len(scene.original.retrieve("docs", [str(each) for each in made])) == 2


def test_an_upload_of_unequal_columns_is_refused(scene: QdrantScene) -> None:
    with pytest.raises(ValueError, match="ids has 1"):
        scene.client.upload_collection("docs", [[1.0, 1.0], [2.0, 2.0]], ids=[1])
    with pytest.raises(ValueError, match="same number"):
        scene.client.upload_collection("docs", {"a": np.zeros((2, 2)), "b": np.zeros((1, 2))})
    assert scene.feed.hints() == []


def test_each_try_of_an_upload_is_a_write_of_its_own(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [
        ResponseHandlingException(httpx.ReadTimeout("slow")),
        ResourceExhaustedResponse("busy", 0),
    ]
    upsert = QdrantClient.upsert

    def flaky(self: Any, *given: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return upsert(self, *given, **more)

    monkeypatch.setattr(QdrantClient, "upsert", flaky)
    scene.client.upload_points("docs", [point(5)])
    # the first may still land, so its INTENT stays open
    assert scene.kinds() == ["INTENT", "INTENT", "DONE", "INTENT", "DONE"]
    requests = [hint.request for hint in scene.feed.hints()]
    assert len(set(requests)) == 3


def test_an_upload_gives_up_as_the_client_does(
    scene: QdrantScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: Any, *given: Any, **more: Any) -> Any:
        raise ResponseHandlingException(httpx.ReadTimeout("slow"))

    monkeypatch.setattr(QdrantClient, "upsert", down)
    with pytest.raises(ResponseHandlingException):
        scene.client.upload_points("docs", [point(5)], max_retries=2)
    assert scene.kinds() == ["INTENT"] * 3
