"""What a captured Milvus client has to know of a collection, and what a filter finds there."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from pymilvus import DataType

from vecferry.producers.feeds.clients.steps import Ask, Step, Wait
from vecferry.producers.feeds.clients.touches import Ids, Matching
from vecferry.producers.feeds.clients.wrapping import Asked
from vecferry.stores.milvus.expressions import behind
from vecferry.stores.milvus.shape import DEFAULT_PARTITION, namespace_of

_PAGE = 4_096


class Shape(NamedTuple):
    """A collection.

    Attributes:
        name: Its own, not an alias.
        pk: Its primary key's field.
        int_keys: Whether that is an INT64, else a VARCHAR.
        auto_id: Whether Milvus chooses the keys.
        partitioned: Whether its partitions are namespaces: those of a partition key are not.
    """

    name: str
    pk: str
    int_keys: bool
    auto_id: bool
    partitioned: bool

    def key(self, value: Any) -> int | str:
        """Return a primary key as Milvus reads it.

        Raises:
            ValueError, TypeError: It is none.
        """
        return int(value) if self.int_keys else str(value)

    def keys(self, values: Any) -> list[int | str]:
        """Return those that are keys; Milvus refuses the request for any other."""
        found: list[int | str] = []
        for value in values:
            try:
                found.append(self.key(value))
            except (ValueError, TypeError):
                continue  # nothing can be written under it
        return found

    def namespace(self, partition: str | None) -> str:
        """Return the namespace of a partition."""
        return namespace_of(partition or DEFAULT_PARTITION) if self.partitioned else ""


def shape_of(asked: Asked, *, anew: bool = False) -> Generator[Step, Any, Shape]:
    """Look a collection up: once where it moves, at each request where the name may be an alias."""
    feed, cache = asked.captive.feed, asked.captive.cache
    name = str(asked.arguments.get("collection_name", ""))
    if not feed.is_open:
        yield Wait(lambda: feed.collections)
    if name in cache and not anew:
        found: Shape = cache[name]
        return found
    described = yield Ask("describe_collection", {"collection_name": name})
    shape = _shape(described)
    if name == shape.name and name in feed.collections:
        cache[name] = shape
    return shape


def namespaces(shape: Shape, partition: str | None) -> Generator[Step, Any, list[str]]:
    """Return the partitions that a request without one reaches: every one."""
    if not shape.partitioned:
        return [""]
    if partition:
        return [partition]
    return list((yield Ask("list_partitions", {"collection_name": shape.name})))


def matching(shape: Shape, given: Mapping[str, Any], partitions: list[str]) -> Matching:
    """Return what a delete's filter touches, partition by partition, in pages by primary key."""
    return Matching(shape.name, "delete", _finder(shape, given, partitions))


def _finder(
    shape: Shape, given: Mapping[str, Any], partitions: list[str]
) -> Callable[[], Generator[Ask | Ids, Any, None]]:
    def find() -> Generator[Ask | Ids, Any, None]:
        for partition in partitions:
            last: int | str | None = None
            while True:
                rows = yield Ask("query", _query(shape, given, (partition, last)))
                if not rows:
                    break
                keys = sorted(shape.keys(row[shape.pk] for row in rows))
                yield [(shape.namespace(partition), key) for key in keys]
                last = keys[-1]

    return find


def _query(
    shape: Shape, given: Mapping[str, Any], place: tuple[str, int | str | None]
) -> dict[str, Any]:
    partition, last = place
    expression = given["filter"]
    if last is not None:
        expression = f"({expression}) and {behind(shape.pk, last)}"
    query: dict[str, Any] = {
        "collection_name": shape.name,
        "filter": expression,
        "output_fields": [shape.pk],
        "limit": _PAGE,
        "consistency_level": "Strong",
        # without these two a page is any rows, in any order
        "iterator": "True",
        "reduce_stop_for_best": True,
    }
    if partition:
        query["partition_names"] = [partition]
    if "filter_params" in given:
        query["filter_params"] = given["filter_params"]
    return query


def _shape(described: Mapping[str, Any]) -> Shape:
    fields = described["fields"]
    pk = next(field for field in fields if field.get("is_primary"))
    return Shape(
        described["collection_name"],
        pk["name"],
        pk["type"] == DataType.INT64,
        bool(pk.get("auto_id") or described.get("auto_id")),
        not any(field.get("is_partition_key") for field in fields),
    )
