"""Indexes: listed, described, made and counted; a collection is an index."""

import difflib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from vecferry.errors import ConfigError, HaltError
from vecferry.model import Collection, Metric, VectorSpec
from vecferry.stores.pinecone.connect import API_VERSION, Call, Connection
from vecferry.stores.pinecone.creation import DENSE_TAG, SPARSE_TAG, creation_body
from vecferry.stores.pinecone.places import DENSE_DEFAULT, SPARSE_DEFAULT, namespace_of

_METRICS: Mapping[str, Metric] = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "dot"}
_SAMPLE_IDS, _SAMPLE_NAMESPACES = 100, 4
_READY_MAX_S, _READY_PAUSE_S = 300.0, 1.0


class Layout(NamedTuple):
    """What hot paths need of an index.

    Attributes:
        url: Its own address.
        dense: Its dense vector, None for an index of sparse ones.
        sparse: Its sparse vector, None where its points have none.
        metric: In Pinecone's word.
    """

    url: str
    dense: VectorSpec | None
    sparse: VectorSpec | None
    metric: str

    @classmethod
    def of(cls, collection: Collection) -> "Layout":
        """Return the layout of a collection that need not be there."""
        kinds = {spec.kind: spec for spec in reversed(collection.vectors)}
        return cls("", kinds.get("dense"), kinds.get("sparse"), "")

    @property
    def specs(self) -> tuple[VectorSpec, ...]:
        """The vectors there are, the dense one first."""
        return tuple(spec for spec in (self.dense, self.sparse) if spec is not None)


class Schemas:
    """The schema part of the store; remembers layouts, which hot paths need."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._layouts: dict[str, Layout] = {}

    def version(self) -> str:
        """Return product and version of the API; tries address and key."""
        self._list(f"connecting to {self._connection.base}", first=True)
        return f"Pinecone API {API_VERSION}"

    def collections(self) -> list[str]:
        """Return the names of all indexes, sorted."""
        return sorted(index["name"] for index in self._list("listing the indexes"))

    def describe(self, name: str) -> Collection:
        """Return the schema as Pinecone reports it, and remember its layout.

        Whether points of an index of dense vectors have sparse ones, too, no
        schema says: the tag that ``create`` set does, else a sample of points.
        """
        index = self._index(name)
        if index is None:
            raise ConfigError(self._missing(name))
        if "pod" in (index.get("spec") or {}):
            raise ConfigError(
                f"{name!r} is an index of pods, whose ids Pinecone does not list: "
                "migrate it to a serverless one first, as its console offers"
            )
        self._layouts[name] = layout = self._read_layout(index)
        natives = self.namespaces(name)
        return Collection(
            name=name,
            vectors=layout.specs,
            id_types=frozenset({"str"}),
            id_bytes_max=512,
            namespaces=tuple(sorted(found for found in map(namespace_of, natives) if found)),
            options={
                word: index[word]
                for word in ("spec", "embed", "deletion_protection", "tags")
                if index.get(word)
            },
        )

    def layout(self, name: str, *, fresh: bool = False) -> Layout:
        """Return what is remembered of an index.

        Raises:
            HaltError: There is no such index any more.
        """
        if fresh or name not in self._layouts:
            index = self._index(name)
            if index is None:
                raise HaltError(f"the index {name!r} is not there; look at it, then start again")
            self._layouts[name] = self._read_layout(index)
        return self._layouts[name]

    def create(self, collection: Collection) -> None:
        """Create an empty index and return when it takes points; never half of one."""
        if self._index(collection.name) is not None:
            raise ConfigError(f"{collection.name!r} exists already")
        body = orjson.dumps(creation_body(collection))
        doing = f"creating {collection.name!r}"
        self._connection.call(Call("POST", self._url(), doing, body=body, writes=True, first=True))
        try:
            self._wait_ready(collection.name)
        except BaseException:
            self.drop(collection.name)
            raise

    def drop(self, name: str) -> None:
        """Remove an index; one that is not there is fine."""
        self._layouts.pop(name, None)
        doing = f"dropping {name!r}"
        self._connection.call(
            Call("DELETE", self._url(name), doing, writes=True, first=True, absent_ok=True)
        )
        deadline = time.monotonic() + _READY_MAX_S
        while self._index(name) is not None and time.monotonic() < deadline:
            time.sleep(_READY_PAUSE_S)  # it is terminating, and its name is still taken

    def namespaces(self, name: str) -> dict[str, int]:
        """Return the number of points by native name of each namespace, in order."""
        url = f"{self.layout(name).url}/describe_index_stats"
        reply = self._connection.call(Call("POST", url, f"counting {name!r}", body=b"{}"))
        found: dict[str, int] = {}
        for native, inner in (reply.body.get("namespaces") or {}).items():
            place = "" if native == "__default__" else native
            found[place] = found.get(place, 0) + int(inner.get("vectorCount") or 0)
        return dict(sorted(found.items()))

    def _list(self, doing: str, *, first: bool = False) -> list[dict[str, Any]]:
        reply = self._connection.call(Call("GET", self._url(), doing, first=first))
        indexes = reply.body.get("indexes") if isinstance(reply.body, dict) else None
        if not isinstance(indexes, list):
            raise ConfigError(f"{doing}: this is not Pinecone's API; url is the control plane's")
        return indexes

    def _index(self, name: str) -> dict[str, Any] | None:
        doing = f"describing {name!r}"
        reply = self._connection.call(Call("GET", self._url(name), doing, absent_ok=True))
        found: dict[str, Any] | None = reply.body
        return found

    def _url(self, name: str | None = None) -> str:
        indexes = f"{self._connection.base}/indexes"
        return indexes if name is None else f"{indexes}/{name}"

    def _missing(self, name: str) -> str:
        known = self.collections()
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
        return f"there is no index {name!r}: {hint}"

    def _wait_ready(self, name: str) -> None:
        deadline = time.monotonic() + _READY_MAX_S
        while True:
            index = self._index(name)
            if index is not None and (index.get("status") or {}).get("ready") and index.get("host"):
                self._layouts[name] = self._read_layout(index)
                return
            if time.monotonic() > deadline:
                raise ConfigError(f"{name!r} is not ready after {_READY_MAX_S:g} s")
            time.sleep(_READY_PAUSE_S)

    def _read_layout(self, index: Mapping[str, Any]) -> Layout:
        host = index.get("host")
        if not host:
            raise ConfigError(f"{index['name']!r} is not ready: it has no host yet")
        url, tags, metric = (
            self._connection.host_url(host),
            index.get("tags") or {},
            index["metric"],
        )
        words = {"type": "managed", "spec": dict(index.get("spec") or {})}
        sparse_name = tags.get(SPARSE_TAG) or SPARSE_DEFAULT
        sparse = VectorSpec(sparse_name, "sparse", metric="dot", index=words)
        if index.get("vector_type") == "sparse":
            return Layout(url, None, sparse, metric)
        dense = VectorSpec(
            tags.get(DENSE_TAG) or DENSE_DEFAULT,
            dim=int(index.get("dimension") or 0),
            metric=_METRICS.get(metric),
            index=words,
        )
        both = SPARSE_TAG in tags or (
            DENSE_TAG not in tags
            and metric == "dotproduct"
            and self._has_sparse(url, index["name"])
        )
        return Layout(url, dense, sparse if both else None, metric)

    def _has_sparse(self, url: str, name: str) -> bool:
        return any(record.get("sparseValues") for record in self._sample(url, name))

    def _sample(self, url: str, name: str) -> Iterator[dict[str, Any]]:
        doing = f"sampling {name!r}"
        stats = self._connection.call(
            Call("POST", f"{url}/describe_index_stats", doing, body=b"{}")
        ).body
        for namespace in list(stats.get("namespaces") or {})[:_SAMPLE_NAMESPACES]:
            where = ("namespace", namespace)
            params = [where, ("limit", str(_SAMPLE_IDS))]
            listed = self._connection.call(
                Call("GET", f"{url}/vectors/list", doing, params, absent_ok=True)
            ).body
            ids = [("ids", found["id"]) for found in (listed or {}).get("vectors") or ()]
            if ids:
                reply = self._connection.call(
                    Call("GET", f"{url}/vectors/fetch", doing, [where, *ids[:20]])
                )
                yield from (reply.body.get("vectors") or {}).values()
