"""What capture adds to a write, and how long a change takes to arrive: real Kafka, Qdrant's engine."""

import contextlib
import multiprocessing
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from qdrant_client import QdrantClient, models

from benchmarks.figures import Figure
from benchmarks.rig import COLLECTION
from vecferry.log.reading import read_topic
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds.clients import captured
from vecferry.record import EventKind
from vecferry.testing.qdrant import QdrantServer
from vecferry.testing.runs import Run
from vecferry.testing.waiting import wait_until

DIM = 768
_RATE = 200
_SPAWN = multiprocessing.get_context("spawn")
_VECTOR = [0.5] * DIM


class _Scene(NamedTuple):
    run: Run
    source: QdrantServer
    target: QdrantServer
    servers: str

    def bare(self) -> QdrantClient:
        return QdrantClient(url=self.source.url, timeout=20)

    def captured(self) -> QdrantClient:
        return captured(self.bare(), migration=self.run.name, bootstrap_servers=self.servers)


def wrapper(servers: str, scale: float) -> list[Figure]:
    """What ``captured`` adds to an upsert of one point and of a thousand."""
    with _scene(servers) as scene:
        return _beside("(d) wrapper", scale, scene.bare(), scene.captured())


def proxy(servers: str, scale: float) -> list[Figure]:
    """What the proxy adds, over REST and over gRPC."""
    with _scene(servers) as scene:
        serving = scene.run.start("proxy", "--port", "0", "--grpc-port", "0")
        wait_until(lambda: "gRPC on port" in serving.text or not serving.is_running)
        found = re.search(r"REST on (\S+), gRPC on\s+port (\d+)", serving.text)
        if found is None:
            raise RuntimeError(f"the proxy did not start: {serving.text[-500:]}")
        url, port = found[1], int(found[2])
        figures = _beside("(e) proxy, REST", scale, scene.bare(), QdrantClient(url=url, timeout=20))
        direct, through = (
            QdrantClient(url=where, grpc_port=at, prefer_grpc=True, timeout=20)
            for where, at in ((scene.source.url, scene.source.grpc_port), (url, port))
        )
        return figures + _beside("(e) proxy, gRPC", scale, direct, through)


def lag(servers: str, scale: float) -> list[Figure]:
    """From the acknowledged write to visible in the target, at 200 writes a second."""
    writes = int(20 * _RATE * scale)
    with _scene(servers) as scene, _moving(scene):
        acked = [0.0] * writes
        told: Any = _SPAWN.Queue()
        # a process of its own: it must not wait for the writer, nor the writer for it
        looking = _SPAWN.Process(target=_look, args=(scene.target.url, writes, told), daemon=True)
        client = scene.captured()
        looking.start()
        told.get(timeout=20)
        began = time.monotonic()

        def write(number: int) -> None:
            time.sleep(max(0.0, began + number / _RATE - time.monotonic()))
            _upsert(client, number, 1)
            acked[number] = time.monotonic()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(writes)))
        took = time.monotonic() - began
        seen: dict[int, float] = told.get(timeout=200)
        looking.join()
    if len(seen) < writes:
        raise RuntimeError(f"{writes - len(seen)} of {writes} writes did not arrive")
    # seen before the answer came back counts as zero
    lags = [max(0.0, seen[number] - acked[number]) * 1_000 for number in range(writes)]
    return [
        Figure("(f) writes/s", writes / took, 0.9 * _RATE),
        Figure("(f) acknowledged to visible, p50, ms", _at(lags, 50), 250, at_most=True),
        Figure("(f) acknowledged to visible, p99, ms", _at(lags, 99), 1_000, at_most=True),
    ]


def hot_key(servers: str, scale: float) -> list[Figure]:
    """One key written as fast as can be: every read of it that finds it is an image in the log."""
    with _scene(servers) as scene, _moving(scene):
        clients = [scene.captured() for _ in range(4)]
        began, until = time.monotonic(), time.monotonic() + 20 * scale
        counts = [0] * len(clients)

        def write(at: int) -> None:
            while time.monotonic() < until:
                _upsert(clients[at], 1, 1)
                counts[at] += 1

        threads = [threading.Thread(target=write, args=(at,)) for at in range(len(clients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        migration, key = scene.run.migration, key_bytes(Key(COLLECTION, "", 1))
        events = (
            migration.codec.decode_event(raw.value)
            for raw in read_topic(migration.connection, migration.topics.events)
        )
        images = sum(event.kind is EventKind.IMAGE and event.key == key for event in events)
    return [
        Figure("(g) writes of one key/s", sum(counts) / took),
        Figure("(g) reads of it by capture/s", images / took, 20, at_most=True),
    ]


@contextlib.contextmanager
def _scene(servers: str) -> Iterator[_Scene]:
    with TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        source, target = (
            stack.enter_context(QdrantServer(folder / side)) for side in ("source", "target")
        )
        spec = models.VectorParams(size=DIM, distance=models.Distance.DOT)
        QdrantClient(url=source.url).create_collection(COLLECTION, vectors_config=spec)
        (folder / "run").mkdir()
        document = {
            side: {"type": "qdrant", "url": server.url, "grpc_url": server.grpc_url}
            for side, server in (("source", source), ("target", target))
        } | {"collections": [{"source": COLLECTION}], "log": {"bootstrap_servers": servers}}
        run = stack.enter_context(Run(folder / "run", document))
        said = run.say("init")
        if said.code:
            raise RuntimeError(said.err)
        yield _Scene(run, source, target, servers)


@contextlib.contextmanager
def _moving(scene: _Scene) -> Iterator[None]:
    """Run every role as ``up`` does, until the target has what a first write said."""
    up = scene.run.start("up")
    client, target = scene.captured(), QdrantClient(url=scene.target.url)
    _upsert(client, 10_000_000, 1)
    wait_until(lambda: target.retrieve(COLLECTION, [10_000_000]) != [], 120)
    try:
        yield
    finally:
        up.close()


def _beside(what: str, scale: float, direct: QdrantClient, through: QdrantClient) -> list[Figure]:
    figures = []
    for size, rounds in ((1, int(1_000 * scale)), (1_000, int(60 * scale))):
        base, more = [], []
        for number in range(-3, rounds):  # the first few open connections
            took = {}
            for client in (direct, through)[:: 1 if number % 2 else -1]:  # each goes first in turn
                took[client] = _timed(client, number, size)
            if number >= 0:
                base.append(took[direct])
                more.append(took[through])
        figures += [
            Figure(f"{what}, {size:,} points: bare p50, ms", _at(base, 50)),
            Figure(f"{what}, {size:,} points: p50 above it, ms", _at(more, 50) - _at(base, 50)),
            Figure(f"{what}, {size:,} points: bare p99, ms", _at(base, 99)),
            Figure(f"{what}, {size:,} points: p99 above it, ms", _at(more, 99) - _at(base, 99)),
            Figure(f"{what}, {size:,} points: times the bare p50", _at(more, 50) / _at(base, 50)),
        ]
    return figures


def _timed(client: QdrantClient, number: int, size: int) -> float:
    began = time.monotonic()
    _upsert(client, (number + 3) % 10 * size, size)
    return (time.monotonic() - began) * 1_000


def _upsert(client: QdrantClient, first: int, size: int) -> None:
    points = [models.PointStruct(id=first + at, vector=_VECTOR) for at in range(size)]
    client.upsert(COLLECTION, points, wait=True)


def _look(url: str, writes: int, told: Any) -> None:
    """Tell when each id was first there; asks only for the next few hundred that were not."""
    client = QdrantClient(url=url, timeout=20)
    seen: dict[int, float] = {}
    missing = list(range(writes))
    told.put("ready")
    deadline = time.monotonic() + 120
    while missing and time.monotonic() < deadline:
        next_few = missing[:_RATE]
        found = client.retrieve(COLLECTION, next_few, with_payload=False, with_vectors=False)
        now = time.monotonic()
        seen.update((int(point.id), now) for point in found)
        missing = [number for number in next_few if number not in seen] + missing[_RATE:]
        time.sleep(0.01)
    told.put(seen)


def _at(values: list[float], percentile: float) -> float:
    return float(np.percentile(values, percentile))


BENCHES: dict[str, Callable[[str, float], list[Figure]]] = {
    "d": wrapper,
    "e": proxy,
    "f": lag,
    "g": hot_key,
}
