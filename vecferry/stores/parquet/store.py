"""The Parquet store: the memory store's behaviour over keys in memory and images in files."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from vecferry.errors import ConfigError
from vecferry.model import Collection
from vecferry.ports import Failure, Ref, Write
from vecferry.stores.memory.admit import find_id_refusal, find_refusal
from vecferry.stores.memory.held import Database
from vecferry.stores.memory.store import CAPABILITIES as _ALL
from vecferry.stores.memory.store import MemoryStore
from vecferry.stores.parquet.folder import Folder

CAPABILITIES = replace(_ALL, collection_name=r"(?s)[^.].*")


class ParquetStore(MemoryStore):
    """One client of a folder; every method may be called from any thread.

    Several processes may write into a local folder at once; elsewhere one
    process at a time may write, and nothing but care sees to it.
    """

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder, CAPABILITIES)
        self._folder = folder

    def version(self) -> str:
        """Return product and version."""
        return f"parquet {pa.__version__}"

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        with self._folder.lock:
            return self._folder.names()

    def create(self, collection: Collection) -> None:
        """Create an empty collection.

        Raises:
            ConfigError: It exists, or the schema or the name is not allowed.
        """
        if not collection.name or collection.name.startswith("."):
            raise ConfigError(
                f"collection {collection.name!r}: a name here must not begin with a dot"
            )
        MemoryStore(Database(), self.capabilities).create(collection)
        with self._folder.lock:
            self._folder.make(collection)

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        with self._folder.lock:
            self._folder.remove(name)

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Add a file with these writes; return what the collection does not admit."""
        failures, admitted = [], []
        with self._folder.lock, self._folder.writing(ref.name):
            shelf = self._folder.shelf(ref.name)
            for write in writes:
                reason = (
                    find_id_refusal(shelf.schema, self.capabilities, write.key)
                    if write.image is None
                    else find_refusal(shelf.schema, self.capabilities, write.key, write.image)
                )
                if reason:
                    failures.append(Failure(write.key, reason))
                else:
                    admitted.append(write)
            if admitted:
                self._folder.append(shelf, admitted)
        return failures
