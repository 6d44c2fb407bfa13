"""The store: its parts over one connection."""

from collections.abc import Iterator, Sequence

from vecferry.errors import ConfigError
from vecferry.model import Collection, Image, Key, Point, Vector
from vecferry.ports import Bounds, Capabilities, Failure, Fit, Hit, Ref, Since, Write
from vecferry.settings import StoreSettings
from vecferry.stores.qdrant.connect import Connection, NotConnectedError
from vecferry.stores.qdrant.fit import fit_image
from vecferry.stores.qdrant.points import CAPABILITIES
from vecferry.stores.qdrant.read import Reads
from vecferry.stores.qdrant.scan import Scans
from vecferry.stores.qdrant.schema import Schemas
from vecferry.stores.qdrant.search import Searches
from vecferry.stores.qdrant.write import Writes


class QdrantStore:
    """A :class:`vecferry.ports.Store` over one gRPC connection; thread-safe.

    What each method promises is said at the port.
    """

    capabilities: Capabilities = CAPABILITIES

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._schemas = Schemas(self._connection)
        self._scans = Scans(self._connection, self._schemas)
        self._reads = Reads(self._connection, self._schemas)
        self._writes = Writes(self._connection, self._schemas)
        self._searches = Searches(self._connection, self._schemas)

    def version(self) -> str:
        """Return product and version."""
        try:
            return self._schemas.version()
        except NotConnectedError as error:
            raise ConfigError(
                f"{error}; url should be Qdrant's REST address, like http://host:6333, with gRPC "
                "on the next port or at grpc_url"
            ) from error

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return self._schemas.collections()

    def describe(self, name: str) -> Collection:
        """Return the schema as Qdrant reports it."""
        return self._schemas.describe(name)

    def create(self, collection: Collection) -> None:
        """Create an empty collection and its indexes, or raise."""
        self._schemas.create(collection)

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        self._schemas.drop(name)

    def count(self, name: str) -> int:
        """Return the exact number of points."""
        return self._schemas.count(name)

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the collection into parts of about ``points`` points."""
        return self._scans.plan_chunks(name, points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in pages, in the order of their ids here."""
        return self._scans.scan(ref, bounds, after)

    def scan_since(
        self, ref: Ref, bounds: Bounds, since: Since, *, after: Key | None = None
    ) -> Iterator[list[Point]]:
        """Yield the points of one part that may be at or after a moment; quick with an index on the field."""
        return self._scans.scan_since(ref, bounds, since, after)

    def scan_keys(
        self, ref: Ref, bounds: Bounds, *, after: Key | None = None
    ) -> Iterator[list[Key]]:
        """Yield the keys of one part."""
        return self._scans.scan_keys(ref, bounds, after)

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``; Qdrant has no positions."""
        return self._reads.read(ref, keys)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return only when applied, with what was refused."""
        return self._writes.write(ref, writes)

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what a collection of this schema would not hold of the image as it is."""
        return fit_image(key, image, {spec.name: spec for spec in collection.vectors})

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first."""
        return self._searches.search(ref, vector, queries, k, exact=exact)

    def close(self) -> None:
        """Close the connection; a second call is fine."""
        self._connection.close()
