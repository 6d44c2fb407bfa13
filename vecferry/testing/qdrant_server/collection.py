"""One collection: the engine's shard, its configuration on disk, and who may touch it when."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.gate import Gate
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    InternalError,
    NotFoundError,
    RefusalError,
)
from vecferry.testing.qdrant_server.schema import Config, engine_config, shapes_of, shown_config
from vecferry.testing.qdrant_server.values import Shapes


@contextmanager
def engine_errors() -> Iterator[None]:
    """Translate what the engine raises: its ``Exception`` is the request's fault, a panic is not.

    The engine's panic derives from BaseException alone, so that nobody catches it by
    chance; a server has to answer all the same.
    """
    try:
        yield
    except RefusalError:
        raise
    except Exception as error:
        raise BadInputError(f"Wrong input: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise InternalError(f"Service internal error: {error}") from error


class Collection:
    """A shard of the engine with its configuration, in one directory.

    Guarantees:
        A write that returned is in the engine's write-ahead log: it survives the
        process being killed. Writes of one collection happen one after another.
    """

    def __init__(self, directory: Path, name: str, config: Config, indexes: Config) -> None:
        """Open what is in ``directory``; :meth:`create` and :meth:`load` call this."""
        self.directory = directory
        self.name = name
        self.config = config
        self.indexes = indexes
        self.shapes: Shapes = shapes_of(config)
        self._gate = Gate()
        self._writing = threading.Lock()
        self._operations = 0
        self._dirty = False
        self._optimizing: threading.Thread | None = None
        self._shard: Any = None

    @classmethod
    def create(cls, directory: Path, name: str, config: Config) -> "Collection":
        """Make a collection; its file ``meta.json`` is written last and makes it exist."""
        collection = cls(directory, name, config, {})
        (directory / "shard").mkdir(parents=True)
        with engine_errors():
            collection._shard = edge.EdgeShard.create(
                str(directory / "shard"), engine_config(config)
            )
        collection._save()
        return collection

    @classmethod
    def load(cls, directory: Path) -> "Collection":
        """Open a collection that was made before."""
        meta = json.loads((directory / "meta.json").read_text())
        collection = cls(directory, meta["name"], meta["config"], meta["indexes"])
        collection._shard = edge.EdgeShard.load(str(directory / "shard"))
        return collection

    def _save(self) -> None:
        meta = {"name": self.name, "config": self.config, "indexes": self.indexes}
        fresh = self.directory / "meta.json.new"
        fresh.write_text(json.dumps(meta))
        fresh.replace(self.directory / "meta.json")

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Give the shard to a reader; it stays open meanwhile."""
        with self._gate.shared(), engine_errors():
            yield self._open_shard()

    def write(self, operation: Any) -> int:
        """Apply an operation of the engine's and return its number."""
        with self._gate.shared(), self._writing, engine_errors():
            self._open_shard().update(operation)
            self._dirty = True
            self._operations += 1
            return self._operations

    def _open_shard(self) -> Any:
        if self._shard is None:
            raise NotFoundError(f"Not found: Collection `{self.name}` doesn't exist!")
        return self._shard

    def require_points(self, ids: list[Any]) -> None:
        """Refuse ids of points that do not exist, as Qdrant does before a partial update.

        Raises:
            NotFoundError: One is missing.
        """
        with self.reading() as shard:
            found = {record.id for record in shard.retrieve(ids, False, False)}
        for one in ids:
            if one not in found:
                raise NotFoundError(f"Not found: No point with id {one} found")

    def index(self, field: str, schema: Config, parameters: Any) -> int:
        """Make a payload index and remember how it was asked for."""
        number = self.write(edge.UpdateOperation.create_field_index(field, parameters))
        self.indexes[field] = schema
        self._save()
        return number

    def drop_index(self, field: str) -> int:
        """Drop a payload index; an absent one is no error."""
        number = self.write(edge.UpdateOperation.delete_field_index(field))
        self.indexes.pop(field, None)
        self._save()
        return number

    def reconfigure(self, change: Callable[[Config], None]) -> None:
        """Change a copy of the configuration, reopen the shard with it, and optimise again.

        Raises:
            BadInputError: The engine refuses it; the collection stays as it was.
        """
        with self._gate.exclusive(), engine_errors():
            config: Config = json.loads(json.dumps(self.config))
            change(config)
            wanted = engine_config(config)
            self._open_shard().close()
            self._shard = edge.EdgeShard.load(str(self.directory / "shard"), wanted)
            self.config = config
            self._save()
        self._optimizing = threading.Thread(target=self._optimize, daemon=True)
        self._optimizing.start()

    def _optimize(self) -> None:
        try:
            with self.reading() as shard:
                shard.optimize()
        except NotFoundError:
            return  # it was deleted before this began

    def flush(self) -> None:
        """Bring what was written to the segments, which bounds the log to replay."""
        if self._dirty:
            self._dirty = False
            with self.reading() as shard:
                shard.flush()

    def close(self) -> None:
        """Close the shard; what comes after finds no collection."""
        with self._gate.exclusive():
            if self._shard is not None:
                self._shard.flush()
                self._shard.close()
                self._shard = None

    def describe(self) -> Config:
        """Return what ``GET /collections/{name}`` shows."""
        with self.reading() as shard:
            found = shard.info()
        busy = self._optimizing is not None and self._optimizing.is_alive()
        counts = {field: one.points for field, one in found.payload_schema.items()}
        return {
            "status": "yellow" if busy else "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": found.indexed_vectors_count,
            "points_count": found.points_count,
            "segments_count": found.segments_count,
            "config": shown_config(self.config),
            "payload_schema": {
                field: {
                    "data_type": schema["type"],
                    "params": schema if len(schema) > 1 else None,
                    "points": counts.get(field, 0),
                }
                for field, schema in self.indexes.items()
            },
        }
