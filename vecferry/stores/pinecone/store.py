"""The store: its parts over one client."""

from collections.abc import Iterator, Sequence

from vecferry.errors import ConfigError
from vecferry.model import Collection, Image, Key, Point, Vector
from vecferry.ports import Bounds, Capabilities, Failure, Fit, Hit, Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone.connect import Connection
from vecferry.stores.pinecone.errors import NotConnectedError
from vecferry.stores.pinecone.fit import fit_record
from vecferry.stores.pinecone.freshness import Freshness
from vecferry.stores.pinecone.places import CAPABILITIES
from vecferry.stores.pinecone.read import Reads
from vecferry.stores.pinecone.scan import Scans
from vecferry.stores.pinecone.schema import Layout, Schemas
from vecferry.stores.pinecone.search import Searches
from vecferry.stores.pinecone.write import Writes


class PineconeStore:
    """A :class:`vecferry.ports.Store` over Pinecone's REST; thread-safe.

    What each method promises is said at the port.
    """

    capabilities: Capabilities = CAPABILITIES

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._freshness = Freshness(self._connection)
        self._schemas = Schemas(self._connection)
        self._reads = Reads(self._connection, self._schemas, self._freshness)
        self._scans = Scans(self._connection, self._schemas, self._reads, self._freshness)
        self._writes = Writes(self._connection, self._schemas, self._freshness)
        self._searches = Searches(self._connection, self._schemas, self._freshness)

    def version(self) -> str:
        """Return product and version."""
        try:
            return self._schemas.version()
        except NotConnectedError as error:
            raise ConfigError(
                f"{error}; url is Pinecone's control plane: leave it out for https://api.pinecone.io"
            ) from error

    def collections(self) -> list[str]:
        """Return the names of all indexes, sorted."""
        return self._schemas.collections()

    def describe(self, name: str) -> Collection:
        """Return the schema as Pinecone reports it."""
        return self._schemas.describe(name)

    def create(self, collection: Collection) -> None:
        """Create an empty index, or raise; returns when it takes points."""
        self._schemas.create(collection)

    def drop(self, name: str) -> None:
        """Remove an index; one that is not there is fine."""
        self._schemas.drop(name)

    def count(self, name: str) -> int:
        """Return the number of points that Pinecone counts.

        Exact once it has indexed what was written: for the writes of this store
        that is waited for, those of others count when Pinecone counts them.
        """
        self._freshness.wait_for_own(name, self._schemas.layout(name))
        return sum(self._schemas.namespaces(name).values())

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the index into parts of about ``points`` points."""
        return self._scans.plan_chunks(name, points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in pages, by namespace and id."""
        return self._scans.scan(ref, bounds, after)

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``, at or after a log sequence number."""
        return self._reads.read(ref, keys, position)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return when acknowledged, with what was refused."""
        return self._writes.write(ref, writes)

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what an index like ``collection`` would not hold of the image as it is."""
        return fit_record(key, image, Layout.of(collection))

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first; never more exact than Pinecone is."""
        return self._searches.search(ref, vector, queries, k)

    def close(self) -> None:
        """Close the connections; a second call is fine."""
        self._connection.close()
