"""``demo``: the main job on this machine, on embedded parts, with an applier killed on purpose."""

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from vecferry.cli import checking
from vecferry.cli.migration import Migration
from vecferry.cli.output import out
from vecferry.cli.progress import Reached
from vecferry.cli.supervisor import Supervisor
from vecferry.cli.upping import Run, run_all
from vecferry.mapping.names import Mapping
from vecferry.model import Collection, Dense, Image, Point, VectorSpec
from vecferry.payload import decode_payload
from vecferry.ports import Ref, Store, Write
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

_FILE = """\
name = "demo"

[source]
type = "milvus"
url = "{source}"

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
        _fill(databases, points)
        path = Path(folder) / "vecferry.toml"
        path.write_text(_text(databases))
        os.environ["VECFERRY_HOME"] = folder
        migration = Migration(path)
        _title("2. Milvus → Kafka topics, as Avro → Qdrant")
        out.print("one snapshot worker, two appliers; one of them is killed half-way, on purpose")
        accident = _Accident(points)
        now = run_all(migration, Run(once=True, step=accident))
        out.print(
            f"the log holds {now.rows:,} rows of {now.certified} chunks; {accident.told()}; dead letters: {now.dead}"
        )
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


def _fill(databases: Databases, points: int) -> None:
    """Put the corpus into Milvus, as an application would have done."""
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


def _write(point: Point) -> Write:
    return Write(point.key, Image({_VECTOR: point.image.vectors[""]}, point.image.payload))


class _Accident:
    """Kills one applier once half of the points were written."""

    def __init__(self, points: int) -> None:
        self._half = points // 2
        self._pid = 0

    def __call__(self, now: Reached, supervisor: Supervisor) -> None:
        pids = supervisor.pids("apply")
        if self._pid or now.applied < self._half or len(pids) < 2:
            return
        self._pid = pids[0]
        os.kill(self._pid, signal.SIGKILL)
        out.print(
            f"[yellow]applier {self._pid} was killed (SIGKILL) after {now.applied:,} points[/]"
        )

    def told(self) -> str:
        """Say what happened, for the summary."""
        if not self._pid:
            return "it was over before an applier could be killed"
        return f"applier {self._pid} died on the way, and another one took over its partitions"


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
