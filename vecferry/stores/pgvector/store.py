"""The pgvector store: the port's methods, each in its own module."""

from collections.abc import Iterator, Sequence

from vecferry.errors import ConfigError, VecferryError
from vecferry.model import Collection, Image, Key, Metric, Point, Vector
from vecferry.ports import Bounds, Changes, Failure, Fit, Hit, Ref, Since, Write
from vecferry.settings import StoreSettings
from vecferry.stores.pgvector import catalog, changes, creation, read, rows, scan, search, write
from vecferry.stores.pgvector.connect import Connection, Product
from vecferry.stores.pgvector.table import Table, quote


class PgvectorStore:
    """PostgreSQL 12 or newer with pgvector 0.5 or newer.

    Conditional writes are left out on purpose: an offset says nothing beside the log that
    it is of, so a table would silently keep what an earlier migration wrote to it.

    Attributes:
        capabilities: Of the newest pgvector until :meth:`version` or another request has
            shown what answers.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._connection = Connection(settings)
        self._tables: dict[str, Table] = {}
        self._metrics: dict[str, dict[str, Metric | None]] = {}
        self.capabilities = catalog.capabilities_of(Product("", (0, 8), ""))

    def version(self) -> str:
        """Return product and version; see the port."""
        product = self._connection.product()
        self.capabilities = catalog.capabilities_of(product)
        return str(product)

    def collections(self) -> list[str]:
        """Return the tables that have a vector, sorted; see the port."""
        self.version()
        return catalog.collections(self._connection)

    def describe(self, name: str) -> Collection:
        """Return the schema as Postgres reports it; see the port.

        What only Postgres has is in ``options["pgvector"]``: the key's name, the columns.
        """
        self.version()
        found = catalog.look(self._connection, name)
        described = catalog.describe(self._connection, found)
        self._tables[name] = found.table
        self._metrics[name] = {spec.name: spec.metric for spec in described.vectors}
        return described

    def create(self, collection: Collection) -> None:
        """Create a table with its indexes; see the port."""
        self.version()
        self._forget(collection.name)
        creation.create(self._connection, collection)

    def drop(self, name: str) -> None:
        """Remove a table; one that is not there is fine."""
        self.version()
        self._forget(name)
        schema, _, relation = name.rpartition(".")
        target = f"{quote(schema)}.{quote(relation)}" if schema else quote(relation)
        self._connection.fetch(
            f"DROP TABLE IF EXISTS {target}", doing=f"dropping {name!r}", writes=True
        )

    def count(self, name: str) -> int:
        """Return the exact number of rows."""
        return scan.count(self._connection, self._table(name))

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the table by ranges of its key; see the port."""
        return scan.plan_chunks(self._connection, self._look(name), points)

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in the order of their keys; see the port."""
        table = self._look(ref.name)
        yield from scan.scan(self._connection, table, ref.logical, scan.Part(bounds, after))

    def scan_since(
        self, ref: Ref, bounds: Bounds, since: Since, *, after: Key | None = None
    ) -> Iterator[list[Point]]:
        """As :meth:`scan`, less where the field is a timestamptz or an integer; see the port."""
        table = self._look(ref.name)
        part = scan.Part(bounds, after, since)
        yield from scan.scan(self._connection, table, ref.logical, part)

    def scan_keys(
        self, ref: Ref, bounds: Bounds, *, after: Key | None = None
    ) -> Iterator[list[Key]]:
        """As :meth:`scan`, of the keys alone; see the port."""
        table = self._look(ref.name)
        yield from scan.scan_keys(self._connection, table, ref.logical, scan.Part(bounds, after))

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``; see the port.

        A statement on the primary sees every write that was committed before it.
        """
        try:
            return read.read(self._connection, self._table(ref.name), ref.logical, keys)
        except VecferryError:
            self._forget(ref.name)  # the table may have been altered
            raise

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; see the port."""
        try:
            return write.write(self._connection, self._table(ref.name), writes)
        except VecferryError:
            self._forget(ref.name)
            raise

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query; see the port.

        Raises:
            ConfigError: There is no such vector, or its metric is not known.
        """
        if ref.name not in self._metrics:
            self.describe(ref.name)
        table, metrics = self._tables[ref.name], self._metrics[ref.name]
        metric = metrics.get(vector)
        if vector in metrics and metric is None:
            raise ConfigError(f"the vector {vector!r} of {ref.name!r} has no index with a metric")
        asked = (vector, metric or "l2", queries)
        return search.search(self._connection, table, ref, asked, (k, exact))

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what the table would not hold of the image as it is; see the port.

        Of a table that was described it is that one, else the one that :meth:`create` makes.
        """
        table = self._tables.get(collection.name) or creation.planned_table(collection)
        return rows.fits_of(table, key, image)

    def keeps_changes(self, name: str, collections: Sequence[str]) -> bool:
        """Whether the replication slot of that name is whole and for these tables; see the port."""
        return changes.keeps(self._connection, name, [self._look(one) for one in collections])

    def keep_changes(self, name: str, collections: Sequence[str]) -> None:
        """Make a publication and a replication slot; see the port."""
        changes.keep(self._connection, name, [self._look(one) for one in collections])

    def changes(self, name: str, collections: Sequence[str], limit: int) -> Changes:
        """Peek at the slot; see the port."""
        tables = [self._table(one) for one in collections]
        return changes.peek(self._connection, name, tables, limit)

    def forget_changes(self, name: str, position: str) -> None:
        """Advance the slot; see the port."""
        changes.advance(self._connection, name, position)

    def drop_changes(self, name: str) -> None:
        """Drop the slot and the publication; where there are none it is fine."""
        changes.drop(self._connection, name)

    def close(self) -> None:
        """Close the connections; a second call is fine."""
        self._connection.close()

    def _table(self, name: str) -> Table:
        return self._tables.get(name) or self._look(name)

    def _look(self, name: str) -> Table:
        self.version()
        self._tables[name] = catalog.look(self._connection, name).table
        return self._tables[name]

    def _forget(self, name: str) -> None:
        self._tables.pop(name, None)
        self._metrics.pop(name, None)
