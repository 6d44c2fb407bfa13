"""Milvus → Qdrant → Milvus: what arrives, and what comes back, is what was there, to the bit."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecferry.model import Collection, Dense, Id, Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines
from vecferry.testing.runs import Run

pytestmark = [pytest.mark.kafka, pytest.mark.milvus, pytest.mark.timeout(600)]

DIM = 32
INTS: list[Id] = [0, 1, -1, -5, 2**53 + 1, -(2**53) - 1, 2**63 - 2, -(2**63) + 1, *range(100, 130)]
TEXTS: list[Id] = ["", "1", "-5", 'a"b', "a\\b", "a\nb\t", "q'q", "straße", "日本", "😀", "%_{x}"]
PAYLOADS: list[dict[str, Any]] = [
    {},
    {"null": None, "empty": "", "space": " ", "zero": 0, "false": False},
    {"beyond": 2**53 + 1, "below": -(2**53) - 1, "huge": 2**70, "float": 1.0, "small": 5e-324},
    {"nested": {"a": [1, 2.5, {"b": None, "c": ""}], "": [], "d": {}}, "list": [None, "", 0]},
    {"ünï cöde": "straße", "名前": "日本 😀", "a.b": 1, "a": {"b": 2}, "$meta": 3, "": 4},
    {"_vf_id": "the application's own", "id": 7, "v": [1.0], "json": '{"a": 1}'},
]
METRICS: dict[str, tuple[Any, list[Id]]] = {
    "dot": ("dot", INTS),
    "l2": ("l2", TEXTS),
    "cosine": ("cosine", INTS),
}


def vectors(rows: int) -> Iterator[Dense]:
    dice = np.random.default_rng(11).standard_normal((rows, DIM)).astype("<f4")
    for row in dice:
        # kept as they are where nothing is computed with them: a zero's sign, a subnormal
        row[:4] = -0.0, np.float32(1e-42), np.float32(1e6), np.float32(np.pi)
        yield Dense("float32", DIM, row.tobytes())


@pytest.fixture(params=["milvus", "milvus_lite"])
def milvus(request: pytest.FixtureRequest) -> Iterator[tuple[Store, str]]:
    url = getattr(engines, request.param)()
    with contextlib.closing(open_store(StoreSettings(type="milvus", url=url))) as store:
        yield store, url


@pytest.fixture
def prefix(milvus: tuple[Store, str]) -> Iterator[str]:
    """Fill one collection for each metric; drop them and what came back."""
    store, _ = milvus
    prefix = f"bits_{uuid.uuid4().hex[:6]}"
    for name, (metric, ids) in METRICS.items():
        collection = f"{prefix}_{name}"
        types = frozenset({"int" if ids is INTS else "str"})
        spec = VectorSpec("v", dim=DIM, metric=metric, index={"type": "flat"})
        store.create(Collection(collection, (spec,), id_types=types))
        writes = [
            Write(
                Key(collection, "", id),
                Image({"v": vector}, encode_payload(PAYLOADS[at % len(PAYLOADS)])),
            )
            for at, (id, vector) in enumerate(zip(ids, vectors(len(ids)), strict=True))
        ]
        assert store.write(Ref(collection, collection), writes) == []
    yield prefix
    for name in store.collections():
        if name.startswith((prefix, f"back_{prefix}")):
            store.drop(name)


def read(store: Store, name: str, logical: str) -> dict[Key, Image]:
    points = [
        point
        for bounds in store.plan_chunks(name, 1_000)
        for page in store.scan(Ref(name, logical), bounds)
        for point in page
    ]
    assert len({point.key for point in points}) == len(points) == store.count(name)
    return dict(points)


def require_same(ours: dict[Key, Image], theirs: dict[Key, Image], *, is_cosine: bool) -> None:
    assert theirs.keys() == ours.keys()
    for key, image in ours.items():
        assert theirs[key].payload == image.payload, key
        assert theirs[key].vectors.keys() == image.vectors.keys()
        mine, other = image.vectors["v"].data, theirs[key].vectors["v"].data  # type: ignore[union-attr]
        if not is_cosine:
            assert other == mine, key
            continue
        a, b = (np.frombuffer(data, "<f4").astype("f8") for data in (mine, other))
        assert np.abs(a / np.linalg.norm(a) - b / np.linalg.norm(b)).max() <= 1e-6


def test_every_bit_arrives_and_comes_back(
    milvus: tuple[Store, str], prefix: str, tmp_path: Path
) -> None:
    store, url = milvus
    rest, grpc = engines.qdrant()
    source = {"type": "milvus", "url": url}
    target = {"type": "qdrant", "url": rest, "grpc_url": grpc}
    log = {"bootstrap_servers": engines.kafka(), "session_timeout_s": 6.0, "partitions": 3}
    forth = {
        "source": source,
        "target": target,
        # the norms of those under cosine are lost in Qdrant, which is refused otherwise
        "collections": [{"source": f"{prefix}_*", "acknowledge": ["vectors.v"]}],
        "log": log,
    }
    back = {
        "source": target,
        "target": source,
        "collections": [{"source": f"{prefix}_*", "target": "back_*"}],
        "log": log,
    }
    with contextlib.closing(open_store(StoreSettings(**target))) as qdrant:
        for document in (forth, back):
            with Run(tmp_path, document) as run:
                up = run.start("up", "--once", "--json")
                assert up.ended(180) == 0, up.text
                run.require_equal()
        for name, (metric, ids) in METRICS.items():
            collection = f"{prefix}_{name}"
            original = read(store, collection, collection)
            assert {key.id for key in original} == set(ids)
            arrived = read(qdrant, collection, collection)
            require_same(original, arrived, is_cosine=metric == "cosine")
            returned = read(store, f"back_{collection}", collection)
            require_same(original, returned, is_cosine=metric == "cosine")
            qdrant.drop(collection)
