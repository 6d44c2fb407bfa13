"""Nearest neighbours, for comparing two sides."""

import json
from collections.abc import Sequence
from typing import Any

from pymilvus.grpc_gen import common_pb2

from vecferry.errors import ConfigError
from vecferry.model import Vector
from vecferry.ports import Hit, Ref
from vecferry.stores.milvus.connect import Connection
from vecferry.stores.milvus.rows import read_keys
from vecferry.stores.milvus.schema import indexes
from vecferry.stores.milvus.shape import DEFAULT_PARTITION, Column, Shape
from vecferry.stores.milvus.vectors import query_bytes
from vecferry.stores.milvus.wire import PlaceholderGroup, SearchRequest, SearchResults

_DISTANCES = ("L2", "HAMMING", "JACCARD")
_EF_MAX = 32_768
_NPROBE_MAX = 65_536
_PAGE_QUERIES = 64


def search(
    connection: Connection,
    shape: Shape,
    ref: Ref,
    asked: tuple[str, Sequence[Vector]],
    wanted: tuple[int, bool],
) -> list[list[Hit]]:
    """Return the best hits of each query, best first, of all partitions together.

    Milvus has no search that goes round its index. ``exact`` asks the index for
    the most it can give: every list of an IVF index, a candidate list of 32,768
    of an HNSW one (which visits every row of a collection of that size). A FLAT
    index is exact by itself.

    Raises:
        ConfigError: There is no such vector, or it has no index.
    """
    name, queries = asked
    k, exact = wanted
    column = shape.vector(name)
    if column is None:
        has = ", ".join(repr(one.name) for one in shape.vectors)
        raise ConfigError(f"{shape.name!r} has no vector {name!r}: it has {has}")
    index = indexes(connection, shape.name).get(name)
    if index is None:
        raise ConfigError(f"the vector {name!r} of {shape.name!r} has no index to search with")
    metric = str(index.get("metric_type", ""))
    params = _params(str(index.get("index_type", "")), index, k, exact)
    partitions = sorted(shape.partitions) if shape.partitioned else [DEFAULT_PARTITION]
    found: list[list[Hit]] = []
    for start in range(0, len(queries), _PAGE_QUERIES):
        page = queries[start : start + _PAGE_QUERIES]
        request = _request(shape, column, page)
        for key, value in {"topk": k, "metric_type": metric, "params": params}.items():
            text = value if isinstance(value, str) else json.dumps(value)
            request.search_params.add(key=key, value=text)
        request.search_params.add(key="anns_field", value=name)
        request.search_params.add(key="round_decimal", value="-1")
        hits: list[list[Hit]] = [[] for _ in page]
        for partition in partitions:
            _search_partition(connection, (shape, ref, partition), request, hits)
        for one in hits:
            one.sort(key=lambda hit: hit.score, reverse=metric not in _DISTANCES)
        found += [one[:k] for one in hits]
    return found


def _params(kind: str, index: dict[str, object], k: int, exact: bool) -> dict[str, object]:
    if kind.startswith("HNSW"):
        return {"ef": max(k, _EF_MAX if exact else 2 * k + 64)}
    if "IVF" in kind:
        lists = int(str(index.get("nlist", 128)))
        return {"nprobe": min(lists, _NPROBE_MAX) if exact else max(1, lists // 16)}
    if kind == "DISKANN":
        return {"search_list": max(k, _EF_MAX if exact else 2 * k + 64)}
    return {}


def _request(shape: Shape, column: Column, queries: Sequence[Vector]) -> Any:
    group = PlaceholderGroup()
    # the placeholder types have the numbers of the field types
    group.placeholders.add(
        tag="$0", type=column.type, values=[query_bytes(column, query) for query in queries]
    )
    return SearchRequest(
        collection_name=shape.name,
        placeholder_group=group.SerializeToString(),
        dsl_type=common_pb2.BoolExprV1,
        output_fields=[shape.pk.name, *(["$meta"] if shape.dynamic else [])],
        nq=len(queries),
        consistency_level=common_pb2.Strong,
    )


def _search_partition(
    connection: Connection,
    where: tuple[Shape, Ref, str],
    request: Any,
    hits: list[list[Hit]],
) -> None:
    shape, ref, partition = where
    del request.partition_names[:]
    if shape.partitioned:
        request.partition_names.append(partition)
    reply = connection.call(request, SearchResults, f"searching {shape.name!r}")
    results = reply.results
    natives = results.ids.int_id.data if shape.int_keys else results.ids.str_id.data
    keys = read_keys(results.fields_data, list(natives), (shape, ref.logical, partition))
    at = 0
    for query, number in enumerate(results.topks):
        for place in range(at, at + number):
            hits[query].append(Hit(keys[place], results.scores[place]))
        at += number
