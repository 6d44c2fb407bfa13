"""The estimate: ranges that contain what is so, and assumptions by name."""

import struct

import pytest

from vecferry.mapping.estimate import (
    Cluster,
    Facts,
    Span,
    Work,
    estimate_holding,
    estimate_move,
    read_units,
    recommend_partitions,
    vector_bytes,
    write_units,
)
from vecferry.mapping.prices import load_prices
from vecferry.model import Collection, Dense, Image, Key, Point, Sparse, VectorSpec

MILLION = 1_000_000
CLUSTER = Cluster(replication=3, brokers=6, record_bytes_max=1_000_000)
HNSW = {"type": "hnsw", "m": 16}


def a_collection(**more: object) -> Collection:
    return Collection("docs", (VectorSpec("e", dim=768, metric="l2", **more),))  # type: ignore[arg-type]


def facts(points: int = MILLION, largest: int = 5_000) -> Facts:
    schema = a_collection(index=HNSW)
    return Facts(points, 4_000.0, largest, 800.0, 3_072.0, 3_072.0, schema, schema)


def test_the_log_holds_every_point_once_and_the_changes_of_the_soak() -> None:
    quiet = estimate_move([facts()], CLUSTER, Work(), load_prices(), ("qdrant", "milvus"))
    assert quiet.log == Span(3.6e9, pytest.approx(4.4e9))
    assert quiet.log_replicated.high == pytest.approx(3 * 4.4e9)
    assert quiet.log_per_broker.high == pytest.approx(3 * 4.4e9 / 6)
    busy = Work(changes_per_s=100, soak_days=7)
    changed = estimate_move([facts()], CLUSTER, busy, load_prices(), ("qdrant", "milvus"))
    assert changed.log.high - quiet.log.high == pytest.approx(100 * 7 * 86_400 * 4_000)


def test_a_record_that_the_broker_does_not_take_is_told() -> None:
    def fits(largest: int) -> bool:
        made = estimate_move(
            [facts(largest=largest)], CLUSTER, Work(), load_prices(), ("qdrant", "milvus")
        )
        return made.record_fits

    assert fits(1_000_000)
    assert not fits(1_000_001)


def test_partitions_follow_the_workers_and_the_size() -> None:
    assert recommend_partitions(1e9, workers=1) == 6
    assert recommend_partitions(1e9, workers=8) == 16
    assert recommend_partitions(1e12, workers=1) == 50
    assert recommend_partitions(1e16, workers=1) == 256


def test_memory_of_a_graph_is_vectors_and_links() -> None:
    held = estimate_holding(MILLION, 3_072.0, 0.0, a_collection(index=HNSW))
    raw, links = MILLION * 3_072, MILLION * 16 * 2 * 4
    assert raw + links <= held.memory.low <= 1.1 * (raw + links)
    assert held.memory.high == pytest.approx(1.5 * held.memory.low)
    assert held.disk.low >= raw + links
    flat = estimate_holding(MILLION, 3_072.0, 0.0, a_collection(index={"type": "flat"}))
    assert flat.memory.low == raw


def test_compression_lowers_the_least_and_not_the_most() -> None:
    plain = estimate_holding(MILLION, 3_072.0, 0.0, a_collection(index=HNSW))
    small = estimate_holding(
        MILLION, 3_072.0, 0.0, a_collection(index=HNSW | {"quantisation": "scalar"})
    )
    assert small.memory.low < plain.memory.low / 2
    assert small.memory.high > plain.memory.high
    disk = estimate_holding(MILLION, 3_072.0, 0.0, a_collection(index={"type": "diskann"}))
    assert disk.memory.high < plain.memory.low
    assert disk.disk.low > plain.disk.low


def test_hours_come_from_the_slower_side_and_from_all_workers() -> None:
    work = Work(read=1_000, write=10_000, readers=2, writers=1)
    made = estimate_move([facts()], CLUSTER, work, load_prices(), ("qdrant", "milvus"))
    hours = MILLION / 2_000 / 3_600
    assert made.hours["snapshot"].low == pytest.approx(hours / 1.3)
    assert made.hours["snapshot"].high == pytest.approx(hours / 0.7)
    guessed = estimate_move([facts()], CLUSTER, Work(), load_prices(), ("qdrant", "milvus"))
    assert guessed.hours["snapshot"].high > guessed.hours["snapshot"].low
    assert any("a guess" in assumption for assumption in guessed.assumptions)
    assert not any("a guess" in assumption for assumption in made.assumptions)


def test_pinecone_bills_reads_and_writes_in_units() -> None:
    assert read_units("pinecone", 1_050) == 11 + 105
    assert read_units("qdrant", 1_050) == 0
    assert write_units("pinecone", 10, 800.0) == 50
    assert write_units("pinecone", 10, 7_001.0) == 80
    made = estimate_move([facts()], CLUSTER, Work(), load_prices(), ("pinecone", "qdrant"))
    assert made.read_units == 110_000
    assert made.once == pytest.approx(2 * 0.11 * 16)
    assert made.week["source"].low > 0


def test_nothing_to_move_is_estimated_as_nothing() -> None:
    made = estimate_move([facts(0)], CLUSTER, Work(), load_prices(), ("qdrant", "milvus"))
    assert (made.points, made.log, made.reads) == (0, Span(0.0, 0.0), 0)
    assert made.hours["check"] == Span(0.0, 0.0)


def test_vectors_are_weighed_as_the_target_holds_them() -> None:
    half = Dense("float16", 4, struct.pack("<4e", 1, 2, 3, 4))
    point = Point(Key("docs", "", 1), Image({"e": half, "s": Sparse(b"\0" * 40, b"\0" * 40)}))
    target = Collection("docs", (VectorSpec("e", dim=4), VectorSpec("s", kind="sparse")))
    assert vector_bytes([point], target) == 16 + 80
    assert vector_bytes([], target) == 16
