"""Making a table: all of it, with its indexes, in one transaction."""

import json
from collections.abc import Mapping
from typing import Any

from vecferry.errors import ConfigError
from vecferry.model import Collection, Metric, VectorSpec
from vecferry.stores.identity import CARRIED_FIELD, ID_FIELD, NAMESPACE_FIELD
from vecferry.stores.pgvector.catalog import COMMENT, METRICS, OPTIONS, capabilities_of
from vecferry.stores.pgvector.columns import Column, is_exact
from vecferry.stores.pgvector.connect import Connection, Product
from vecferry.stores.pgvector.table import PAYLOAD, TYPED_KEY, Table, quote
from vecferry.stores.pgvector.vectors import BITS_MAX, TYPES, VectorColumn

_NAME_BYTES = 63  # Postgres cuts what is longer, silently
_INDEX_DIMS = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000}
"""What an HNSW index takes. A sparsevec is left without one: it would refuse rows of more
than 1,000 entries."""

_BASES = {"int": "int8", "uuid": "uuid", "str": "text"}
_SQL_NAMES = {"int8": "bigint", "uuid": "uuid", "text": 'text COLLATE "C"'}
_BOUNDS = {"m": (2, 100), "ef_construction": (4, 1_000)}


def planned_table(collection: Collection) -> Table:
    """Return the table that :func:`create` makes of a collection."""
    vectors = tuple(_vector_column(spec) for spec in collection.vectors)
    schema, _, relation = collection.name.rpartition(".")
    key, base = TYPED_KEY, "text"
    if len(collection.id_types) == 1:
        [kind] = collection.id_types
        key, base = _key_name(collection), _BASES[kind]
    return Table(
        name=collection.name,
        schema=schema,
        relation=relation,
        key=key,
        key_base=base,
        vectors=vectors,
        columns=_columns(collection, {key, PAYLOAD, *(one.name for one in vectors)}),
        spaces=True,
        keeps_ids=base != "int8" and key != TYPED_KEY,
        carries=True,
    )


def _options(collection: Collection) -> Mapping[str, Any]:
    found = collection.options.get(OPTIONS, {})
    return found if isinstance(found, Mapping) else {}


def _key_name(collection: Collection) -> str:
    name = str(_options(collection).get("primary_key", "id"))
    taken = name.startswith("_vf_") or name == PAYLOAD or collection.vector(name) is not None
    return "id" if taken else name


def _columns(collection: Collection, taken: set[str]) -> tuple[Column, ...]:
    """Return the source's own columns, where it is Postgres and their values are told exactly."""
    found = [
        Column(one["name"], one["type"], one["base"], one["array"])
        for one in _options(collection).get("columns", ())
        if one["name"] not in taken and not one["name"].startswith("_vf_")
    ]
    return tuple(column for column in found if is_exact(column))


def _vector_column(spec: VectorSpec) -> VectorColumn:
    for name, (kind, dtype) in TYPES.items():
        if kind == spec.kind and (kind == "sparse" or dtype == spec.dtype):
            return VectorColumn(spec.name, name, 0 if kind == "sparse" else spec.dim)
    raise ConfigError(
        f"the vector {spec.name!r} is {spec.kind} {spec.dtype}, which pgvector does not have"
    )


def create(connection: Connection, collection: Collection) -> None:
    """Create a table with its indexes, or nothing.

    Raises:
        ConfigError: It exists, or this pgvector cannot hold that schema.
    """
    product = connection.product()
    statements = creation_statements(collection, product)

    async def work(one: Any) -> None:
        async with one.transaction():
            for statement in statements:
                await one.execute(statement)

    connection.run(work, f"making the table {collection.name!r}", writes=True, first=True)


def creation_statements(collection: Collection, product: Product) -> list[str]:
    """Return the statements that make a collection's table.

    Raises:
        ConfigError: This pgvector cannot hold that schema.
    """
    for spec in collection.vectors:
        _require_holdable(spec, product)
    table = planned_table(collection)
    for name in (table.schema, table.relation, *(one.name for one in table.vectors)):
        _require_name(name)
    target = table.quoted if table.schema else quote(table.relation)
    metrics = {spec.name: _metric(spec) for spec in collection.vectors}
    note = json.dumps({COMMENT: {"metrics": metrics}}).replace("'", "''")
    space = quote(NAMESPACE_FIELD)
    return [
        f"CREATE TABLE {target} ({', '.join(_definitions(table, product))})",
        f"COMMENT ON TABLE {target} IS '{note}'",
        f"CREATE INDEX ON {target} ({space}) WHERE {space} <> ''",
        *_index_statements(collection, table, target, product),
    ]


def _definitions(table: Table, product: Product) -> list[str]:
    key, space = quote(table.key), quote(NAMESPACE_FIELD)
    parts = [
        f"{key} {_SQL_NAMES[table.key_base]} NOT NULL",
        f"{space} text COLLATE \"C\" NOT NULL DEFAULT ''",
    ]
    if table.keeps_ids:
        parts.append(f"{quote(ID_FIELD)} text")
    parts += [f"{quote(one.name)} {_type_name(one, product)}" for one in table.vectors]
    parts += [f"{quote(one.name)} {one.type}" for one in table.columns]
    parts += [
        f"{quote(PAYLOAD)} jsonb NOT NULL DEFAULT '{{}}'",
        f"{quote(CARRIED_FIELD)} text",
        f"PRIMARY KEY ({key}, {space})",
    ]
    if table.kind == "typed":  # an application that writes 5 for i5 is told so
        parts.append(f"CHECK (left({key}, 1) IN ('i', 'u', 's', 'x'))")
    return parts


def _type_name(column: VectorColumn, product: Product) -> str:
    size = f"({column.dim})" if column.dim else ""
    if column.type == "bit":
        return f"bit{size}"
    return f"{quote(product.schema)}.{quote(column.type)}{size}"


def _require_name(name: str) -> None:
    if len(name.encode()) > _NAME_BYTES or "\0" in name:
        raise ConfigError(f"{name!r} cannot be a name in Postgres: it has more than 63 bytes")
    if name == PAYLOAD or name.startswith("_vf_"):
        raise ConfigError(f"{name!r} is a name of Vecferry's own: map it in collections.vectors")


def _require_holdable(spec: VectorSpec, product: Product) -> None:
    able = capabilities_of(product)
    if spec.kind == "multi" or (spec.kind == "dense" and spec.dtype not in able.dtypes):
        raise ConfigError(
            f"{product} does not hold the vector {spec.name!r}: {spec.kind} {spec.dtype}"
        )
    if spec.kind == "sparse":
        if not able.sparse:
            raise ConfigError(f"{product} has no sparse vectors: {spec.name!r} is one")
        return
    most = BITS_MAX if spec.dtype == "binary" else able.dim_max
    if not 1 <= spec.dim <= most:
        raise ConfigError(
            f"the vector {spec.name!r} has {spec.dim} dimensions, and 1 to {most} fit"
        )
    metric = _metric(spec)
    if metric not in able.metrics or (spec.dtype == "binary") != (metric in ("hamming", "jaccard")):
        raise ConfigError(f"{product} has no metric {metric!r} for {spec.dtype}: {spec.name!r}")


def _metric(spec: VectorSpec) -> Metric:
    metric = spec.metric or ("dot" if spec.kind == "sparse" else None)
    if metric is None:
        raise ConfigError(
            f"the metric of the vector {spec.name!r} is not known, and its index needs one: "
            f"set collections.metrics"
        )
    return metric


def _index_statements(
    collection: Collection, table: Table, target: str, product: Product
) -> list[str]:
    """Return an HNSW index each vector that can have one; without, a search is exact.

    An IVF index is made of the rows that are there, and here are none: such a source gets
    HNSW, too.
    """
    words = {metric: word for word, metric in METRICS.items()}
    statements = []
    for spec, column in zip(collection.vectors, table.vectors, strict=True):
        if (
            not 1 <= column.dim <= _INDEX_DIMS.get(column.type, 0)
            or str(spec.index.get("type")) == "flat"
        ):
            continue
        opclass = f"{quote(product.schema)}.{column.type}_{words[_metric(spec)]}_ops"
        given = _parameters(spec.index)
        options = f" WITH ({', '.join(given)})" if given else ""
        statements.append(
            f"CREATE INDEX ON {target} USING hnsw ({quote(column.name)} {opclass}){options}"
        )
    return statements


def _parameters(index: Mapping[str, object]) -> list[str]:
    links = index.get("m")
    breadth = index.get("ef_construction", index.get("ef_construct"))
    found = {}
    for name, value in (("m", links), ("ef_construction", breadth)):
        if isinstance(value, int) and value:
            low, high = _BOUNDS[name]
            found[name] = min(max(value, low), high)
    if "ef_construction" in found or "m" in found:  # the breadth is at least twice the links
        found["ef_construction"] = max(found.get("ef_construction", 64), 2 * found.get("m", 16))
    return [f"{name} = {value}" for name, value in found.items()]
