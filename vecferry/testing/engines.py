"""The engines that a test run shares: each is started once, at its first use.

An address in the environment comes first (``VECFERRY_TEST_KAFKA``, ...). Else
the engine is started on free ports of 127.0.0.1 by whichever process of the run
asks first, and every other process (an xdist worker, a child) gets the same
one. It belongs to the run's first process: it stops when the run ends, also
when that process is killed.

An engine is a function here that calls :func:`shared`.
"""

import atexit
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import pytest

from vecferry.log.child import ended, stop_watcher
from vecferry.log.embedded import EmbeddedBroker
from vecferry.testing import kafka as _kafka
from vecferry.testing import milvus as _milvus
from vecferry.testing import pgvector as _pgvector
from vecferry.testing import pinecone as _pinecone
from vecferry.testing import qdrant as _qdrant
from vecferry.testing import weaviate as _weaviate

_FOLDER = "VECFERRY_TEST_RUN"
_OWNER = "VECFERRY_TEST_OWNER"


class Running(NamedTuple):
    """An engine that was started.

    Attributes:
        address: What its users need, as text by name.
        watcher: The process id whose SIGTERM stops it.
    """

    address: Mapping[str, str]
    watcher: int


def kafka() -> str:
    """Return the bootstrap servers of a real Kafka of one node."""

    def start(owner: int, folder: Path) -> Running:
        server = _kafka.KafkaServer(owner=owner, folder=folder).start()
        return Running({"bootstrap_servers": server.bootstrap_servers}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_KAFKA")
    return given or shared("kafka", start, _kafka.missing)["bootstrap_servers"]


def milvus() -> str:
    """Return the URL of a real Milvus 2.3.5."""

    def start(owner: int, folder: Path) -> Running:
        server = _milvus.MilvusServer(folder, owner=owner).start()
        return Running({"url": server.url}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_MILVUS")
    return given or shared("milvus", start, _milvus.missing)["url"]


def milvus_lite() -> str:
    """Return the URL of a Milvus Lite server."""

    def start(owner: int, folder: Path) -> Running:
        server = _milvus.MilvusLite(folder, owner=owner).start()
        return Running({"url": server.url}, server.watcher)

    return shared("milvus-lite", start, _milvus.missing_lite)["url"]


def pgvector() -> str:
    """Return the URL of a PostgreSQL with pgvector; its user is ``postgres``, without a password."""

    def start(owner: int, folder: Path) -> Running:
        server = _pgvector.PostgresServer(folder, owner=owner).start()
        return Running({"url": server.url}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_PGVECTOR")
    return given or shared("pgvector", start, _pgvector.missing)["url"]


def qdrant() -> tuple[str, str]:
    """Return the addresses of a Qdrant: REST's URL, and gRPC's for a channel.

    Where ``VECFERRY_TEST_QDRANT`` names one, its gRPC port is the next one, as
    6334 is to 6333, unless ``VECFERRY_TEST_QDRANT_GRPC`` says otherwise.
    """

    def start(owner: int, folder: Path) -> Running:
        server = _qdrant.QdrantServer(folder / "qdrant", owner=owner).start()
        return Running({"url": server.url, "grpc_url": server.grpc_url}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_QDRANT")
    if given:
        address = urlsplit(given)
        grpc_url = f"{address.hostname}:{(address.port or 6333) + 1}"
        return given, os.environ.get("VECFERRY_TEST_QDRANT_GRPC", grpc_url)
    found = shared("qdrant", start, _qdrant.missing)
    return found["url"], found["grpc_url"]


def pinecone() -> str:
    """Return the address of a Pinecone's control plane: the scripted one's, without a key."""

    def start(owner: int, folder: Path) -> Running:
        server = _pinecone.PineconeServer(owner=owner).start()
        return Running({"url": server.url}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_PINECONE")
    return given or shared("pinecone", start, _pinecone.missing)["url"]


def weaviate() -> tuple[str, str]:
    """Return the addresses of a Weaviate: REST's URL, and gRPC's for a channel.

    Where ``VECFERRY_TEST_WEAVIATE`` names one, its gRPC port is 50051 unless
    ``VECFERRY_TEST_WEAVIATE_GRPC`` says otherwise.
    """

    def start(owner: int, folder: Path) -> Running:
        server = _weaviate.WeaviateServer(folder, owner=owner).start()
        return Running({"url": server.url, "grpc_url": server.grpc_url}, server.watcher)

    given = os.environ.get("VECFERRY_TEST_WEAVIATE")
    if given:
        grpc_url = f"{urlsplit(given).hostname}:50051"
        return given, os.environ.get("VECFERRY_TEST_WEAVIATE_GRPC", grpc_url)
    found = shared("weaviate", start, _weaviate.missing)
    return found["url"], found["grpc_url"]


def embedded() -> str:
    """Return the bootstrap servers of an embedded broker."""

    def start(owner: int, folder: Path) -> Running:
        broker = EmbeddedBroker(owner=owner).start()
        return Running({"bootstrap_servers": broker.bootstrap_servers}, broker.watcher)

    return shared("embedded", start, lambda: None)["bootstrap_servers"]


def shared(
    name: str, start: Callable[[int, Path], Running], missing: Callable[[], str | None]
) -> Mapping[str, str]:
    """Return the address of the run's engine ``name``, starting it at its first use.

    Skips the test where the engine cannot run on this machine. One that can and
    does not start skips too, with its reason, but fails where ``CI=true``.

    Args:
        name: Of the engine.
        start: Starts it; gets the process id that it must not outlive and the
            run's folder, where its files may go.
        missing: Says what it lacks on this machine, None for nothing.
    """
    reason = missing()
    if reason is not None:
        pytest.skip(f"{name} cannot run here: {reason}")
    folder = begin_run()
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = folder / f"{name}.json"
        if not state.exists():
            _write(state, _started(start, folder))
        found: dict[str, str] = json.loads(state.read_text())
    if "failed" in found:
        _did_not_start(name, found["failed"])
    return found


def begin_run() -> Path:
    """Return the folder of this run; its first caller owns the engines of the whole run."""
    if os.environ.get(_FOLDER):
        return Path(os.environ[_FOLDER])
    _sweep()
    folder = tempfile.mkdtemp(prefix=f"vecferry-run-{os.getpid()}-")
    os.environ[_FOLDER], os.environ[_OWNER] = folder, str(os.getpid())
    atexit.register(end_run)
    return Path(folder)


def end_run() -> None:
    """Stop every engine of the run and remove its folder; only its owner does."""
    if os.environ.get(_OWNER) != str(os.getpid()):
        return
    folder = Path(os.environ.pop(_FOLDER))
    del os.environ[_OWNER]
    for state in folder.glob("*.json"):
        watcher = json.loads(state.read_text()).get("watcher")
        if watcher is not None:
            stop_watcher(int(watcher))
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove the folders of runs that were killed; their engines have stopped by themselves."""
    for folder in Path(tempfile.gettempdir()).glob("vecferry-run-*-*"):
        owner = folder.name.split("-")[2]
        if owner.isdigit() and not ended(int(owner)):
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _started(start: Callable[[int, Path], Running], folder: Path) -> dict[str, str]:
    try:
        running = start(int(os.environ[_OWNER]), folder)
    except Exception as error:  # told to every worker that waits for it
        return {"failed": f"{type(error).__name__}: {error}"}
    return {**running.address, "watcher": str(running.watcher)}


def _write(state: Path, found: Mapping[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        part = state.with_suffix(".part")
        stack.callback(part.unlink, missing_ok=True)
        part.write_text(json.dumps(found))
        part.rename(state)


def _did_not_start(name: str, reason: str) -> NoReturn:
    text = f"{name} can run here and did not start: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)
