"""What Postgres says of its tables."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vecferry.errors import ConfigError
from vecferry.model import Collection, Metric, VectorSpec
from vecferry.ports import Capabilities
from vecferry.stores.identity import CARRIED_FIELD, ID_FIELD, NAMESPACE_FIELD
from vecferry.stores.pgvector.columns import Column
from vecferry.stores.pgvector.connect import Connection, Product
from vecferry.stores.pgvector.table import PAYLOAD, RESERVED, Table, quote
from vecferry.stores.pgvector.vectors import DIM_MAX, TYPES, VectorColumn

METRICS: Mapping[str, Metric] = {
    "l2": "l2",
    "ip": "dot",
    "cosine": "cosine",
    "l1": "l1",
    "hamming": "hamming",
    "jaccard": "jaccard",
}
"""By the word between the underscores of an operator class: ``vector_ip_ops``."""

OPTIONS = "pgvector"
"""The key in a collection's options under which Postgres' own words are."""

COMMENT = "vecferry"
"""The key in a table's comment, which is JSON, under which the metrics are."""

_KEYS = ("int2", "int4", "int8", "uuid", "text", "varchar")
_NAME = r"[^.\x00]{1,63}"


def capabilities_of(product: Product) -> Capabilities:
    """Return what this server can hold and do."""
    new = product.extension >= (0, 7)
    metrics: set[Metric] = {"cosine", "dot", "l2"}
    if new:
        metrics |= {"l1", "hamming", "jaccard"}
    return Capabilities(
        id_types=frozenset({"int", "uuid", "str"}),
        int_min=-(2**63),
        int_max=2**63 - 1,
        dtypes=frozenset(("float32", "float16", "binary") if new else ("float32",)),
        metrics=frozenset(metrics),
        namespaces=True,
        sparse=new,
        several_vectors=True,
        unnamed_vector="embedding",
        dim_max=DIM_MAX,
        collection_name=rf"{_NAME}(\.{_NAME})?",
        index_types=frozenset({"hnsw", "flat"}),
        vector_name=rf"(?!({PAYLOAD}|id|_vf_.*)$)[^\x00]{{1,63}}",
    )


class Found(NamedTuple):
    """A table, and what else the catalog says of it.

    Attributes:
        table: The table.
        oid: Postgres' own number of it.
        comment: What Vecferry noted when it made it.
    """

    table: Table
    oid: int
    comment: Mapping[str, Any]


def collections(connection: Connection) -> list[str]:
    """Return the names of all tables with vectors, sorted; those of other schemas with theirs."""
    types = list(connection.product().types)
    rows = connection.fetch(_TABLES, types, doing="listing the tables with vectors")
    return sorted(row["name"] for row in rows)


def look(connection: Connection, name: str) -> Found:
    """Return a collection's table.

    Raises:
        ConfigError: It is not there (the nearest name is given), or cannot be moved.
    """
    rows = connection.fetch(_COLUMNS, name, doing=f"describing {name!r}")
    if not rows:
        names = collections(connection)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"
        raise ConfigError(
            f"there is no table {name!r} with vectors in {connection.address}: {hint}"
        )
    return Found(_table(name, rows), rows[0]["oid"], _comment(rows[0]["comment"]))


def _comment(text: str | None) -> Mapping[str, Any]:
    try:
        noted = json.loads(text or "{}").get(COMMENT, {})
    except (ValueError, AttributeError):  # somebody's own words
        return {}
    return noted if isinstance(noted, dict) else {}


def _table(name: str, rows: Sequence[Any]) -> Table:
    names = {row["attname"] for row in rows}
    carries = CARRIED_FIELD in names and PAYLOAD in names
    key = _key(name, rows)
    apart = {key["attname"], *RESERVED, *([PAYLOAD] if carries else [])}
    others = [row for row in rows if row["attname"] not in apart]
    return Table(
        name=name,
        schema=rows[0]["nspname"],
        relation=rows[0]["relname"],
        key=key["attname"],
        key_base=key["typname"],
        vectors=tuple(_vector(row) for row in others if _is_vector(row)),
        columns=tuple(_column(row) for row in others if not _is_vector(row)),
        spaces=NAMESPACE_FIELD in names,
        keeps_ids=ID_FIELD in names,
        carries=carries,
    )


def _key(name: str, rows: Sequence[Any]) -> Any:
    primary = [column for column in rows[0]["primary_key"] if column != NAMESPACE_FIELD]
    if len(primary) != 1:
        held = f"has a primary key of {len(primary)} columns" if primary else "has no primary key"
        raise ConfigError(
            f"the table {name!r} {held}, and one column must tell its rows apart: add one "
            f"(ALTER TABLE … ADD COLUMN … bigint GENERATED ALWAYS AS IDENTITY) and make it the key"
        )
    key = next(row for row in rows if row["attname"] == primary[0])
    if key["typname"] not in _KEYS or key["typtype"] != "b":
        raise ConfigError(
            f"the primary key {primary[0]!r} of {name!r} is a {key['type']}; an id is an integer, "
            f"a uuid or a text"
        )
    return key


def _is_vector(row: Any) -> bool:
    if row["typname"] == "bit":
        return bool(row["atttypmod"] > 1)  # one bit is a flag, not a vector
    return row["typname"] in TYPES and bool(row["is_extension"])


def _vector(row: Any) -> VectorColumn:
    return VectorColumn(
        row["attname"], row["typname"], max(row["atttypmod"], 0), not_null=row["attnotnull"]
    )


def _column(row: Any) -> Column:
    array = row["element"] is not None
    base = row["element"] if array else row["typname"]
    if row["typtype"] != "b" or (array and row["element_typtype"] != "b"):
        base = row["type"]  # an enum, a domain: not the type of that name
    return Column(
        name=row["attname"],
        type=row["type"],
        base=base,
        array=array,
        not_null=row["attnotnull"],
        computed=row["computed"],
    )


def describe(connection: Connection, found: Found) -> Collection:
    """Return the schema as Postgres reports it; a metric only from its index, or as noted."""
    table = found.table
    rows = connection.fetch(_INDEXES, found.oid, doing=f"describing the indexes of {table.name!r}")
    length = max((row["atttypmod"] for row in _key_length(connection, found)), default=-1)
    return Collection(
        name=table.name,
        vectors=tuple(_spec(connection, found, column, rows) for column in table.vectors),
        id_types=table.id_types,
        id_bytes_max=4 * (length - 4) if table.key_base == "varchar" and length > 4 else 0,
        namespaces=_namespaces(connection, table),
        options={OPTIONS: _options(table)},
    )


def _key_length(connection: Connection, found: Found) -> list[Any]:
    sql = "SELECT atttypmod FROM pg_attribute WHERE attrelid = $1 AND attname = $2"
    table = found.table
    return connection.fetch(sql, found.oid, table.key, doing=f"describing {table.name!r}")


def _spec(
    connection: Connection, found: Found, column: VectorColumn, rows: Sequence[Any]
) -> VectorSpec:
    kind, dtype = TYPES[column.type]
    indexes = [row for row in rows if row["attname"] == column.name]
    metrics = {METRICS.get(row["opcname"].split("_")[-2]) for row in indexes}
    noted = found.comment.get("metrics", {}).get(column.name)
    metrics = metrics or {noted}
    dim = column.dim or (0 if kind == "sparse" else _measure(connection, found.table, column))
    return VectorSpec(
        name=column.name,
        kind=kind,
        dtype=dtype,
        dim=0 if kind == "sparse" else dim,
        # two indexes that disagree say nothing
        metric=metrics.pop() if len(metrics) == 1 else None,
        index=_index(indexes[0]) if indexes else {},
    )


def _measure(connection: Connection, table: Table, column: VectorColumn) -> int:
    name = quote(column.name)
    # a halfvec is a vector for this, and a column without dimensions is never a bit string
    sql = f"SELECT vector_dims({name}) AS dim FROM {table.quoted} WHERE {name} IS NOT NULL LIMIT 1"  # noqa: S608 - quoted
    rows = connection.fetch(sql, doing=f"measuring {column.name!r} of {table.name!r}", patient=True)
    if not rows:
        raise ConfigError(
            f"the column {column.name!r} of {table.name!r} does not say how many dimensions it has, "
            f"and no row does: ALTER TABLE … ALTER COLUMN … TYPE {column.type}(…)"
        )
    return int(rows[0]["dim"])


def _index(row: Any) -> dict[str, object]:
    given = dict(option.split("=", 1) for option in row["reloptions"] or ())
    numbers = {name: int(value) for name, value in given.items() if value.isdigit()}
    return {"type": row["amname"], "opclass": row["opcname"], **numbers}


def _namespaces(connection: Connection, table: Table) -> tuple[str, ...]:
    if not table.spaces:
        return ()
    name = quote(NAMESPACE_FIELD)
    # from one to the next by an index, where DISTINCT would read the whole table
    least = f"SELECT min({name}) AS one FROM {table.quoted} WHERE {name} <> ''"  # noqa: S608 - quoted
    sql = (
        f"WITH RECURSIVE found AS ({least} UNION ALL SELECT ({least} AND {name} > found.one) "  # noqa: S608
        f"FROM found WHERE found.one IS NOT NULL) SELECT one FROM found WHERE one IS NOT NULL"
    )
    rows = connection.fetch(sql, doing=f"listing the namespaces of {table.name!r}", patient=True)
    return tuple(sorted({"", *(row["one"] for row in rows)})) if rows else ()


def _options(table: Table) -> dict[str, object]:
    return {
        "primary_key": table.key,
        "columns": [
            {"name": column.name, "type": column.type, "base": column.base, "array": column.array}
            for column in table.columns
        ],
    }


_LISTED = """
CASE WHEN nspname = current_schema() THEN relname::text ELSE nspname || '.' || relname END
"""

_IS_VECTOR = """
(t.typname = ANY($1) AND a.atttypid IN (
    SELECT objid FROM pg_depend WHERE classid = 'pg_type'::regclass AND deptype = 'e'
    AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vector')
)) OR (a.atttypid = 'bit'::regtype AND a.atttypmod > 1)
"""

_TABLES = f"""
SELECT DISTINCT {_LISTED} AS name FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(temp|toast)'
AND ({_IS_VECTOR})
"""  # noqa: S608 - constants

_COLUMNS = f"""
SELECT c.oid, nspname, relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
    t.typname, t.typtype::text, a.atttypmod, a.attnotnull, e.typname AS element,
    e.typtype::text AS element_typtype, a.attgenerated <> '' AS computed,
    obj_description(c.oid, 'pg_class') AS comment,
    EXISTS (SELECT FROM pg_depend JOIN pg_extension x ON x.oid = refobjid AND extname = 'vector'
            WHERE classid = 'pg_type'::regclass AND objid = a.atttypid AND deptype = 'e')
        AS is_extension,
    ARRAY(SELECT k.attname::text FROM pg_index i, unnest(i.indkey::int2[]) AS one
          JOIN pg_attribute k ON k.attnum = one
          WHERE i.indrelid = c.oid AND i.indisprimary AND k.attrelid = c.oid) AS primary_key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {_LISTED} = $1
ORDER BY a.attnum
"""  # noqa: S608 - constants

_INDEXES = """
SELECT DISTINCT c.relname, a.attname, amname, opcname, c.reloptions FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am ON pg_am.oid = c.relam
JOIN pg_opclass o ON o.oid = i.indclass[0]
JOIN pg_depend d ON d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid > 0
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
WHERE i.indrelid = $1 AND amname IN ('hnsw', 'ivfflat') AND i.indisvalid
ORDER BY c.relname
"""
"""Also of an index over an expression, which depends on the column that it casts."""
