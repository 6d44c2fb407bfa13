"""How much, how long and how dear: ranges from a sample, and every assumption by name.

Pure functions. Sizes are bytes, times are hours, rates are points a second.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from vecferry.mapping.prices import Prices
from vecferry.model import BITS, Collection, Point, Sparse

_PARTITION_BYTES = 20e9
_PARTITIONS_MAX = 256
_HNSW_M = 16
_BUILD_PER_S = (500.0, 5_000.0)
_READ_PER_S = (1_000.0, 10_000.0)
_WRITE_PER_S = (500.0, 5_000.0)
_QUANTISED_BITS = {"scalar": 8.0, "product": 2.0, "binary": 1.0}
_PINECONE = "pinecone"


class Span(NamedTuple):
    """From at least to at most."""

    low: float
    high: float

    def times(self, low: float, high: float | None = None) -> "Span":
        """Return both ends multiplied."""
        return Span(self.low * low, self.high * (low if high is None else high))

    def plus(self, other: "Span") -> "Span":
        """Return the sum."""
        return Span(self.low + other.low, self.high + other.high)


class Facts(NamedTuple):
    """What is known of one collection.

    Attributes:
        points: Its exact count.
        record_mean, record_max: Bytes of a record of the log, from the sample.
        payload_mean: Bytes of a payload, from the sample.
        source_vectors, target_vectors: Bytes of one point's vectors on each side, the mean.
        source, target: The schemas.
    """

    points: int
    record_mean: float
    record_max: int
    payload_mean: float
    source_vectors: float
    target_vectors: float
    source: Collection
    target: Collection


class Cluster(NamedTuple):
    """The log's Kafka: copies of a partition, brokers, the largest record it takes in bytes."""

    replication: int
    brokers: int
    record_bytes_max: int


class Work(NamedTuple):
    """Who works how fast.

    Attributes:
        read, write: Points a second of one worker; None is a guess.
        readers, writers: Snapshot and apply workers.
        changes_per_s: What the application writes.
        soak_days: How long both sides run.
    """

    read: float | None = None
    write: float | None = None
    readers: int = 1
    writers: int = 1
    changes_per_s: float = 0.0
    soak_days: float = 7.0


class Holding(NamedTuple):
    """What a database takes for a collection, in bytes."""

    memory: Span
    disk: Span


class Estimate(NamedTuple):
    """The whole estimate; see the module for units.

    Attributes:
        points: Of all collections.
        record_mean, record_max, record_fits: Of a record of the log, against the broker's limit.
        partitions: The recommended number.
        log, log_replicated, log_per_broker: Bytes on the log.
        source, target: What each database takes.
        hours: By phase.
        reads: Points read of the source by each full pass.
        read_units: What a pass costs there in read units; 0 where there are none.
        week: The cost of each side and of the log for a week, by name.
        once: The cost of reading and writing units for the move itself.
        currency: Of the costs.
        assumptions: What was taken for granted.
    """

    points: int
    record_mean: float
    record_max: int
    record_fits: bool
    partitions: int
    log: Span
    log_replicated: Span
    log_per_broker: Span
    source: Holding
    target: Holding
    hours: dict[str, Span]
    reads: int
    read_units: int
    week: dict[str, Span]
    once: float
    currency: str
    assumptions: tuple[str, ...]


def vector_bytes(points: Sequence[Point], collection: Collection) -> float:
    """Return the mean bytes of a point's vectors as ``collection`` holds them.

    ``points`` have that collection's vector names.
    """
    if not points:
        dense = [spec for spec in collection.vectors if spec.kind == "dense"]
        return sum(spec.dim * BITS[spec.dtype] / 8 for spec in dense)
    total = 0.0
    for point in points:
        for name, vector in point.image.vectors.items():
            spec = collection.vector(name)
            if isinstance(vector, Sparse):
                total += len(vector.indices) + len(vector.values)
            elif spec is not None:
                total += len(vector.data) * BITS[spec.dtype] / BITS[vector.dtype]
    return total / len(points)


def estimate_holding(
    points: int, vectors: float, payload: float, collection: Collection
) -> Holding:
    """Return what a database takes for so many points of these mean bytes, with its indexes."""
    raw = points * vectors
    memory, disk = Span(0.0, 0.0), Span(raw, raw)
    if not any(spec.kind == "dense" for spec in collection.vectors):
        memory = Span(raw, raw)
    searched = raw
    for spec in (each for each in collection.vectors if each.kind == "dense"):
        own = points * spec.dim * BITS[spec.dtype] / 8
        kind = spec.index.get("type", "hnsw")
        bits = _QUANTISED_BITS.get(str(spec.index.get("quantisation")))
        codes = points * spec.dim * bits / 8 if bits else 0.0
        links = _links(points, kind, spec.index.get("m"))
        if kind == "diskann":  # codes in memory, the graph and the vectors on disk
            codes, links = codes or own / 8, 0.0
            disk = disk.plus(Span(own * 0.3, own))
        small = codes if codes else own
        memory = memory.plus(Span(small + links, own * (kind != "diskann") + codes + links))
        disk = disk.plus(Span(codes + links, codes + links))
        searched -= own
    memory = memory.plus(Span(0.0, max(searched, 0.0) + points * payload))
    disk = disk.plus(Span(points * payload, 2 * points * payload))
    return Holding(memory.times(1.0, 1.5), disk.times(1.0, 2.0))


def _links(points: int, kind: object, m: object) -> float:
    if kind not in ("hnsw", "autoindex", "dynamic"):
        return 0.0
    return points * 2 * 4 * (m if isinstance(m, int) and m > 0 else _HNSW_M) * 1.1


def recommend_partitions(log_bytes: float, workers: int) -> int:
    """Return a partition count: two for each worker, and none of more than 20 GB; at least six."""
    by_size = math.ceil(log_bytes / _PARTITION_BYTES)
    return min(max(6, 2 * workers, by_size), _PARTITIONS_MAX)


def read_units(kind: str, points: int) -> int:
    """Return the read units of one pass: Pinecone bills a list of 100 ids and a fetch of 10 each as one."""
    return math.ceil(points / 100) + math.ceil(points / 10) if kind == _PINECONE else 0


def write_units(kind: str, points: int, record: float) -> int:
    """Return the write units of so many upserts: Pinecone bills each begun kilobyte, five at least."""
    return points * max(5, math.ceil(record / 1_000)) if kind == _PINECONE else 0


def estimate_move(
    facts: Sequence[Facts],
    cluster: Cluster,
    work: Work,
    prices: Prices,
    kinds: tuple[str, str],
) -> Estimate:
    """Return the estimate of a migration.

    Args:
        facts: One for each collection.
        cluster: The log's.
        work: Measured or given rates, and the application's.
        prices: The table.
        kinds: The types of the source and of the target.
    """
    points = sum(each.points for each in facts)
    snapshot = sum(each.points * each.record_mean for each in facts)
    mean = snapshot / points if points else 0.0
    changes = work.changes_per_s * work.soak_days * 86_400 * mean
    log = Span(0.9 * snapshot, 1.1 * snapshot).plus(Span(changes, changes))
    largest = max((each.record_max for each in facts), default=0)
    source, target = (_held(facts, target=side) for side in (False, True))
    replicated = log.times(cluster.replication)
    reads = points
    units = read_units(kinds[0], points)
    week = {
        "source": _week(prices, kinds[0], source),
        "target": _week(prices, kinds[1], target),
        "log": Span(
            *(
                prices.of("kafka").week(disk=size, brokers=cluster.brokers)
                for size in (replicated.low, replicated.high)
            )
        ),
    }
    once = prices.of(kinds[0]).units(reads=2.0 * units)
    once += prices.of(kinds[1]).units(writes=write_units(kinds[1], points, mean))
    return Estimate(
        points=points,
        record_mean=mean,
        record_max=largest,
        record_fits=largest <= cluster.record_bytes_max,
        partitions=recommend_partitions(log.high, max(work.readers, work.writers)),
        log=log,
        log_replicated=replicated,
        log_per_broker=replicated.times(1 / max(1, cluster.brokers)),
        source=source,
        target=target,
        hours=_hours(points, work),
        reads=reads,
        read_units=units,
        week=week,
        once=once,
        currency=prices.currency,
        assumptions=tuple(_assumptions(cluster, work)),
    )


def _held(facts: Sequence[Facts], *, target: bool) -> Holding:
    memory, disk = Span(0.0, 0.0), Span(0.0, 0.0)
    for each in facts:
        vectors = each.target_vectors if target else each.source_vectors
        schema = each.target if target else each.source
        held = estimate_holding(each.points, vectors, each.payload_mean, schema)
        memory, disk = memory.plus(held.memory), disk.plus(held.disk)
    return Holding(memory, disk)


def _week(prices: Prices, kind: str, held: Holding) -> Span:
    price = prices.of(kind)
    return Span(
        price.week(memory=held.memory.low, disk=held.disk.low),
        price.week(memory=held.memory.high, disk=held.disk.high),
    )


def _hours(points: int, work: Work) -> dict[str, Span]:
    read = _rate(work.read, _READ_PER_S).times(max(1, work.readers))
    write = _rate(work.write, _WRITE_PER_S).times(max(1, work.writers))
    both = Span(min(read.low, write.low), min(read.high, write.high))
    return {
        "snapshot": _took(points, both),
        "indexing": _took(points, Span(*_BUILD_PER_S)),
        "check": _took(points, _rate(work.read, _READ_PER_S)),
    }


def _rate(given: float | None, guess: tuple[float, float]) -> Span:
    return Span(0.7 * given, 1.3 * given) if given else Span(*guess)


def _took(points: int, rate: Span) -> Span:
    return Span(points / rate.high / 3_600, points / rate.low / 3_600)


def _assumptions(cluster: Cluster, work: Work) -> list[str]:
    read = f"{work.read:,.0f}" if work.read else f"{_READ_PER_S[0]:,.0f} to {_READ_PER_S[1]:,.0f}"
    write = (
        f"{work.write:,.0f}" if work.write else f"{_WRITE_PER_S[0]:,.0f} to {_WRITE_PER_S[1]:,.0f}"
    )
    return [
        "the sampled points are like the others; a larger record than the largest of them may exist",
        "the log is not compressed: vectors hardly shrink",
        f"{cluster.replication} copies of the log on {cluster.brokers} brokers, kept until `complete`",
        f"the application changes {work.changes_per_s:g} points a second for {work.soak_days:g} days",
        f"{work.readers} snapshot and {work.writers} apply workers; one reads {read} points a second "
        f"({'measured or given, within 30%' if work.read else 'a guess: --measure asks the source'})",
        f"one writes {write} points a second "
        f"({'given, within 30%' if work.write else 'a guess: set plan.write_points_per_s'})",
        f"the target builds {_BUILD_PER_S[0]:,.0f} to {_BUILD_PER_S[1]:,.0f} points a second into its index",
        "HNSW takes 2 m links of 4 bytes a point, a tenth more for its upper layers",
        "memory: at least what is searched, at most half more than vectors, links and payload together; "
        "disk: up to twice as much while segments are merged",
        "one copy of each collection in either database: replicas multiply memory, disk and cost",
        "prices are the table's (plan.prices), which comes with examples and not with offers",
    ]
