"""The store beside the vendor's own client, on two services: the scripted one and needledb."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pinecone import Index, Pinecone

from vecferry.log.child import free_port
from vecferry.model import Collection, Dense, Image, Key, Point, Sparse, VectorSpec
from vecferry.ports import Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone import PineconeStore, connect
from vecferry.testing import engines
from vecferry.testing.subjects import dense, new_name
from vecferry.testing.waiting import wait_until

KEY = f"key-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def needledb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another's server that speaks Pinecone's REST; it rounds under cosine, and has no sparse vectors."""
    folder: Path = tmp_path_factory.mktemp("needledb")
    port = free_port()
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "needledb", "serve", "--port", str(port), "--data", str(folder)],
            env={**os.environ, "NEEDLEDB_API_KEY": KEY},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert running.poll() is None, (folder / "log").read_text()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{url}/health").is_success
        return False

    wait_until(answers)
    yield url
    running.terminate()
    running.wait(30)


@pytest.fixture(params=["scripted", "needledb"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "scripted":
        return engines.pinecone()
    found: str = request.getfixturevalue("needledb")
    return found


@pytest.fixture
def store(url: str) -> Iterator[PineconeStore]:
    with contextlib.closing(connect(StoreSettings(type="pinecone", url=url, api_key=KEY))) as made:
        yield made


@pytest.fixture
def name(store: PineconeStore) -> Iterator[str]:
    found = new_name(store.capabilities)
    store.create(Collection(found, (VectorSpec("", dim=8, metric="l2"),)))
    yield found
    store.drop(found)


@pytest.fixture
def index(store: PineconeStore, name: str) -> Iterator[Any]:
    """The vendor's client of the same index."""
    with contextlib.closing(Index(host=store._schemas.layout(name).url, api_key=KEY)) as opened:
        yield opened


def points(name: str) -> list[Point]:
    return [
        Point(
            Key(name, namespace, f"id {n:03}"),
            Image({"": dense(8, (namespace, n))}, b'{"n":%d,"text":"%d"}' % (n, n)),
        )
        for namespace in ("", "red")
        for n in range(120)
    ]


def test_the_vendors_client_reads_what_the_store_wrote(
    store: PineconeStore, index: Any, name: str
) -> None:
    wrote = points(name)
    assert store.write(Ref(name, name), [Write(*point) for point in wrote]) == []
    for point in wrote[::17]:
        native = str(point.key.id)
        found = index.fetch(ids=[native], namespace=point.key.namespace).vectors[native]
        vector = point.image.vectors[""]
        assert isinstance(vector, Dense)
        assert np.array(found.values, "<f4").tobytes() == vector.data
        assert found.metadata["n"] == int(str(point.key.id)[3:])
    assert index.describe_index_stats().total_vector_count == len(wrote) == store.count(name)


def test_the_store_reads_what_the_vendors_client_wrote(
    store: PineconeStore, index: Any, name: str
) -> None:
    rows = np.random.default_rng(3).standard_normal((250, 8)).astype("<f4")
    for namespace in ("", "red"):
        index.upsert(
            vectors=[
                {
                    "id": f"doc#{n:03}",
                    "values": row.tolist(),
                    "metadata": {"n": n, "tags": ["a", "b"]},
                }
                for n, row in enumerate(rows)
            ],
            namespace=namespace,
        )
    index.delete(ids=["doc#007"], namespace="red")
    ref = Ref(name, "docs")
    found = {
        point.key: point.image
        for part in store.plan_chunks(name, 100)
        for page in store.scan(ref, part)
        for point in page
    }
    assert len(found) == 499
    assert Key("docs", "red", "doc#007") not in found
    image = found[Key("docs", "red", "doc#008")]
    assert image.vectors[""] == Dense("float32", 8, rows[8].tobytes())
    assert image.payload == b'{"n":8,"tags":["a","b"]}'
    [hits] = store.search(ref, "", [Dense("float32", 8, rows[9].tobytes())], 2)
    assert {hit.key for hit in hits} == {Key("docs", ns, "doc#009") for ns in ("", "red")}


def test_needledb_drops_sparse_vectors_so_the_suite_runs_on_the_scripted_service(
    needledb: str,
) -> None:
    """Should it learn them one day, the behaviour suite can run on it, too."""
    spec = VectorSpec("words", "sparse", metric="dot")
    settings = StoreSettings(type="pinecone", url=needledb, api_key=KEY)
    with contextlib.closing(connect(settings)) as store:
        name = new_name(store.capabilities)
        store.create(Collection(name, (VectorSpec("", dim=8, metric="dot"), spec)))
        assert [vector.kind for vector in store.describe(name).vectors] == ["dense"]
        store.drop(name)


def test_an_index_of_sparse_vectors_is_the_same_to_both() -> None:
    url = engines.pinecone()
    spec = VectorSpec("words", "sparse", metric="dot")
    settings = StoreSettings(type="pinecone", url=url, api_key=KEY)
    with (
        contextlib.closing(connect(settings)) as store,
        contextlib.closing(Pinecone(api_key=KEY, host=url)) as client,
    ):
        name = new_name(store.capabilities)
        store.create(Collection(name, (spec,)))
        described = client.indexes.describe(name)
        assert (described.vector_type, described.metric) == ("sparse", "dotproduct")
        assert described.spec.serverless is not None
        assert described.spec.serverless.region == "us-east-1"
        with contextlib.closing(Index(host=store._schemas.layout(name).url, api_key=KEY)) as index:
            sparse = {"indices": [7, 3], "values": [0.5, 1.5]}
            index.upsert(vectors=[{"id": "a", "sparse_values": sparse}])
        [found] = store.read(Ref(name, "docs"), [Key("docs", "", "a")])
        assert found is not None
        wanted = Sparse(np.array([3, 7], "<u4").tobytes(), np.array([1.5, 0.5], "<f4").tobytes())
        assert found.image.vectors == {"words": wanted}
        store.drop(name)
