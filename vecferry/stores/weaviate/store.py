"""The store: its parts over one connection."""

from collections.abc import Iterator, Sequence

from vecferry.errors import ConfigError
from vecferry.model import Collection, Image, Key, Point, Vector
from vecferry.ports import Bounds, Capabilities, Failure, Fit, Hit, Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.weaviate.connect import Connection
from vecferry.stores.weaviate.errors import NotConnectedError
from vecferry.stores.weaviate.fit import fit_object
from vecferry.stores.weaviate.layout import CAPABILITIES, Layout
from vecferry.stores.weaviate.read import Reads
from vecferry.stores.weaviate.scan import Scans
from vecferry.stores.weaviate.schema import Schemas
from vecferry.stores.weaviate.search import Searches
from vecferry.stores.weaviate.write import Writes


class WeaviateStore:
    """A :class:`vecferry.ports.Store` over Weaviate's REST and gRPC; thread-safe.

    What each method promises is said at the port.
    """

    capabilities: Capabilities = CAPABILITIES

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._schemas = Schemas(self._connection)
        self._reads = Reads(self._schemas)
        self._scans = Scans(self._schemas, self._reads)
        self._writes = Writes(self._connection, self._schemas)
        self._searches = Searches(self._schemas)

    def version(self) -> str:
        """Return product and version."""
        try:
            return self._schemas.version()
        except NotConnectedError as error:
            raise ConfigError(f"{error}; check url and grpc_url") from error

    def collections(self) -> list[str]:
        """Return the names of all classes, sorted."""
        return self._schemas.collections()

    def describe(self, name: str) -> Collection:
        """Return the schema as Weaviate reports it; what only it has is in ``options``."""
        return self._schemas.describe(name)

    def create(self, collection: Collection) -> None:
        """Create an empty class, or raise."""
        self._schemas.create(collection)

    def drop(self, name: str) -> None:
        """Remove a class; one that is not there is fine."""
        self._schemas.drop(name)

    def count(self, name: str) -> int:
        """Return the exact number of objects, all tenants together."""
        return self._schemas.count(name)

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the class into ranges of ids of about ``points`` objects."""
        return self._scans.plan_chunks(name, points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in pages, by tenant and id."""
        return self._scans.scan(ref, bounds, after)

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``; Weaviate has no positions."""
        return self._reads.read(ref, keys)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return when acknowledged, with what was refused."""
        return self._writes.write(ref, writes)

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what a class like ``collection`` would not hold of the image as it is."""
        return fit_object(key, image, Layout.of(collection))

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first."""
        return self._searches.search(ref, vector, queries, k, exact=exact)

    def close(self) -> None:
        """Close the connections; a second call is fine."""
        self._connection.close()
