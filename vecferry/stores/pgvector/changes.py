"""The database's own log of changes: a slot that keeps it, read by SQL functions.

A publication names the tables and a slot keeps the log from its creation until it is
advanced. Only keys are published, where the server can (from PostgreSQL 15): vectors stay
at home. Peeking changes nothing; what was peeked at comes again until the slot is advanced.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from vecferry.errors import ConfigError
from vecferry.model import Key
from vecferry.ports import Changes
from vecferry.stores.identity import ID_FIELD, NAMESPACE_FIELD
from vecferry.stores.pgvector.connect import Connection
from vecferry.stores.pgvector.table import Table, quote
from vecferry.stores.pgvector.wal import Decoder

_KEYS_MAX = 200_000
"""A transaction, or a peek, that changed more keys of a table than this is a whole table."""

_PREFETCH = 1_000
_COLUMN_LISTS = 15

_SLOT = """
SELECT plugin, database = current_database() AS here, wal_status FROM pg_replication_slots
WHERE slot_name = $1
"""
_IDENTITY = "SELECT relreplident::text FROM pg_class WHERE oid = $1::text::regclass"
_PEEK = """
SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, $2,
    'proto_version', '1', 'publication_names', $3)
"""
_PUBLISHED = """
SELECT n.nspname, c.relname FROM pg_publication p
JOIN pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE pubname = $1
"""


def slot_name(name: str) -> str:
    """Return what the slot and the publication of that name are called in the database."""
    readable = re.sub(r"[^a-z0-9_]", "_", name.lower())[:40]
    return f"vecferry_{readable}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def keeps(connection: Connection, name: str, tables: Sequence[Table]) -> bool:
    """Whether all changes of these tables are kept since :func:`keep`."""
    slot, doing = slot_name(name), "looking for the replication slot"
    rows = connection.fetch(_SLOT, slot, doing=doing)
    if not rows or rows[0]["wal_status"] == "lost":
        return False
    if rows[0]["plugin"] != "pgoutput" or not rows[0]["here"]:
        raise ConfigError(f"the replication slot {slot!r} is somebody else's: drop it")
    published = {tuple(row) for row in connection.fetch(_PUBLISHED, slot, doing=doing)}
    return published == {(table.schema, table.relation) for table in tables}


def keep(connection: Connection, name: str, tables: Sequence[Table]) -> None:
    """Keep changes from now on; what was kept before under that name is given up.

    Raises:
        ConfigError: The server keeps no logical log, the user may not, or a table does not
            log which row was changed.
    """
    for table in tables:
        _require_identity(connection, table)
    slot = slot_name(name)
    publication = _publication(connection, slot, tables)
    drop(connection, name)

    async def work(one: Any) -> None:
        await one.execute(publication)
        await one.execute(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")

    doing = f"making the replication slot {slot!r}, which wants wal_level = logical"
    connection.run(work, doing, writes=True, first=True)


def drop(connection: Connection, name: str) -> None:
    """Keep nothing any more; where nothing was kept it is fine."""
    slot = slot_name(name)
    sql = (
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
    )
    connection.fetch(sql, slot, doing=f"dropping the replication slot {slot!r}", writes=True)
    statement = f"DROP PUBLICATION IF EXISTS {quote(slot)}"
    connection.fetch(statement, doing=f"dropping the publication {slot!r}", writes=True)


def _require_identity(connection: Connection, table: Table) -> None:
    doing = f"looking at {table.name!r}"
    [row] = connection.fetch(_IDENTITY, table.quoted, doing=doing)
    # the application's own updates would fail without one, once the table is published
    wanted = ("f",) if table.keeps_ids else ("d", "f")
    if row[0] not in wanted:
        kind = "FULL" if table.keeps_ids else "DEFAULT"
        raise ConfigError(
            f"the log does not say which row of {table.name!r} was changed: "
            f"ALTER TABLE {table.quoted} REPLICA IDENTITY {kind}"
        )


def _publication(connection: Connection, slot: str, tables: Sequence[Table]) -> str:
    lists = int(connection.product().server.split(".")[0]) >= _COLUMN_LISTS
    parts = []
    for table in tables:
        # with all columns as its identity (FULL) a table cannot publish some of them
        some = lists and not table.keeps_ids and _is_default(connection, table)
        parts.append(f"{table.quoted} ({', '.join(table.key_columns)})" if some else table.quoted)
    return (
        f"CREATE PUBLICATION {quote(slot)} FOR TABLE {', '.join(parts)} "
        f"WITH (publish_via_partition_root = true)"
    )


def _is_default(connection: Connection, table: Table) -> bool:
    [row] = connection.fetch(_IDENTITY, table.quoted, doing=f"looking at {table.name!r}")
    return bool(row[0] == "d")


def peek(connection: Connection, name: str, tables: Sequence[Table], limit: int) -> Changes:
    """Return the next changes: those of whole transactions, at least one if there is any."""
    slot = slot_name(name)
    by_name = {(table.schema, table.relation): table for table in tables}

    async def work(one: Any) -> Changes:
        found = _Gathered(by_name)
        async with one.transaction(readonly=True):
            await one.execute("SET LOCAL statement_timeout = 0")
            async for row in one.cursor(_PEEK, slot, limit, slot, prefetch=_PREFETCH):
                found.take(row[0])
        return found.changes()

    # a transaction of any size is read to its end
    return connection.run(work, f"reading the replication slot {slot!r}", limit_s=3_600.0)


def advance(connection: Connection, name: str, position: str) -> None:
    """Give up the changes up to a position that :func:`peek` returned."""
    sql = "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)"
    connection.fetch(
        sql, slot_name(name), position, doing="advancing the replication slot", writes=True
    )


class _Gathered:
    """What the messages of one peek changed."""

    def __init__(self, tables: Mapping[tuple[str, str], Table]) -> None:
        self._tables = tables
        self._decoder = Decoder()
        self._keys: dict[str, dict[Key, bool]] = {}
        self._whole: set[str] = set()
        self._position = ""

    def take(self, message: bytes) -> None:
        changed = self._decoder.decode(message)
        self._position = changed.end or self._position
        for relation in changed.relations:
            table = self._tables.get(relation)
            if table is None:
                continue  # published once, and not any more
            if not changed.rows:
                self._whole.add(table.name)
                continue
            keys = self._keys.setdefault(table.name, {})
            keys.update((_key(table, row), is_there) for is_there, row in changed.rows)
            if len(keys) > _KEYS_MAX:
                self._whole.add(table.name)
                keys.clear()

    def changes(self) -> Changes:
        written, deleted = list[Key](), list[Key]()
        for name, keys in self._keys.items():
            for key, is_there in keys.items() if name not in self._whole else ():
                (written if is_there else deleted).append(key)
        return Changes(tuple(written), tuple(deleted), frozenset(self._whole), self._position)


def _key(table: Table, row: Mapping[str, str]) -> Key:
    text = row[table.key]
    native: int | UUID | str = text
    if table.kind == "int":
        native = int(text)
    elif table.kind == "uuid":
        native = UUID(text)
    return table.key_of(table.name, native, row.get(NAMESPACE_FIELD, ""), row.get(ID_FIELD))
