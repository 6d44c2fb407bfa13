"""``demo``: the main job on this machine, on embedded parts, with an applier killed on purpose."""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.markup import escape
from rich.table import Table

from vecferry.cli import checking
from vecferry.cli.application import Application
from vecferry.cli.migration import Migration
from vecferry.cli.output import out
from vecferry.cli.progress import Reached
from vecferry.cli.supervisor import Supervisor
from vecferry.cli.upping import Run, run_all
from vecferry.mapping.names import Mapping
from vecferry.model import Collection, Dense, Image, Point, VectorSpec
from vecferry.payload import decode_payload
from vecferry.ports import Ref, Store, Write
from vecferry.producers.feeds import Feed
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import corpus
from vecferry.testing.milvus import MilvusLite
from vecferry.testing.qdrant import QdrantServer

_COLLECTION = "docs"
_VECTOR = "embedding"
_BATCH = 500
_QUESTION = "open a file and read it line by line"
_K = 5
_LAG_EVERY_S = 3.0
_MARGIN_S = 1.5

_FILE = """\
name = "demo"

[source]
type = "milvus"
url = "{source}"
timeout_s = 5

[target]
type = "qdrant"
url = "{target}"
grpc_url = "{target_grpc}"
timeout_s = 5

[[collections]]
source = "docs"

[log]
bootstrap_servers = "embedded"

[snapshot]
chunk_points = 1000

[capture]
request_max_s = 5
intent_max_s = 2

[apply]
workers = 2
request_max_s = 5
batch_points = 128
span_offsets = 512
"""


class Databases(NamedTuple):
    """Where the two servers of the demo are."""

    source: MilvusLite
    target: QdrantServer


def run_demo(points: int) -> bool:
    """Run the whole story; return whether every point arrived."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="vecferry-demo-") as folder,
        _databases(Path(folder)) as databases,
    ):
        rows = _fill(databases, points)
        path = Path(folder) / "vecferry.toml"
        path.write_text(_text(databases))
        os.environ["VECFERRY_HOME"] = folder
        migration = Migration(path)
        _title("2. Milvus → Kafka topics, as Avro → Qdrant, while an application writes")
        out.print(
            "a snapshot worker, a capture worker, two appliers; one of them is killed on purpose"
        )
        story = _Story(migration, databases, rows, points)
        now = run_all(migration, Run(step=story))
        out.print(f"the log holds {now.rows:,} rows of {now.certified} chunks; {story.told()}")
        out.print(f"dead letters: {now.dead}")
        is_equal = _compare(migration) and not now.dead
        _search(migration)
        _title("Done")
        out.print(
            f"{points:,} points in {time.monotonic() - began:.0f} s. Nothing is left running or on disk."
        )
    return is_equal


def _title(text: str) -> None:
    out.print(f"\n[bold]{escape(text)}[/]")


def _text(databases: Databases) -> str:
    return _FILE.format(
        source=databases.source.url,
        target=databases.target.url,
        target_grpc=databases.target.grpc_url,
    )


@contextlib.contextmanager
def _databases(folder: Path) -> Iterator[Databases]:
    out.print("[bold]1. Two databases and real text[/]")
    with MilvusLite(folder) as source, QdrantServer(folder / "qdrant") as target:
        out.print(f"Milvus Lite at {source.url}, a Qdrant server of the test kit at {target.url}")
        yield Databases(source, target)


def _fill(databases: Databases, points: int) -> list[dict[str, Any]]:
    """Put the corpus into Milvus, as an application would have done.

    Returns:
        Twice as many rows as an application has them: those that are there, and
        the same texts under ids of their own, to be inserted.
    """
    made = corpus.documents(_COLLECTION, points)
    store = open_store(StoreSettings(type="milvus", url=databases.source.url))
    with contextlib.closing(store):
        spec = VectorSpec(
            _VECTOR,
            dim=corpus.DIM,
            metric="cosine",
            index={"type": "hnsw", "m": 16, "ef_construct": 100},
        )
        store.create(Collection(_COLLECTION, (spec,), id_types=frozenset({"int"})))
        ref = Ref(_COLLECTION, _COLLECTION)
        for start in range(0, points, _BATCH):
            store.write(ref, [_write(point) for point in made[start : start + _BATCH]])
        out.print(
            f"{store.count(_COLLECTION):,} passages of Python's own documentation, embedded with wordllama "
            f"({corpus.DIM} dimensions), are in Milvus"
        )
    return [_row(point, at) for at, point in enumerate([*made, *made])]


def _row(point: Point, at: int) -> dict[str, Any]:
    vector = np.frombuffer(point.image.vectors[""].data, "<f4")  # type: ignore[union-attr]
    return {"id": at, _VECTOR: vector, **decode_payload(point.image.payload)}


def _write(point: Point) -> Write:
    return Write(point.key, Image({_VECTOR: point.image.vectors[""]}, point.image.payload))


class _Story:
    """What happens while ``up`` runs: an application writes, and an applier dies.

    It is over when both happened, the application has ended, and the lag says
    that everything it wrote is in the target.
    """

    def __init__(
        self, migration: Migration, databases: Databases, rows: list[dict[str, Any]], points: int
    ) -> None:
        self._migration = migration
        self._half = points // 2
        self._writes_min = max(50, points // 20)
        self._pid = 0
        self._lag_at = 0.0
        self._application: Application | None = None
        self._begin = (databases.source.url, _COLLECTION, rows)

    def __call__(self, now: Reached, supervisor: Supervisor) -> bool:
        """Go on with the story; return whether it is over."""
        if self._application is None:
            servers = self._migration.connection.bootstrap_servers
            feed = Feed(self._migration.settings.name, servers, request_max_s=5.0, intent_max_s=2.0)
            self._application = Application(*self._begin, feed)
            self._application.start()
        self._kill_one(now, supervisor)
        self._tell_lag(now)
        written = sum(self._application.counts.values())
        if self._application.ended_at is None:
            if (
                self._pid and now.is_applied and written >= self._writes_min
            ) or not self._application.is_running:
                self._application.stop()
            return False
        total_s = now.live.total_s
        # the oldest BEAT that is not applied was written after the last write ended
        return (
            total_s is not None
            and total_s + _MARGIN_S < time.monotonic() - self._application.ended_at
        )

    def _kill_one(self, now: Reached, supervisor: Supervisor) -> None:
        pids = supervisor.pids("apply")
        if self._pid or now.applied < self._half or len(pids) < 2:
            return
        self._pid = pids[0]
        os.kill(self._pid, signal.SIGKILL)
        out.print(
            f"[yellow]applier {self._pid} was killed (SIGKILL) after {now.applied:,} points[/]"
        )

    def _tell_lag(self, now: Reached) -> None:
        if now.live.total_s is not None and time.monotonic() - self._lag_at > _LAG_EVERY_S:
            self._lag_at = time.monotonic()
            out.print(
                f"lag: {now.live.total_s:.1f} s from a write to the target, {now.live.capture_s or 0:.1f} s of it to the log"
            )

    def told(self) -> str:
        """Say what happened, for the summary."""
        counts = {} if self._application is None else self._application.counts
        wrote = ", ".join(f"{number:,} {what}" for what, number in counts.items())
        return f"the application {wrote} points meanwhile; applier {self._pid} died, and another one took over"


def _compare(migration: Migration) -> bool:
    _title("3. Every point compared")
    reports = checking.check_all(migration, quiet=False)
    for report in reports:
        checking.show_report(report)
    return all(report.is_equal for report in reports)


def _search(migration: Migration) -> None:
    _title(f"4. The same question on both sides: “{_QUESTION}”")
    query = Dense("float32", corpus.DIM, corpus.embed([_QUESTION])[0].tobytes())
    with migration.stores() as both:
        mapping: Mapping = both.plans[0].mapping
        names = dict(mapping.vectors)
        ours = _titles(both.source, mapping.source, _VECTOR, query)
        theirs = _titles(both.target, mapping.target, names[_VECTOR], query)
    table = Table("Milvus", "Qdrant", box=None, pad_edge=False)
    for left, right in zip(ours, theirs, strict=True):
        table.add_row(escape(left), escape(right))
    out.print(table)


def _titles(store: Store, ref: Ref, vector: str, query: Dense) -> list[str]:
    hits = store.search(ref, vector, [query], _K)[0]
    points = store.read(ref, [hit.key for hit in hits])
    payloads = [decode_payload(point.image.payload) for point in points if point is not None]
    return [
        f"{hit.score:.4f}  {payload['module']}.{payload['name']}"
        for hit, payload in zip(hits, payloads, strict=True)
    ]
