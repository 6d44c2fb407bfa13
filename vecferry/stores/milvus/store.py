"""The Milvus store: the port's methods, each in its own module."""

from collections.abc import Iterator, Sequence

from vecferry.errors import VecferryError
from vecferry.model import Collection, Image, Key, Point, Vector
from vecferry.ports import Bounds, Failure, Fit, Hit, Ref, Since, Write
from vecferry.settings import StoreSettings
from vecferry.stores.milvus import creation, query, read, scan, schema, search, write
from vecferry.stores.milvus.connect import Connection, Product
from vecferry.stores.milvus.fit import fit_image
from vecferry.stores.milvus.shape import Shape


class MilvusStore:
    """Milvus 2.3 to 2.6, or Milvus Lite.

    A partition is a namespace, ``_default`` the empty one: the same id in two
    partitions is two points. (Milvus Lite has one row per id in all partitions
    together, so there a namespace is a partition only where one of that name is.)

    Attributes:
        capabilities: Of Milvus 2.3 until :meth:`version` or another request has
            shown what answers.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._shapes: dict[str, Shape] = {}
        self.capabilities = schema.capabilities_of(Product(False, (2, 3), "2.3"))

    def version(self) -> str:
        """Return product and version; see the port."""
        return str(self._product())

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        self._product()
        return schema.collections(self._connection)

    def describe(self, name: str) -> Collection:
        """Return the schema as Milvus reports it; see the port.

        What only Milvus has is in ``options["milvus"]``: scalar fields, auto_id,
        partitions, consistency, shards.
        """
        self._product()
        collection, self._shapes[name] = schema.describe(self._connection, name, self.capabilities)
        return collection

    def create(self, collection: Collection) -> None:
        """Create a collection with its indexes and load it; see the port."""
        self._product()
        self._shapes.pop(collection.name, None)
        creation.create(self._connection, collection, self.capabilities)

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        self._product()
        self._shapes.pop(name, None)
        schema.drop(self._connection, name)

    def count(self, name: str) -> int:
        """Return the exact number of points, all partitions together.

        Raises:
            ConfigError: It is not there, or is not loaded.
        """
        return query.count(self._connection, self._look(name))

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut each partition by ranges of its primary key; see the port."""
        shape = self._look(name)
        schema.require_loaded(self._connection, name)
        return scan.plan_chunks(self._connection, shape, points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in the order of their primary keys; see the port.

        Raises:
            ConfigError: The collection is not loaded.
            HaltError: Milvus gave a page out of order.
        """
        shape = self._look(ref.name)
        schema.require_loaded(self._connection, ref.name)
        yield from scan.scan(self._connection, shape, ref.logical, scan.Part(bounds, after))

    def scan_since(
        self, ref: Ref, bounds: Bounds, since: Since, *, after: Key | None = None
    ) -> Iterator[list[Point]]:
        """As :meth:`scan`, less where the field is a number of the schema; see the port."""
        shape = self._look(ref.name)
        schema.require_loaded(self._connection, ref.name)
        part = scan.Part(bounds, after, scan.since_expression(shape, since))
        yield from scan.scan(self._connection, shape, ref.logical, part)

    def scan_keys(
        self, ref: Ref, bounds: Bounds, *, after: Key | None = None
    ) -> Iterator[list[Key]]:
        """As :meth:`scan`, of the keys alone; see the port."""
        shape = self._look(ref.name)
        schema.require_loaded(self._connection, ref.name)
        yield from scan.scan_keys(self._connection, shape, ref.logical, scan.Part(bounds, after))

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``; see the port.

        Strong consistency sees every write that was acknowledged before, so every
        ``position`` that a reply can have named.
        """
        shape = self._cached(ref.name)
        if shape.partitioned and any(key.namespace for key in keys):
            self._refresh(shape)
        return read.read(self._connection, shape, ref.logical, keys)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; see the port.

        Raises:
            ConfigError: Milvus makes the collection's keys itself (``auto_id``).
        """
        shape = self._cached(ref.name)
        write.require_writable(shape)
        try:
            return write.Writer(self._connection, shape, self._refresh).write(writes)
        except VecferryError:
            self._shapes.pop(ref.name, None)  # it may have been made anew, with another schema
            raise

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what would not be held as it is; see the port.

        The collection that was described last under that name, else one that
        would be made from the schema.
        """
        shape = self._shapes.get(collection.name)
        if shape is None:
            shape = creation.planned_shape(self._product(), collection, self.capabilities)
        return fit_image(shape, key, image)

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first; see the port."""
        shape = self._look(ref.name)
        return search.search(self._connection, shape, ref, (vector, queries), (k, exact))

    def close(self) -> None:
        """Give back the connection; a second call is fine."""
        self._connection.close()

    def _product(self) -> Product:
        product = self._connection.product()
        self.capabilities = schema.capabilities_of(product)
        return product

    def _look(self, name: str) -> Shape:
        self._product()
        shape, _ = schema.look(self._connection, name, self.capabilities)
        self._shapes[name] = shape
        return shape

    def _cached(self, name: str) -> Shape:
        return self._shapes.get(name) or self._look(name)

    def _refresh(self, shape: Shape) -> None:
        shape.partitions = schema.partitions(self._connection, shape.name)
