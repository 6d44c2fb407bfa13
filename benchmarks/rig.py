"""What the benchmarks share: a migration's log, and its two workers as processes."""

import multiprocessing
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from vecferry.consumers.apply import Applier, ApplyLog, Target
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.publish import Publisher
from vecferry.log.topics import Topics, create_topics
from vecferry.ports import Failure, Ref, Store, Write
from vecferry.producers.chunks import ChunkBoard
from vecferry.producers.event_log import EventLog
from vecferry.producers.snapshot import SnapshotWorker
from vecferry.settings import Settings, StoreSettings, parse_settings
from vecferry.stores import open_store

PARTITIONS = 6
COLLECTION = "bench"
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Sides:
    """The two databases of one run and the number of points that move."""

    source: StoreSettings
    target: StoreSettings
    points: int


@dataclass(frozen=True)
class Result:
    """One run: seconds from the first read to the last write, and both workers' peak memory in MB."""

    seconds: float
    snapshot_mb: float
    apply_mb: float


def null(points: int = 0, dim: int = 768) -> StoreSettings:
    """Return a store that costs nothing."""
    return StoreSettings(type="vecferry.testing.stores", url=f"null://x?points={points}&dim={dim}")


def run(bootstrap_servers: str, sides: Sides) -> Result:
    """Move everything through Kafka: one snapshot process, one applier process.

    The applier has its partitions before the clock starts.
    """
    settings = _settings(bootstrap_servers, sides)
    create_topics(Connection(settings.log), Topics(settings.name), settings.log)
    with _worker(_apply, settings, sides.points) as applier, _worker(_snapshot, settings) as reader:
        _receive(applier, "ready")
        _receive(reader, "ready")
        reader.send("go")
        began, snapshot_mb = _receive(reader, "done")
        ended, apply_mb = _receive(applier, "done")
    return Result(ended - began, snapshot_mb, apply_mb)


def _settings(bootstrap_servers: str, sides: Sides) -> Settings:
    return parse_settings(
        {
            "name": f"bench-{uuid.uuid4().hex[:8]}",
            "source": sides.source.model_dump(exclude_defaults=True) | {"type": sides.source.type},
            "target": sides.target.model_dump(exclude_defaults=True) | {"type": sides.target.type},
            "collections": [{"source": COLLECTION}],
            "log": {"bootstrap_servers": bootstrap_servers, "partitions": PARTITIONS},
        },
        environ={},
    )


def _receive(pipe: Pipe, what: str) -> Any:
    if not pipe.poll(600):
        raise RuntimeError(f"a worker did not say {what!r} within ten minutes")
    said, value = pipe.recv()
    if said != what:
        raise RuntimeError(f"a worker said {said!r} instead of {what!r}")
    return value


@contextmanager
def _worker(target: Any, *arguments: Any) -> Iterator[Pipe]:
    ours, theirs = _SPAWN.Pipe()
    child = _SPAWN.Process(target=target, args=(theirs, *arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        yield ours
    finally:
        child.join(30)
        child.kill()
        child.join()


def _peak_mb() -> float:
    # not getrusage: its peak begins with what the parent held when it forked
    status = Path("/proc/self/status").read_text()
    (peak_kb,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak_kb) / 1024


def _snapshot(pipe: Pipe, settings: Settings) -> None:
    connection, topics, codec = _log_of(settings)
    control = Control(connection, topics, codec)
    with closing(open_store(settings.source)) as store, closing(Publisher(connection)) as publisher:
        log = EventLog(publisher, topics, codec, PARTITIONS, control)
        board = ChunkBoard(control, "snapshot/bench", lambda _: True)
        worker = SnapshotWorker(settings.snapshot, store, log, board, Event())
        pipe.send(("ready", None))
        pipe.recv()
        began = time.monotonic()
        worker.run([COLLECTION])
    control.close()
    pipe.send(("done", (began, _peak_mb())))


class _Counting:
    """A store whose distinct written points are counted, with the time of the last one."""

    def __init__(self, store: Store, points: int) -> None:
        self.capabilities = store.capabilities
        self.done = Event()
        self.last_at = 0.0
        self._store = store
        self._left = points
        self._lock = Lock()

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        failures = self._store.write(ref, writes)
        with self._lock:
            self.last_at = time.monotonic()
            self._left -= len(writes)
            if self._left <= 0:
                self.done.set()
        return failures


def _apply(pipe: Pipe, settings: Settings, points: int) -> None:
    connection, topics, codec = _log_of(settings)
    control = Control(connection, topics, codec)
    with closing(open_store(settings.target)) as store, closing(Publisher(connection)) as publisher:
        counting = _Counting(store, points)
        targets = {COLLECTION: Target(counting, Ref(COLLECTION, COLLECTION))}
        log = ApplyLog(connection, topics, codec, control, publisher)
        applier, stop = Applier(settings, log, targets), Event()
        thread = Thread(target=applier.run, args=(stop,))
        thread.start()
        while len(applier._ownership.owned) < PARTITIONS:
            time.sleep(0.1)
        pipe.send(("ready", None))
        counting.done.wait(600)
        stop.set()
        thread.join()
    control.close()
    pipe.send(("done", (counting.last_at, _peak_mb())))


def _log_of(settings: Settings) -> tuple[Connection, Topics, SingleObjectCodec]:
    return Connection(settings.log), Topics(settings.name), SingleObjectCodec()
