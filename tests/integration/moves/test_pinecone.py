"""Pinecone → Qdrant while an application writes: eventual consistency, a limited source, namespaces."""

import contextlib
import random
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pinecone import Index

from vecferry.model import Collection, Key, Metric, VectorSpec
from vecferry.ports import Ref
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.clients import captured_by
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.stores.pinecone import PineconeStore
from vecferry.testing import engines
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.runs import Run
from vecferry.testing.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

DIM, POINTS = 16, 300
NAMESPACES = ("", "red")
METRIC: Metric = "l2"
API_KEY = "a-key"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[PineconeServer]:
    """A service whose writes are seen a while later, and which takes so many requests a second."""
    with PineconeServer(api_key=API_KEY) as server:
        yield server


class Application:
    """Writes through the vendor's own client, captured: a hint ends with the number to read after."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._dice = random.Random(5)
        self.writes = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            namespace = self._dice.choice(NAMESPACES)
            numbers = self._dice.sample(range(POINTS + 100), 4)
            if self._dice.random() < 0.3:
                self._client.delete(ids=[id_of(number) for number in numbers], namespace=namespace)
            else:
                vectors = [record(number, self.writes) for number in numbers]
                self._client.upsert(vectors=vectors, namespace=namespace)
            self.writes += 1
            self.is_over.wait(0.1)


def id_of(number: int) -> str:
    return f"doc#{number:04}"


def record(number: int, version: int) -> dict[str, Any]:
    vector = np.random.default_rng([number, version]).standard_normal(DIM).astype("<f4")
    metadata = {"n": number, "version": version, "ratio": number + 0.5, "tags": ["a", "b"]}
    return {"id": id_of(number), "values": vector.tolist(), "metadata": metadata}


def test_a_live_move_loses_no_write(tmp_path: Path, source: PineconeServer) -> None:
    name = f"docs-{uuid.uuid4().hex[:8]}"
    rest, grpc = engines.qdrant()
    place = {"type": "pinecone", "url": source.url, "api_key": API_KEY, "timeout_s": 20.0}
    target = {"type": "qdrant", "url": rest, "grpc_url": grpc, "timeout_s": 20.0}
    document = {
        "source": place,
        "target": target,
        "collections": [{"source": name}],
        "log": {
            "bootstrap_servers": engines.kafka(),
            "session_timeout_s": 6.0,
            "heartbeat_s": 0.5,
        },
        "snapshot": {"chunk_points": 100, "points_per_s_max": 250.0},
    }
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_store(StoreSettings(**place))))
        assert isinstance(store, PineconeStore)
        store.create(Collection(name, (VectorSpec("", dim=DIM, metric=METRIC),)))
        index = Index(host=store._schemas.layout(name).url, api_key=API_KEY)
        stack.enter_context(contextlib.closing(index))
        for namespace in NAMESPACES:
            rows = [record(number, 0) for number in range(POINTS)]
            index.upsert(vectors=rows, namespace=namespace)
        source.script(lag_s=0.3, per_s_max=40, retry_after_s=1.0)
        run = stack.enter_context(Run(tmp_path, document))
        assert run.say("init").code == 0
        feed = Feed(run.name, engines.kafka())
        stack.callback(feed.close)
        application = Application(captured_by(feed, index))
        up = run.start("up", "--json")
        writer = threading.Thread(target=application.run)
        writer.start()
        try:
            run.wait(lambda now: now.is_applied, 240)
            before = application.writes
            wait_until(lambda: application.writes > before + 20)
        finally:
            application.is_over.set()
            writer.join()
        assert application.writes > 20
        feed.close()
        said = []
        with contextlib.suppress(AssertionError):  # what it said last is shown below
            wait_until(lambda: said.append(run.say("check", "--json")) or not said[-1].code, 60)
        assert said[-1].code == 0, said[-1]
        run.require_equal()
        assert up.is_running, up.text
        counts = source.counts()
        assert counts.get("throttled", 0) < counts["requests"] / 2, "the source was hammered"
        require_bits(run, store, name)
        assert API_KEY not in up.text


def require_bits(run: Run, store: PineconeStore, name: str) -> None:
    """Compare both sides without the code that the check uses."""
    keys = [Key(name, ns, id_of(number)) for ns in NAMESPACES for number in range(POINTS + 100)]
    with run.migration.stores() as both:
        there = both.target.read(Ref(name, name), keys)
    here = store.read(Ref(name, name), keys)
    assert sum(point is not None for point in here) > POINTS
    assert here == there
