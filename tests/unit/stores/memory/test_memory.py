"""What is the memory store's own; its behaviour as a store is in tests/conformance."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from vecferry.errors import ConfigError, RecordError
from vecferry.model import Collection, Dense, Image, Key, Multi, Sparse, Vector, VectorSpec
from vecferry.ports import Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores.memory import CAPABILITIES, Database, MemoryStore, connect

REF = Ref("docs", "docs")


def dense(*values: float) -> Dense:
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def sparse(**values: float) -> Sparse:
    indices = np.array([int(name[1:]) for name in values], "<u4")
    return Sparse(indices.tobytes(), np.array(list(values.values()), "<f4").tobytes())


def multi(*rows: tuple[float, float]) -> Multi:
    return Multi("float32", 2, len(rows), np.array(rows, "<f4").tobytes())


def store_of(*specs: VectorSpec, **capabilities: bool) -> MemoryStore:
    store = MemoryStore(Database(), replace(CAPABILITIES, **capabilities))
    store.create(Collection("docs", specs or (VectorSpec("", dim=2, metric="l2"),)))
    return store


def put(store: MemoryStore, id: int, vector: Vector, version: int = -1, name: str = "") -> str:
    failures = store.write(REF, [Write(Key("docs", "", id), Image({name: vector}), version)])
    return failures[0].reason if failures else ""


def ids(store: Store, query: Vector, name: str = "") -> list[object]:
    return [hit.key.id for hit in store.search(REF, name, [query], 10)[0]]


def test_stores_of_one_name_share_their_points() -> None:
    one, two, other = (
        connect(StoreSettings(type="memory", url=f"memory://{name}"))
        for name in ("shared-points", "shared-points", "another")
    )
    one.create(Collection("docs", (VectorSpec("", dim=2, metric="l2"),)))
    put(one, 1, dense(1, 2))
    one.close()
    assert two.count("docs") == 1
    assert other.collections() == []


@pytest.mark.parametrize("url", ["", "memory:", "memory://", "http://docs", "docs"])
def test_a_url_that_names_no_memory_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="memory://NAME"):
        connect(StoreSettings(type="memory", url=url))


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ConfigError, match="'fast' is not an option"):
        connect(StoreSettings(type="memory", url="memory://docs?fast"))


def test_options_are_capabilities() -> None:
    store = connect(StoreSettings(type="memory", url="memory://options?conditional&normalises"))
    assert store.capabilities.conditional_writes
    assert store.capabilities.normalises


def test_an_older_version_does_not_overwrite_where_writes_are_conditional() -> None:
    for conditional, kept in ((True, 5), (False, 3)):
        store = store_of(conditional_writes=conditional)
        put(store, 1, dense(5, 0), version=5)
        assert put(store, 1, dense(3, 0), version=3) == ""
        [point] = store.read(REF, [Key("docs", "", 1)])
        assert point is not None
        assert point.image.vectors[""] == dense(kept, 0)


def test_an_older_version_does_not_resurrect_a_delete_where_writes_are_conditional() -> None:
    for conditional in (True, False):
        store = store_of(conditional_writes=conditional)
        put(store, 1, dense(1, 0), version=1)
        store.write(REF, [Write(Key("docs", "", 1), None, 4)])
        put(store, 1, dense(3, 0), version=3)
        assert store.count("docs") == (0 if conditional else 1)
        put(store, 1, dense(9, 0), version=9)
        assert store.count("docs") == 1


REFUSALS = [
    (dense(1, 2, 3), "of 3 dimensions"),
    (Dense("float16", 2, bytes(4)), "float16"),
    (Dense("float32", 2, bytes(7)), "7 bytes, not 8"),
    (dense(1, float("nan")), "NaN"),
    (multi((1, 2)), "multi"),
    (sparse(i1=1.0), "sparse"),
]


@pytest.mark.parametrize(("vector", "reason"), REFUSALS)
def test_a_vector_that_does_not_fit_is_refused_with_a_reason(vector: Vector, reason: str) -> None:
    store = store_of()
    assert reason in put(store, 1, vector)
    assert store.count("docs") == 0


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (sparse(i5=1.0, i2=1.0), "ascending"),
        (Sparse(b"\0\0\0\0\0\0\0\0", bytes(8)), "unique"),
        (Sparse(bytes(8), bytes(4)), "8 bytes of indices"),
        (sparse(i1=float("inf")), "infinity"),
    ],
)
def test_a_sparse_vector_that_is_none_is_refused(vector: Sparse, reason: str) -> None:
    assert reason in put(store_of(VectorSpec("", "sparse", metric="dot")), 1, vector)


@pytest.mark.parametrize(("dtype", "data"), [("bfloat16", b"\x80\x7f"), ("float16", b"\0\x7c")])
def test_an_infinity_of_sixteen_bits_is_refused(dtype: str, data: bytes) -> None:
    store = store_of(VectorSpec("", dtype=dtype, dim=1, metric="l2"))  # type: ignore[arg-type]
    assert "infinity" in put(store, 1, Dense(dtype, 1, data))  # type: ignore[arg-type]


def test_an_empty_sparse_vector_is_an_absent_one() -> None:
    store = store_of(VectorSpec("", "sparse", metric="dot"))
    assert put(store, 1, Sparse(b"", b"")) == ""
    [point] = store.read(REF, [Key("docs", "", 1)])
    assert point is not None
    assert point.image.vectors == {}


def test_ids_beyond_what_the_collection_takes_are_refused() -> None:
    store = MemoryStore(Database())
    spec = VectorSpec("", dim=2, metric="l2")
    store.create(Collection("docs", (spec,), id_types=frozenset({"int", "str"}), id_bytes_max=3))
    for id, reason in (("four", "4 bytes"), (2**64, "beyond"), (-(2**63) - 1, "beyond")):
        [failure] = store.write(REF, [Write(Key("docs", "", id), Image({"": dense(1, 2)}))])
        assert reason in failure.reason


@pytest.mark.parametrize(
    "spec",
    [
        VectorSpec("", dim=0, metric="l2"),
        VectorSpec("", dim=2, metric="bm25"),
        VectorSpec("", "dense", "int4", 2, "l2"),  # type: ignore[arg-type]
    ],
)
def test_a_schema_beyond_the_capabilities_is_refused(spec: VectorSpec) -> None:
    store = MemoryStore(Database())
    with pytest.raises(ConfigError, match="cannot hold"):
        store.create(Collection("docs", (spec,)))
    assert store.collections() == []


METRICS = [
    ("l2", [(0, 0), (3, 4), (9, 9)], [0.0, 5.0]),
    ("l1", [(0, 0), (3, 4), (9, 9)], [0.0, 7.0]),
    ("dot", [(9, 9), (3, 4), (0, 0)], [9.0, 3.0]),
    ("cosine", [(9, 0), (3, 4), (0, 7)], [1.0, 0.6]),
]


@pytest.mark.parametrize(("metric", "rows", "best"), METRICS)
def test_search_scores_by_the_metric_best_first(
    metric: str, rows: list[tuple[float, float]], best: list[float]
) -> None:
    store = store_of(VectorSpec("", dim=2, metric=metric))  # type: ignore[arg-type]
    for at, row in enumerate(rows):
        put(store, at, dense(*row))
    query = dense(0, 0) if metric in ("l1", "l2") else dense(1, 0)
    hits = store.search(REF, "", [query], 2)[0]
    assert [hit.key.id for hit in hits] == [0, 1]
    assert [hit.score for hit in hits] == pytest.approx(best)


def test_search_in_bits_counts_the_differing_ones() -> None:
    for metric, score in (("hamming", 1.0), ("jaccard", 0.5)):
        spec = VectorSpec("", dtype="binary", dim=8, metric=metric)  # type: ignore[arg-type]
        store = store_of(spec)
        put(store, 1, Dense("binary", 8, b"\x03"))
        put(store, 2, Dense("binary", 8, b"\xf0"))
        hits = store.search(REF, "", [Dense("binary", 8, b"\x01")], 1)[0]
        assert hits == [(Key("docs", "", 1), score)]


def test_search_of_sparse_and_multivectors() -> None:
    store = store_of(VectorSpec("", "sparse", metric="dot"))
    put(store, 1, sparse(i1=1.0, i7=2.0))
    put(store, 2, sparse(i7=3.0))
    assert ids(store, sparse(i7=1.0)) == [2, 1]
    store = store_of(VectorSpec("", "multi", dim=2, metric="dot"))
    put(store, 1, multi((1, 0), (0, 1)))
    put(store, 2, multi((1, 0)))
    assert ids(store, multi((1, 0), (0, 5))) == [1, 2]


def test_search_passes_over_points_without_the_vector() -> None:
    store = store_of(VectorSpec("a", dim=2, metric="l2"), VectorSpec("b", dim=2, metric="l2"))
    put(store, 1, dense(0, 0), name="a")
    put(store, 2, dense(0, 0), name="b")
    assert ids(store, dense(1, 1), "b") == [2]


def test_a_query_that_does_not_fit_is_an_error() -> None:
    store = store_of()
    put(store, 1, dense(1, 2))
    with pytest.raises(RecordError, match="does not fit"):
        store.search(REF, "", [dense(1, 2, 3)], 1)
    with pytest.raises(ConfigError, match="no vector 'other'"):
        store.search(REF, "other", [dense(1, 2)], 1)


def test_many_threads_may_write_and_scan_at_once() -> None:
    store = store_of()
    failed: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(200):
                put(store, thread * 1_000 + n, dense(n, n))
                if n % 50 == 0:
                    for bounds in store.plan_chunks("docs", 40):
                        list(store.scan(REF, bounds))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert store.count("docs") == 800
