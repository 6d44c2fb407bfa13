"""What a feed has seen of one collection, kept on disk in SQLite.

A digest for each key. A feed without it, or with an older one, hints more than
it must, and never less; so nothing here has to survive a loss of power, only to
be whole.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from vecferry.errors import ConfigError, HaltError, TransientError

_log = logging.getLogger(__name__)
_FORMAT = "1"
_LOOK_KEYS = 500  # below every build's limit of variables
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (number INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS known (
    key BLOB PRIMARY KEY, digest BLOB NOT NULL, seen INTEGER NOT NULL, state INTEGER NOT NULL
) WITHOUT ROWID;
"""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class State(IntEnum):
    """What was last said of a key.

    HINTED and GONE are said once more in the next pass: between the pass and
    the read-back that it asked for, a key can change and change back, and then
    what was read back is not what the pass saw.
    """

    SETTLED = 0
    HINTED = 1
    GONE = 2


class Held(NamedTuple):
    """What is known of a key: the digest of its point, empty for a key alone, and what was said."""

    digest: bytes
    state: State


class Seen(NamedTuple):
    """A key that a pass has seen."""

    key: bytes
    digest: bytes
    state: State


class Times(NamedTuple):
    """Times in microseconds since 1970, as the points say them; None while unknown.

    Attributes:
        start: Where the next pass begins: everything older was seen.
        newest: The newest time that the last complete pass has seen.
    """

    start: int | None
    newest: int | None


class Known:
    """The digests of one collection; of one process at a time.

    Attributes:
        number: The pass that was begun last; every pass has a larger one.
    """

    def __init__(self, folder: Path, collection: str, origin: str) -> None:
        """Open the state, or begin one.

        Args:
            folder: Of the migration; made where it is missing.
            collection: The source's name.
            origin: Names the migration's log: what was said to another one does not count.

        Raises:
            ConfigError: The folder cannot be written, or another process holds the state.
        """
        self._file = folder / f"{quote(collection, safe='')}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"feed.state: {str(folder)!r} cannot be made: {error.strerror}"
            ) from error
        try:
            self._db = self._opened(origin)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise self._unusable(error) from error
            _log.warning("%s is damaged: all keys will be hinted again", self._file)
            self._remove()
            self._db = self._opened(origin)
        self.number = self._number("number") or 0

    def begin(self) -> None:
        """Begin a pass."""
        with self._writing() as db:
            self.number += 1
            _set_meta(db, "number", self.number)

    def look(self, keys: Sequence[bytes]) -> dict[bytes, Held]:
        """Return what is known of these keys."""
        found: dict[bytes, Held] = {}
        with self._translated():
            for start in range(0, len(keys), _LOOK_KEYS):
                some = keys[start : start + _LOOK_KEYS]
                marks = ",".join("?" * len(some))
                rows = self._db.execute(
                    f"SELECT key, digest, state FROM known WHERE key IN ({marks})",  # noqa: S608 - marks alone
                    some,
                )
                found.update((key, Held(digest, State(state))) for key, digest, state in rows)
        return found

    def record(self, seen: Iterable[Seen], marks: Mapping[int, int]) -> None:
        """Put down what the pass has seen, in one transaction.

        Args:
            seen: Those whose hints were acknowledged.
            marks: The offsets of these hints, by partition.
        """
        with self._writing() as db:
            db.executemany(
                "INSERT INTO known VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "digest = excluded.digest, seen = excluded.seen, state = excluded.state",
                ((one.key, one.digest, self.number, int(one.state)) for one in seen),
            )
            _set_marks(db, marks)

    def unseen(self, after: bytes, limit: int) -> dict[bytes, Held]:
        """Return up to ``limit`` keys behind ``after`` that this pass has not seen, in order."""
        with self._translated():
            rows = self._db.execute(
                "SELECT key, digest, state FROM known WHERE key > ? AND seen < ? ORDER BY key LIMIT ?",
                (after, self.number, limit),
            )
            return {key: Held(digest, State(state)) for key, digest, state in rows}

    def bury(
        self, gone: Iterable[bytes], forgotten: Iterable[bytes], marks: Mapping[int, int]
    ) -> None:
        """Put down what was said of keys that have vanished, in one transaction.

        Args:
            gone: Those of which it was said for the first time.
            forgotten: Those of which it was said again.
            marks: The offsets of these hints, by partition.
        """
        with self._writing() as db:
            db.executemany(
                "UPDATE known SET state = ? WHERE key = ?", ((int(State.GONE), key) for key in gone)
            )
            db.executemany("DELETE FROM known WHERE key = ?", ((key,) for key in forgotten))
            _set_marks(db, marks)

    def marks(self) -> dict[int, int]:
        """Return the offset of the newest hint in each partition."""
        with self._translated():
            return dict(self._db.execute("SELECT number, offset FROM marks"))

    def times(self) -> Times:
        """Return the times that the passes have seen."""
        return Times(self._number("from"), self._number("newest"))

    def set_times(self, times: Times) -> None:
        """Put the times of a complete pass down."""
        with self._writing() as db:
            _set_meta(db, "from", times.start)
            _set_meta(db, "newest", times.newest)

    def count(self) -> int:
        """Return the number of keys that are there, as far as is known."""
        with self._translated():
            (found,) = self._db.execute(
                "SELECT count(*) FROM known WHERE state <> ?", (int(State.GONE),)
            ).fetchone()
        return int(found)

    def close(self) -> None:
        """Close the file; a second call is fine."""
        self._db.close()

    def _opened(self, origin: str) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=1.0, isolation_level=None)
        try:
            # exclusive: two feeds with one state would count each other's passes
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):
                db.execute(statement)
            whose = f"{_FORMAT}/{origin}"
            row = db.execute("SELECT value FROM meta WHERE name = 'whose'").fetchone()
            if row is None or row[0] != whose:
                for table in ("known", "marks", "meta"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
                _set_meta(db, "whose", whose)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)

    def _number(self, name: str) -> int | None:
        with self._translated():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _code(error) in _DAMAGED:
                raise HaltError(
                    f"{self._file} is damaged: remove it and start the feed again; all keys are "
                    "hinted once more then"
                ) from error
            raise TransientError(f"{self._file} cannot be used: {_name(error)}") from error

    def _unusable(self, error: sqlite3.DatabaseError) -> ConfigError:
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return ConfigError(
                f"{self._file} is held by another process: one feed at a time reads a collection"
            )
        return ConfigError(f"feed.state: {str(self._file)!r} cannot be used: {_name(error)}")


def _code(error: sqlite3.DatabaseError) -> int:
    # the low byte is the kind, what is above it says more
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _name(error: sqlite3.DatabaseError) -> str:
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def _set_meta(db: sqlite3.Connection, name: str, value: object) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _set_marks(db: sqlite3.Connection, marks: Mapping[int, int]) -> None:
    db.executemany(
        "INSERT INTO marks VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET "
        "offset = max(offset, excluded.offset)",
        marks.items(),
    )
