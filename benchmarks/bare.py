"""The ceilings: what is possible without Vecferry, measured beside it."""

import multiprocessing
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from benchmarks.rig import COLLECTION, PARTITIONS
from vecferry.log.connection import Connection
from vecferry.model import Point
from vecferry.ports import Ref, Write
from vecferry.settings import LogSettings, StoreSettings
from vecferry.stores import open_store

_SPAWN = multiprocessing.get_context("spawn")
_REF = Ref(COLLECTION, COLLECTION)


def produce_and_consume(bootstrap_servers: str, records: int, record_bytes: int) -> float:
    """Return the seconds in which records of that size cross Kafka, two bare clients at once."""
    topic = f"bare-{uuid.uuid4().hex[:8]}"
    admin = Connection(LogSettings(bootstrap_servers=bootstrap_servers)).admin()
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    times: Any = _SPAWN.Queue()
    shared = (times, bootstrap_servers, topic, records)
    reader = _SPAWN.Process(target=_consume, args=shared, daemon=True)
    reader.start()
    times.get(timeout=60)  # it has its partitions
    writer = _SPAWN.Process(target=_produce, args=(*shared, record_bytes), daemon=True)
    writer.start()
    writer.join(300)
    reader.join(300)
    admin.delete_topics([topic])
    moments = [times.get(timeout=60), times.get(timeout=60)]
    return float(max(moments) - min(moments))


def _produce(times: Any, servers: str, topic: str, records: int, record_bytes: int) -> None:
    producer = Connection(LogSettings(bootstrap_servers=servers)).producer()
    value = bytes(record_bytes)
    times.put(time.monotonic())
    for number in range(records):
        while True:
            try:
                producer.produce(topic, value, str(number).encode(), number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush()


def _consume(times: Any, servers: str, topic: str, records: int) -> None:
    consumer = Connection(LogSettings(bootstrap_servers=servers)).consumer("bare")
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    times.put("ready")
    seen = 0
    while seen < records:
        seen += sum(message.error() is None for message in consumer.consume(1_000, 1.0))
    times.put(time.monotonic())
    consumer.close()


def scan(settings: StoreSettings) -> tuple[float, list[Point]]:
    """Return the seconds of a bare scan, and the points."""
    with closing(open_store(settings)) as store:
        chunks = store.plan_chunks(COLLECTION, 10_000)
        began = time.monotonic()
        points = [point for bounds in chunks for page in store.scan(_REF, bounds) for point in page]
        return time.monotonic() - began, points


def ingest(settings: StoreSettings, points: list[Point], batch: int = 512) -> float:
    """Return the seconds of a bare ingest, four requests at a time."""
    with closing(open_store(settings)) as store, ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        for failures in pool.map(lambda writes: store.write(_REF, writes), _batches(points, batch)):
            if failures:
                raise RuntimeError(f"{len(failures)} points were refused")
        return time.monotonic() - began


def _batches(points: list[Point], size: int) -> Iterator[list[Write]]:
    for start in range(0, len(points), size):
        yield [Write(point.key, point.image) for point in points[start : start + size]]


def user_loop(milvus_url: str, qdrant_url: str, grpc_port: int, points: int) -> float:
    """Return the seconds of the loop that a user would write with the two clients."""
    from pymilvus import MilvusClient
    from qdrant_client import QdrantClient, models

    source: Any = MilvusClient(milvus_url)
    target = QdrantClient(url=qdrant_url, grpc_port=grpc_port, prefer_grpc=True, timeout=60)
    began = time.monotonic()
    pages = source.query_iterator(COLLECTION, batch_size=1_000, output_fields=["*"])
    seen = 0
    while rows := pages.next():
        made = [
            models.PointStruct(
                id=row["id"], vector={"embedding": [float(x) for x in row["embedding"]]}
            )
            for row in rows
        ]
        target.upsert(COLLECTION, made, wait=True)
        seen += len(rows)
    pages.close()
    if seen != points:
        raise RuntimeError(f"the loop saw {seen} of {points} points")
    return time.monotonic() - began
