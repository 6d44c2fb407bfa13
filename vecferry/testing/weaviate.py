"""A real Weaviate of one node as a managed child, from the program that ``tools/weaviate_server.py`` builds.

It listens on free ports of 127.0.0.1, keeps its data in a folder, can be killed
and started again on it, and ends with its owner.
"""

import os
import shutil
import signal
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from vecferry.log.child import Child, Service, free_port, listens, wait_ready

VERSION = "1.35.2"

_START_S = 120.0
_PORTS = (
    "GRPC_PORT",
    "CLUSTER_GOSSIP_BIND_PORT",
    "CLUSTER_DATA_BIND_PORT",
    "RAFT_PORT",
    "RAFT_INTERNAL_RPC_PORT",
)
_FIXED = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
    "DEFAULT_VECTORIZER_MODULE": "none",
    "CLUSTER_HOSTNAME": "node1",
    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
    "RAFT_BOOTSTRAP_EXPECT": "1",
    "DISABLE_TELEMETRY": "true",
    "LOG_LEVEL": "warning",
}


class WeaviateServer:
    """One server that keeps its data and its ports from :meth:`start` to the next one.

    Guarantees:
        It never outlives ``owner``, nor the process that made it.
    """

    def __init__(self, folder: Path | None = None, *, owner: int | None = None) -> None:
        """Prepare a server.

        Args:
            folder: Where its own folder is made; the system's place when None.
            owner: The process id that it must not outlive; this one, if None.
        """
        self.path = Path(tempfile.mkdtemp(prefix="vecferry-weaviate-", dir=folder))
        self._owner = owner
        self._ports: dict[str, int] = {}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The address of REST."""
        return f"http://127.0.0.1:{self._ports['rest']}"

    @property
    def grpc_url(self) -> str:
        """The address of gRPC."""
        return f"127.0.0.1:{self._ports['GRPC_PORT']}"

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops the server."""
        assert self._child is not None
        return self._child.watcher

    def start(self) -> Self:
        """Start it, on the same data and ports when it ran before, and wait until it serves.

        Raises:
            RuntimeError: It did not become ready; the end of its log is shown.
        """
        # a port can be taken between looking for it and binding it: then look again
        for _ in range(3):
            if not self._ports or any(listens(port) for port in self._ports.values()):
                self._ports = dict(
                    zip(("rest", *_PORTS), _free_ports(1 + len(_PORTS)), strict=True)
                )
            self._child = Child(self._service(), owner=self._owner)
            if wait_ready(self._child, self._ready, _START_S):
                return self
            self._child.kill()
        log = (self.path / "server.log").read_text(errors="replace")
        raise RuntimeError(f"Weaviate did not come up; the end of its log:\n{log[-2000:]}")

    def kill(self) -> None:
        """Kill it as a crash would, and keep its data."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.kill()
        shutil.rmtree(self.path, ignore_errors=True)

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
        where = ["--host", "127.0.0.1", "--port", str(self._ports["rest"]), "--scheme", "http"]
        env = {name: str(self._ports[name]) for name in _PORTS}
        return Service(
            [str(program()), *where],
            env={**_FIXED, **env, "PERSISTENCE_DATA_PATH": str(self.path / "data")},
            stop=signal.SIGKILL,  # its data are of no use to anybody
            log=self.path / "server.log",
            scratch=self.path,
        )

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v1/.well-known/ready", timeout=5) as answer:
                return bool(answer.status == 200) and listens(self._ports["GRPC_PORT"])
        except (OSError, HTTPException):
            return False


def program() -> Path:
    """Return where the server's program is once it is built."""
    home = Path(os.environ.get("VECFERRY_CACHE") or "~/.cache/vecferry").expanduser()
    return home / "weaviate" / VERSION / "weaviate-server"


def missing() -> str | None:
    """Say what this machine lacks to run the server, None for nothing."""
    if program().exists():
        return None
    return "Weaviate's program is not built: `python3 tools/weaviate_server.py` does it, with Go"


def _free_ports(number: int) -> list[int]:
    found: set[int] = set()
    while len(found) < number:
        found.add(free_port())
    return list(found)
