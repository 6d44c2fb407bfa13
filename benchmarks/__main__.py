"""``make bench``: each figure is a ratio against a ceiling measured in the same run.

Exits with 3 when a ratio misses what it needs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console

from benchmarks import bare, live, rig
from benchmarks.figures import Figure
from vecferry.log.codec import SingleObjectCodec
from vecferry.model import Collection, Dense, Image, Key, Point, VectorSpec, key_bytes
from vecferry.ports import Ref
from vecferry.record import Event, EventKind
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing.kafka import KafkaServer
from vecferry.testing.milvus import MilvusServer
from vecferry.testing.qdrant import QdrantServer

DIM = 768
_err = Console(stderr=True, highlight=False)


def pipeline(servers: str, scale: float) -> list[Figure]:
    """Null source, null target: Vecferry's own cost beside a bare produce-and-consume."""
    points = int(100_000 * scale)
    size = _record_bytes()
    _say(f"(a) {points:,} points of {size:,} bytes through Kafka, null source and target")
    ceiling = bare.produce_and_consume(servers, points, size)
    moved = rig.run(servers, rig.Sides(rig.null(points), rig.null(), points)).seconds
    return [
        Figure("(a) bare produce and consume, records/s", points / ceiling),
        Figure("(a) null to null, points/s", points / moved),
        Figure("(a) share of the bare clients", ceiling / moved, needs=0.4),
    ]


def databases(servers: str, scale: float) -> list[Figure]:
    """Milvus 2.3.5 to Qdrant's engine, beside a bare scan, a bare ingest and the user's loop."""
    points = int(20_000 * scale)
    _say(f"(b) {points:,} points from Milvus 2.3.5 to Qdrant's engine")
    with TemporaryDirectory() as folder, MilvusServer(Path(folder)) as milvus:
        source = StoreSettings(type="milvus", url=milvus.url)
        _fill(source, points)
        scan_s, found = bare.scan(source)
        ingest_s = _on_empty_qdrant(Path(folder) / "a", partial(_bare_ingest, found))
        del found
        moved_s = _on_empty_qdrant(
            Path(folder) / "b",
            lambda target, _: rig.run(servers, rig.Sides(source, target, points)).seconds,
        )
        loop_s = _on_empty_qdrant(
            Path(folder) / "c",
            lambda _, server: bare.user_loop(milvus.url, server.url, server.grpc_port, points),
        )
    return [
        Figure("(b) bare scan, points/s", points / scan_s),
        Figure("(b) bare ingest, points/s", points / ingest_s),
        Figure("(b) the loop of the two clients, points/s", points / loop_s),
        Figure("(b) Vecferry, points/s", points / moved_s),
        Figure(
            "(b) share of the slower of scan and ingest", max(scan_s, ingest_s) / moved_s, needs=0.8
        ),
    ]


def memory(servers: str, scale: float) -> list[Figure]:
    """Peak memory of each worker with ten times the points."""
    few, many = int(50_000 * scale), int(500_000 * scale)
    _say(f"(c) memory of the workers, {few:,} and {many:,} points")
    small = rig.run(servers, rig.Sides(rig.null(few), rig.null(), few))
    large = rig.run(servers, rig.Sides(rig.null(many), rig.null(), many))
    return [
        Figure("(c) snapshot worker, MB, few points", small.snapshot_mb),
        Figure("(c) snapshot worker, MB, many points", large.snapshot_mb),
        Figure("(c) applier, MB, few points", small.apply_mb),
        Figure("(c) applier, MB, many points", large.apply_mb),
        Figure(
            "(c) snapshot worker, growth", large.snapshot_mb / small.snapshot_mb, 1.25, at_most=True
        ),
        Figure("(c) applier, growth", large.apply_mb / small.apply_mb, 1.25, at_most=True),
    ]


BENCHES: dict[str, Callable[[str, float], list[Figure]]] = {
    "a": pipeline,
    "b": databases,
    "c": memory,
    **live.BENCHES,
}


def _record_bytes() -> int:
    point = Point(
        Key(rig.COLLECTION, "", 1),
        Image({"": Dense("float32", DIM, bytes(4 * DIM))}, b'{"n":1,"text":"synthetic"}'),
    )
    event = Event(
        EventKind.ROW, key_bytes(point.key), point.image, chunk=f"{rig.COLLECTION}/1", opened=1
    )
    return len(SingleObjectCodec().encode_event(event))


def _schema() -> Collection:
    spec = VectorSpec("embedding", dim=DIM, metric="dot", index={"type": "flat"})
    return Collection(rig.COLLECTION, (spec,), id_types=frozenset({"int"}))


def _fill(source: StoreSettings, points: int) -> None:
    rng = np.random.default_rng(7)
    with closing(open_store(source)) as store:
        store.create(_schema())
    made = [
        Point(
            Key(rig.COLLECTION, "", number),
            Image(
                {
                    "embedding": Dense(
                        "float32", DIM, rng.standard_normal(DIM).astype("<f4").tobytes()
                    )
                },
                b'{"n":%d,"text":"synthetic"}' % number,
            ),
        )
        for number in range(points)
    ]
    bare.ingest(source, made, batch=1_000)
    deadline = time.monotonic() + 120
    with closing(open_store(source)) as store:
        while store.count(rig.COLLECTION) < points and time.monotonic() < deadline:
            time.sleep(0.5)
        assert store.read(Ref(rig.COLLECTION, rig.COLLECTION), [made[0].key]) == [made[0]]


def _on_empty_qdrant(
    folder: Path, measure: Callable[[StoreSettings, QdrantServer], float]
) -> float:
    with QdrantServer(folder) as server:
        settings = StoreSettings(type="qdrant", url=server.url, grpc_url=server.grpc_url)
        with closing(open_store(settings)) as store:
            spec = VectorSpec("embedding", dim=DIM, metric="dot")
            store.create(Collection(rig.COLLECTION, (spec,)))
        return measure(settings, server)


def _bare_ingest(points: list[Point], target: StoreSettings, _: QdrantServer) -> float:
    return bare.ingest(target, points)


def _say(text: str) -> None:
    _err.print(f"[dim]{text}[/]")


def main() -> int:
    """Run the benchmarks that were asked for and print their table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", default="".join(BENCHES), help="letters of the benchmarks to run")
    parser.add_argument("--quick", action="store_true", help="a tenth of the points")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    chosen = parser.parse_args()
    figures: list[Figure] = []
    with KafkaServer() as kafka:
        for letter in chosen.only:
            figures += BENCHES[letter](kafka.bootstrap_servers, 0.1 if chosen.quick else 1.0)
    if chosen.json:
        sys.stdout.write(
            json.dumps([asdict(each) | {"met": each.is_met} for each in figures], indent=2) + "\n"
        )
    else:
        for each in figures:
            bound = (
                ""
                if each.needs is None
                else f"  needs {'≤' if each.at_most else '≥'} {each.needs:g}"
            )
            verdict = "" if each.needs is None else ("  met" if each.is_met else "  MISSED")
            sys.stdout.write(f"{each.what:<55}{each.value:>12,.2f}{bound}{verdict}\n")
    return 0 if all(each.is_met for each in figures) else 3


if __name__ == "__main__":
    raise SystemExit(main())
