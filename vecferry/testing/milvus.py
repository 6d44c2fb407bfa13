"""Real Milvus servers as managed children: 2.3.5 standalone and Milvus Lite.

Both listen on free ports, keep their data in a folder, can be killed and
started again on it, and end with their owner.
"""

import importlib.util
import os
import platform
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from vecferry.log.child import Child, Service, free_port, listens, wait_ready

_START_S = 180.0
"""A loaded machine unpacks and starts the server in half a minute."""

_IN_FOLDER = ("/bin/sh", "-c", 'cd "$0" && exec "$@"')


class _Server:
    """A child with its data, ports that stay the same, and a log file.

    Args:
        folder: Where its own folder is made; the system's place when None.
        owner: The process id that it must not outlive; this one when None.
    """

    def __init__(self, folder: Path | None = None, *, owner: int | None = None) -> None:
        self._owner = owner
        self._child: Child | None = None
        self.data = Path(tempfile.mkdtemp(prefix="vecferry-milvus-", dir=folder))
        self.port = 0

    @property
    def url(self) -> str:
        """The address for a client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops the server."""
        assert self._child is not None
        return self._child.watcher

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> Self:
        """Start it, on the same data and address when it ran before, and wait until it serves.

        Raises:
            RuntimeError: It did not become ready; the end of its log is shown.
        """
        # a port can be taken between looking for it and binding it: then look again
        for _ in range(3):
            command, env = self._prepare()
            service = Service(
                [*_IN_FOLDER, str(self.data), *command],
                env=env,
                stop=signal.SIGKILL,  # in order takes many seconds, for data that nobody wants
                log=self.data / "server.log",
                scratch=self.data,
            )
            self._child = Child(service, owner=self._owner)
            if wait_ready(self._child, self._ready, _START_S):
                return self
            self._child.kill()
        log = (self.data / "server.log").read_text(errors="replace")
        raise RuntimeError(f"Milvus did not come up; the end of its log:\n{log[-2000:]}")

    def kill(self) -> None:
        """Kill it as a crash would, and keep its data."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> tuple[Sequence[str], Mapping[str, str]]:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError


class MilvusServer(_Server):
    """Milvus 2.3.5 standalone, from the package ``milvus``.

    The package's own launcher leaves its child behind when it is killed and
    shares etcd's two ports and the health port between servers, so the program
    is started here, from the configuration that the package makes.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        owner: int | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Prepare a server; ``options`` are settings of the package's template."""
        super().__init__(folder, owner=owner)
        self._options = options or {}
        self._ports: dict[str, int] = {}

    def _prepare(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self._choose_ports()
        self._write_settings()
        program = _programs() / "milvus"
        env = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._ports["metrics"]),
            "MILVUS_RUN_DIR": str(self.data / "run"),
            "LD_LIBRARY_PATH": f"{program.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        }
        return [str(program), "run", "standalone"], env

    def _choose_ports(self) -> None:
        names = ["etcd_client", "etcd_peer", "metrics", *_settings_port_names()]
        if not self._ports or any(listens(port) for port in self._ports.values()):
            kept = {"proxy_port": self.port} if self.port else {}
            self._ports = dict(zip(names, _free_ports(len(names)), strict=True)) | kept
        self.port = self._ports["proxy_port"]

    def _write_settings(self) -> None:
        from milvus import MilvusServerConfig

        settings = MilvusServerConfig()
        ports = {name: port for name, port in self._ports.items() if name.endswith("_port")}
        settings.update(data_dir=str(self.data), **ports)
        for name, value in self._options.items():
            settings.set(name, value)
        settings.resolve()
        etcd = self.data / "configs" / "etcd.yaml"
        client, peer = (f"http://127.0.0.1:{self._ports[n]}" for n in ("etcd_client", "etcd_peer"))
        etcd.write_text(
            f"name: default\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: default={peer}\n"
        )
        # the template has no place for etcd's own file, which alone moves its ports
        file = self.data / "configs" / "milvus.yaml"
        file.write_text(
            file.read_text().replace("\netcd:\n", f"\netcd:\n  config:\n    path: {etcd}\n", 1)
        )

    def _ready(self) -> bool:
        url = f"http://127.0.0.1:{self._ports['metrics']}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.read().strip() == b"OK")
        except (OSError, HTTPException):
            return False


class MilvusLite(_Server):
    """Milvus Lite's server, from the package ``milvus-lite``.

    With more than one worker it loses rows when it is killed, so it has one.
    """

    def _prepare(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self.port = self.port or free_port()
        command = [sys.executable, "-m", "milvus_lite", "server", "--max-workers", "1"]
        where = ["--data-dir", str(self.data / "db"), "--host", "127.0.0.1"]
        return [*command, *where, "--port", str(self.port)], {}

    def _ready(self) -> bool:
        return listens(self.port)


def missing() -> str | None:
    """Say what Milvus 2.3.5 lacks on this machine, None for nothing."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the package milvus has no program for this machine"
    return None if importlib.util.find_spec("milvus") else "the package milvus is not installed"


def missing_lite() -> str | None:
    """Say what Milvus Lite lacks on this machine, None for nothing."""
    found = importlib.util.find_spec("milvus_lite")
    return None if found else "the package milvus-lite is not installed"


def _free_ports(number: int) -> list[int]:
    found: set[int] = set()
    while len(found) < number:
        found.add(free_port())
    return list(found)


def _settings_port_names() -> list[str]:
    from milvus import MilvusServerConfig

    return [name for name in MilvusServerConfig().configurable_items if name.endswith("_port")]


def _programs() -> Path:
    """Return the folder of the server's program, unpacked once for this machine."""
    import milvus  # its import opens files, so only where it is used

    home = Path(os.environ.get("VECFERRY_CACHE", "~/.cache/vecferry")).expanduser()
    place = home / f"milvus-{milvus.__version__}"
    if not (place / "bin" / "milvus").exists():
        home.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(prefix="milvus-", dir=home))
        milvus._initialize_data_files(str(unpacked))
        try:
            unpacked.rename(place)
        except OSError:  # another process was first
            shutil.rmtree(unpacked)
    return place / "bin"
