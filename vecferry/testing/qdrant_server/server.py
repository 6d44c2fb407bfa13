"""What both protocols share: the catalog, the API key, the faults."""

import hmac
import threading
from dataclasses import dataclass, field
from pathlib import Path

from vecferry.testing.qdrant_server.catalog import Catalog
from vecferry.testing.qdrant_server.faults import Faults
from vecferry.testing.qdrant_server.refusals import UnauthorizedError

FLUSH_INTERVAL_S = 5.0
"""Qdrant's own default."""


@dataclass
class Server:
    """The state behind both protocols.

    Attributes:
        path: Where the data is.
        api_key: What a client must present, None for nothing.
        version: What the server says it is.
    """

    path: Path
    api_key: str | None = None
    version: str = "1.19.0"
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        """Open the collections, and flush them now and then."""
        self.catalog = Catalog(self.path)
        self._stopping = threading.Event()
        threading.Thread(target=self._flush_on_and_on, daemon=True).start()

    def require_key(self, key: str | None, bearer: str | None) -> None:
        """Refuse a client without the API key, in ``api-key`` or as a bearer token.

        Raises:
            UnauthorizedError: It is missing or wrong.
        """
        if self.api_key is None:
            return
        given = key or (bearer or "").removeprefix("Bearer ")
        if not given:
            raise UnauthorizedError("Must provide an API key or an Authorization bearer token")
        if not hmac.compare_digest(given.encode(), self.api_key.encode()):
            raise UnauthorizedError("Invalid API key or JWT")

    def close(self) -> None:
        """Close every collection."""
        self._stopping.set()
        self.catalog.close()

    def _flush_on_and_on(self) -> None:
        while not self._stopping.wait(FLUSH_INTERVAL_S):
            self.catalog.flush()
