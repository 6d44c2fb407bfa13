"""Where the proxy listens, what it stands in front of, and its bounds."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores.qdrant.connect import grpc_address


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """One proxy.

    Attributes:
        source: The Qdrant behind it; of its credentials none is used.
        host: To listen on. Clients' keys come in here: with another one than
            this machine's own, set ``cert_file``.
        port, grpc_port: Of REST and of gRPC; 0 takes free ones.
        cert_file, key_file: A certificate to listen with, PEM; without them it
            listens without TLS.
        body_bytes_max: The largest write; Qdrant's own default for REST.
        writes_max: Writes between their announcement and their answer; each may
            hold a body. More of them wait, and are refused after ``wait_max_s``.
        connections_max: REST connections, and gRPC requests.
        reply_bytes_max: The largest gRPC reply, which cannot be streamed.
        wait_max_s: How long a write waits for its turn.
        body_max_s: How long a client may take to send a write.
    """

    source: StoreSettings
    host: str = "127.0.0.1"
    port: int = 6333
    grpc_port: int = 6334
    cert_file: Path | None = None
    key_file: Path | None = None
    body_bytes_max: int = 32 * 1024 * 1024
    writes_max: int = 64
    connections_max: int = 1_000
    reply_bytes_max: int = 256 * 1024 * 1024
    wait_max_s: float = 5.0
    body_max_s: float = 30.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.source.url)
        if self.source.type != "qdrant":
            raise ConfigError(
                f"the source is of type {self.source.type!r}: the proxy stands in front of a qdrant"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"source.url = {self.source.url!r} should be like http://127.0.0.1:6333"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ConfigError("cert_file and key_file go together")
        if min(self.body_bytes_max, self.writes_max, self.connections_max) < 1:
            raise ConfigError("body_bytes_max, writes_max and connections_max are at least 1")
        grpc_address(self.source)

    @property
    def rest_url(self) -> str:
        """The address of the REST API behind it, without a slash at its end."""
        parts = urlsplit(self.source.url)
        scheme = "https" if self.source.tls else parts.scheme
        return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"
