"""A real Apache Kafka: one KRaft node on free ports of 127.0.0.1.

The jars come from Maven once, into the cache (``VECFERRY_CACHE``, else
``~/.cache/vecferry``). Java 17 is needed, and Maven where the jars are not there yet.
"""

import base64
import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient

from vecferry.log.child import Child, Service, free_port, listens, wait_ready
from vecferry.testing.certificates import Authority

VERSION = "4.1.1"
USER = "vecferry"
_POM = Path(__file__).parents[2] / "tools" / "kafka" / "pom.xml"


class KafkaUnavailableError(Exception):
    """Kafka cannot be run on this machine; the message says what is missing."""


class KafkaServer:
    """One Kafka node that keeps its data and its port from :meth:`start` to the next one.

    Attributes:
        bootstrap_servers: For the clients: plain text, or SASL_SSL where asked for.
        kafka: The librdkafka properties that a client needs beside it.
    """

    def __init__(
        self, *, sasl_ssl: bool = False, owner: int | None = None, folder: Path | None = None
    ) -> None:
        """Prepare a node; ``owner`` is the process id that it must not outlive."""
        self._owner = owner
        self._sasl_ssl = sasl_ssl
        self._folder = Path(tempfile.mkdtemp(prefix="vecferry-kafka-", dir=folder))
        self._child: Child | None = None
        self._ports: tuple[int, int, int] = (0, 0, 0)
        self.password = secrets.token_urlsafe(12)
        self.kafka: dict[str, str | int | float | bool] = {}
        self._authority = Authority(self._folder) if sasl_ssl else None

    @property
    def bootstrap_servers(self) -> str:
        """The address for the clients."""
        return f"127.0.0.1:{self._ports[1] if self._sasl_ssl else self._ports[0]}"

    @property
    def watcher(self) -> int:
        """The process id whose SIGTERM stops the node."""
        assert self._child is not None
        return self._child.watcher

    @property
    def pid(self) -> int:
        """The node's process id."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> Self:
        """Start it, on the same data and ports when it ran before.

        Raises:
            KafkaUnavailableError: Java or the jars are not there.
            RuntimeError: It was started and did not come up.
        """
        lib = jars()
        first = not (self._folder / "data").exists()
        for _ in range(3 if first else 1):
            if first:
                self._format(lib)
            service = Service(
                [*_java(lib), "kafka.Kafka", str(self._folder / "server.properties")],
                log=self._folder / "kafka.log",
                scratch=self._folder,
            )
            self._child = Child(service, owner=self._owner)
            if wait_ready(self._child, self._ready, 240.0):
                return self
            self._child.kill()
            shutil.rmtree(self._folder / "data", ignore_errors=first)
        raise RuntimeError(f"Kafka did not come up; the end of its log:\n{self._tail()}")

    def stop(self) -> None:
        """Stop it and keep its data. A second time does nothing."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """Kill it as a crash would, and keep its data."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ready(self) -> bool:
        if not listens(self._ports[0]):
            return False
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{self._ports[0]}", "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=5).brokers)
        except Exception:  # whatever it is, the node is not ready yet
            return False

    def _format(self, lib: Path) -> None:
        self._ports = (free_port(), free_port(), free_port())
        if self._authority is not None:
            self.kafka = {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": USER,
                "sasl.password": self.password,
                "ssl.ca.location": str(self._authority.ca_file),
            }
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{k}={v}\n" for k, v in self._properties().items()))
        properties.chmod(0o600)
        # zeros first: an id that began with a hyphen would be read as an option
        cluster = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
        subprocess.run(
            [
                *_java(lib, "-Xmx128m", "-XX:TieredStopAtLevel=1"),
                *("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
            ],
            check=True,
            capture_output=True,
        )

    def _properties(self) -> dict[str, object]:
        plain, secure, controller = self._ports
        listeners = {"PLAINTEXT": plain, "CONTROLLER": controller}
        if self._authority is not None:
            listeners["SASL_SSL"] = secure
        spelled = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        found: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(spelled.values()),
            "advertised.listeners": ",".join(
                address for name, address in spelled.items() if name != "CONTROLLER"
            ),
            "listener.security.protocol.map": ",".join(
                f"{name}:{name}" for name in listeners
            ).replace("CONTROLLER:CONTROLLER", "CONTROLLER:PLAINTEXT"),
            "log.dirs": self._folder / "data",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1_000,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "log.cleaner.dedupe.buffer.size": 16_777_216,
        }
        if self._authority is not None:
            found |= self._security(self._authority)
        return found

    def _security(self, authority: Authority) -> dict[str, object]:
        listener = "listener.name.sasl_ssl."
        login = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            listener + "sasl.enabled.mechanisms": "PLAIN",
            listener + "plain.sasl.jaas.config": f'{login} required user_{USER}="{self.password}";',
            listener + "ssl.keystore.type": "PEM",
            listener + "ssl.keystore.location": authority.keystore,
        }

    def _tail(self) -> str:
        log = self._folder / "kafka.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""


def cache() -> Path:
    """The folder for what is fetched once: ``VECFERRY_CACHE``, else ``~/.cache/vecferry``."""
    return Path(os.environ.get("VECFERRY_CACHE", "~/.cache/vecferry")).expanduser()


def missing() -> str | None:
    """Say what keeps Kafka from running here; None when nothing does."""
    if shutil.which("java") is None:
        return "java is not installed"
    if not _complete(cache() / "kafka" / VERSION) and shutil.which("mvn") is None:
        return f"Kafka's jars are not in {cache()} and mvn is not installed"
    return None


def jars() -> Path:
    """Return the folder of Kafka's jars, fetching them once.

    Raises:
        KafkaUnavailableError: They are not there and cannot be fetched.
    """
    reason = missing()
    if reason is not None:
        raise KafkaUnavailableError(reason)
    home = cache() / "kafka" / VERSION
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(home):
            command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
            got = subprocess.run(
                [*command, f"-DoutputDirectory={home / 'lib'}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if got.returncode:
                raise KafkaUnavailableError(f"mvn could not fetch Kafka: {got.stdout[-500:]}")
    return home / "lib"


def _complete(home: Path) -> bool:
    return (home / "lib" / f"kafka-server-{VERSION}.jar").exists()


def _java(lib: Path, *options: str) -> list[str]:
    return ["java", *(options or ("-Xmx512m", "-XX:+UseSerialGC")), "-cp", f"{lib}/*"]
