"""Qdrant for tests: its engine behind a server of our own, as a managed child.

See :mod:`vecferry.testing.qdrant_server` for what that server is and is not.
"""

import importlib.util
import json
import shutil
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vecferry.log.child import Child, Service, free_port, wait_ready

_START_TIMEOUT_S = 60.0
_KEY_VARIABLE = "VECFERRY_TEST_QDRANT_API_KEY"


def missing() -> str | None:
    """Say what this machine lacks to run the server, None for nothing."""
    for module, package in (
        ("qdrant_edge", "qdrant-edge-py"),
        ("qdrant_client", "qdrant-client"),
        ("starlette", "starlette"),
        ("uvicorn", "uvicorn"),
    ):
        if importlib.util.find_spec(module) is None:
            return f"{package} is not installed"
    return None


def _free_ports() -> tuple[int, int]:
    """Return two ports side by side, as 6333 and 6334 are: clients derive one of the other."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port, port + 1


class QdrantServer:
    """One server that keeps its data and its ports from :meth:`start` to the next one.

    Guarantees:
        A write that was answered survives :meth:`kill`. The server never outlives
        ``owner``, nor the process that made it.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        api_key: str | None = None,
        version: str = "1.19.0",
        owner: int | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            path: Where the data is, and stays; else in a folder that goes with the server.
            api_key: That clients must present.
            version: That it claims to be.
            owner: The process id that it must not outlive; this one, if None.
        """
        self._own = path is None
        self.path = Path(tempfile.mkdtemp(prefix="vecferry-qdrant-")) if path is None else path
        self.path.mkdir(parents=True, exist_ok=True)
        self.api_key = api_key
        self._version = version
        self._owner = owner
        self._child: Child | None = None
        self._ports = (0, 0)

    @property
    def port(self) -> int:
        """The port of the REST API."""
        return self._ports[0]

    @property
    def grpc_port(self) -> int:
        """The port of the gRPC API."""
        return self._ports[1]

    @property
    def url(self) -> str:
        """The address of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_url(self) -> str:
        """The address of the gRPC API, for a channel."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._child is not None
        return self._child.pid

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops the server."""
        assert self._child is not None
        return self._child.watcher

    def start(self) -> Self:
        """Start it, on the same data and ports when it ran before.

        Raises:
            RuntimeError: It ended, or did not become ready; the end of its log is shown.
        """
        first = self._ports == (0, 0)
        for _ in range(3 if first else 1):
            if first:
                self._ports = _free_ports()
            self._child = Child(self._service(), owner=self._owner)
            if wait_ready(self._child, self._ready, _START_TIMEOUT_S):
                return self
            self._child.kill()
        self._ports = (0, 0) if first else self._ports
        raise RuntimeError(f"Qdrant's engine did not come up; the end of its log:\n{self._tail()}")

    def stop(self) -> None:
        """Stop it in order and keep its data. A second time does nothing."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill it as a crash would, and keep its data."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Stop it and remove its data, unless the path was given."""
        self.stop()
        if self._own:
            shutil.rmtree(self.path, ignore_errors=True)

    def faults(self, **plan: object) -> None:
        """Let requests fail or wait from now on; without arguments, no more.

        Args:
            plan: ``fail_share``, ``kind`` ("unavailable", "internal", "timeout" or
                "429"), ``latency_ms``, ``retry_after_s``, ``scope`` ("writes",
                "reads" or "all"), ``applied`` (carried out, then answered with
                the error), ``fails_max``.
        """
        self._call("POST", "/_faults", plan)

    def faults_seen(self) -> tuple[int, int]:
        """Return how many requests came into the plan's scope, and how many of them failed."""
        counts = self._call("GET", "/_faults")
        return counts["seen"], counts["failed"]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _service(self) -> Service:
        command = [
            *(sys.executable, "-m", "vecferry.testing.qdrant_server"),
            *("--path", str(self.path), "--version", self._version),
            *("--port", str(self.port), "--grpc-port", str(self.grpc_port)),
        ]
        if self.api_key is not None:
            command += ["--api-key-env", _KEY_VARIABLE]
        return Service(
            command,
            env={} if self.api_key is None else {_KEY_VARIABLE: self.api_key},
            log=self.path / "server.log",
            scratch=self.path if self._own else None,
        )

    def _ready(self) -> bool:
        try:
            self._call("GET", "/collections")
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={} if self.api_key is None else {"api-key": self.api_key},
        )
        with urllib.request.urlopen(request, timeout=30.0) as reply:
            return json.load(reply)["result"]

    def _tail(self) -> str:
        log = self.path / "server.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""
