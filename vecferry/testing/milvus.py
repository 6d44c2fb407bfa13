"""Real Milvus servers as managed children: 2.3.5 standalone and Milvus Lite.

Both listen on free ports, keep their data in a directory, can be killed and
started again on it, and die with the process that started them.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 180.0
"""Generous: a loaded machine decompresses and starts the server in half a minute."""

# prctl(PR_SET_PDEATHSIG, SIGKILL) survives the exec that follows it; the check
# after it closes the gap in which the parent may already have gone
_DIE_WITH_PARENT = (
    "import ctypes, os, sys;"
    "ctypes.CDLL(None).prctl(1, 9);"
    "os.getppid() == int(sys.argv[1]) or sys.exit(1);"
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


class _Server:
    """A child process with data, ports that stay the same, and a log file.

    The system kills it when the thread that called :meth:`start` ends.
    """

    def __init__(self, data: Path | None = None) -> None:
        self._own = data is None
        self.data = Path(tempfile.mkdtemp(prefix="vecferry-milvus-")) if data is None else data
        self.data.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Return the address for a client."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server on its data and wait until it serves.

        Raises:
            RuntimeError: It died, or did not become ready; the end of its log is shown.
        """
        for attempt in range(3):
            try:
                self._start_once()
                return
            except RuntimeError:
                self.kill()
                # a port may have been taken between looking for it and binding it;
                # after the first success the ports are the server's address and stay
                if attempt == 2:
                    raise

    def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would; its data stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Kill the server and remove its data where it was made here."""
        self.kill()
        if self._own:
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start_once(self) -> None:
        raise NotImplementedError

    def _spawn(self, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        with (self.data / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
                cwd=self.data,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"the server died at its start: {self._log_end()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server is not ready: {self._log_end()}")
            time.sleep(0.1)

    def _log_end(self) -> str:
        return (self.data / "server.log").read_text(errors="replace")[-2000:]


class MilvusServer(_Server):
    """Milvus 2.3.5 standalone, from the package ``milvus``.

    The package's own launcher leaves its child behind when it is killed and
    shares etcd's two ports and the health port between servers, so the program
    is started here, from the configuration that the package makes.
    """

    def __init__(self, data: Path | None = None, **options: object) -> None:
        """Prepare a server; ``options`` are settings of the package's template."""
        super().__init__(data)
        self._options = options
        self._ports: dict[str, int] = {}

    def _start_once(self) -> None:
        self._choose_ports()
        self._write_settings()
        program = _programs() / "milvus"
        environ = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._ports["metrics"]),
            "MILVUS_RUN_DIR": str(self.data / "run"),
            "LD_LIBRARY_PATH": f"{program.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        }
        self._spawn([str(program), "run", "standalone"], environ)
        self._wait(self._healthy)

    def _choose_ports(self) -> None:
        names = ["etcd_client", "etcd_peer", "metrics", *_settings_port_names()]
        if not self._ports or not _all_free(self._ports.values()):
            kept = {"proxy_port": self.port} if self.port else {}
            self._ports = dict(zip(names, free_ports(len(names)), strict=True)) | kept
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

    def _healthy(self) -> bool:
        url = f"http://127.0.0.1:{self._ports['metrics']}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.read().strip() == b"OK")
        except OSError:
            return False


class MilvusLite(_Server):
    """Milvus Lite's server, from the package ``milvus-lite``.

    With more than one worker it loses rows when it is killed, so it has one.
    """

    def _start_once(self) -> None:
        self.port = self.port or free_ports(1)[0]
        command = [sys.executable, "-m", "milvus_lite", "server", "--max-workers", "1"]
        where = ["--data-dir", str(self.data / "db"), "--host", "127.0.0.1"]
        self._spawn([*command, *where, "--port", str(self.port)])
        self._wait(self._accepts)

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def free_ports(number: int) -> list[int]:
    """Return ports that nothing listens on, on any address, all different.

    They lie below the range from which the system gives ports to clients, so
    that no outgoing connection takes one in between.
    """
    found: list[int] = []
    choice = random.SystemRandom()
    while len(found) < number:
        port = choice.randrange(20_000, 32_000)
        if port not in found and _all_free([port]):
            found.append(port)
    return found


def _all_free(ports: Iterable[int]) -> bool:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def _settings_port_names() -> list[str]:
    from milvus import MilvusServerConfig

    return [name for name in MilvusServerConfig().configurable_items if name.endswith("_port")]


def _programs() -> Path:
    """Return the folder of the server's program, unpacked once for this machine."""
    import milvus

    home = Path(os.environ.get("VECFERRY_HOME", "~/.cache/vecferry")).expanduser()
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
