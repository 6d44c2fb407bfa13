"""Pinecone for tests: a small service of our own that speaks its REST, as a managed child.

``needledb`` from PyPI speaks it, too, but drops sparse vectors, tags and log
sequence numbers, rounds vectors under cosine and shows each write at once; this
one has those, the service's limits and its eventual consistency, and a script
for what goes wrong. It is no
database: everything is in memory and gone with the process. Where it differs
from the real service, the real one is right.
"""

import importlib.util
import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vecferry.log.child import Child, Service, free_port, wait_ready

_START_TIMEOUT_S = 60.0
_KEY_VARIABLE = "VECFERRY_TEST_PINECONE_API_KEY"


def missing() -> str | None:
    """Say what this machine lacks to run the service, None for nothing."""
    for module in ("starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    return None


class PineconeServer:
    """One service, from :meth:`start` to :meth:`close`.

    Guarantees:
        It never outlives ``owner``, nor the process that made it.
    """

    def __init__(self, *, api_key: str | None = None, owner: int | None = None) -> None:
        """Prepare it.

        Args:
            api_key: That clients must present.
            owner: The process id that it must not outlive; this one, if None.
        """
        self._api_key = api_key
        self._owner = owner
        self._child: Child | None = None
        self._port = 0
        self._folder = Path()

    @property
    def url(self) -> str:
        """The address of the control plane."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops it."""
        assert self._child is not None
        return self._child.watcher

    def start(self) -> Self:
        """Start it.

        Raises:
            RuntimeError: It did not become ready; the end of its log is shown.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="vecferry-pinecone-"))
        log = self._folder / "server.log"
        for _ in range(3):
            self._port = free_port()
            self._child = Child(self._service(log), owner=self._owner)
            if wait_ready(self._child, self._ready, _START_TIMEOUT_S):
                return self
            self._child.kill()
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise RuntimeError(f"the service did not come up; the end of its log:\n{tail}")

    def close(self) -> None:
        """Stop it. A second time does nothing."""
        if self._child is not None:
            self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True) if self._folder.name else None

    def script(self, **plan: object) -> None:
        """Let things go wrong from now on, see :class:`.script.Plan`; without arguments, nothing."""
        self._call("/_script", plan)

    def counts(self) -> Mapping[str, int]:
        """Return the requests to points since the last script: all, by kind, and the throttled."""
        found: Mapping[str, int] = self._call("/_script")
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _service(self, log: Path) -> Service:
        command = [sys.executable, "-m", "vecferry.testing.pinecone", "--port", str(self._port)]
        if self._api_key is not None:
            command += ["--api-key-env", _KEY_VARIABLE]
        return Service(
            command,
            env={} if self._api_key is None else {_KEY_VARIABLE: self._api_key},
            log=log,
            scratch=self._folder,
        )

    def _ready(self) -> bool:
        try:
            self.counts()
        except OSError:
            return False
        return True

    def _call(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)
        with urllib.request.urlopen(request, timeout=30.0) as reply:
            return json.load(reply)
