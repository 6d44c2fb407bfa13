"""One index of the scripted service: namespaces whose writes become visible later."""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import orjson

ID_MAX, RECORDS_MAX, METADATA_MAX, DIM_MAX = 512, 1_000, 40_960, 20_000
FETCH_MAX, LIST_MAX, TOP_K_MAX, SPARSE_MAX = 1_000, 100, 10_000, 2_048


class RefusedError(Exception):
    """A request is refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Record(NamedTuple):
    """A stored record: float32 values, shape ``(dim,)``, and the sparse ones as two arrays."""

    values: Any
    sparse: tuple[Any, Any] | None
    metadata: dict[str, Any]


class Change(NamedTuple):
    """A write that is acknowledged: None deletes."""

    number: int
    at: float
    records: dict[str, Record | None]


@dataclass
class Namespace:
    """What is committed, and what reads see of it."""

    number: int = 0
    indexed: int = 0
    seen: dict[str, Record] = field(default_factory=dict)
    waiting: list[Change] = field(default_factory=list)

    def newest(self, native: str) -> Record | None:
        """Return a record as the last write left it."""
        for change in reversed(self.waiting):
            if native in change.records:
                record: Record | None = change.records[native]
                return record
        return self.seen.get(native)


class Index:
    """One index; thread-safe. ``lag_s`` is how long a write stays invisible, infinity holds it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.lag_s = 0.0
        self.namespaces: dict[str, Namespace] = {}
        self._lock = threading.RLock()
        self._sparse = body.get("vector_type") == "sparse"
        self._dim = int(body.get("dimension") or 0)

    def upsert(self, namespace: str, records: list[Any]) -> int:
        """Commit records and return the write's number."""
        if not isinstance(records, list) or not 0 < len(records) <= RECORDS_MAX:
            raise RefusedError(400, f"a request holds 1 to {RECORDS_MAX} records")
        found = {_id(record.get("id")): self._record(record) for record in records}
        return self._commit(namespace, dict(found))

    def update(self, namespace: str, body: Mapping[str, Any]) -> int:
        """Change parts of a record and return the write's number."""
        native = _id(body.get("id"))
        with self._lock:
            self._advance()
            old = self._namespace(namespace).newest(native)
            if old is None:
                return self._commit(namespace, {})
            changed = {
                "values": body.get("values")
                or (None if old.values is None else old.values.tolist()),
                "sparseValues": body.get("sparseValues"),
                "metadata": {**old.metadata, **(body.get("setMetadata") or {})},
            }
            record = self._record({name: inner for name, inner in changed.items() if inner})
            if record.sparse is None:
                record = record._replace(sparse=old.sparse)
            return self._commit(namespace, {native: record})

    def delete(self, namespace: str, body: Mapping[str, Any]) -> int:
        """Delete by ids or everything, and return the write's number."""
        with self._lock:
            self._advance()
            if namespace not in self.namespaces:
                raise RefusedError(404, "Namespace not found")
            if body.get("deleteAll"):
                ids: Iterable[str] = {
                    *self.namespaces[namespace].seen,
                    *(id for change in self.namespaces[namespace].waiting for id in change.records),
                }
            else:
                ids = body.get("ids") or ()
            return self._commit(namespace, dict.fromkeys(ids))

    def fetch(self, namespace: str, ids: list[str]) -> tuple[dict[str, Record], int]:
        """Return the records that are visible, and up to which write."""
        if not 0 < len(ids) <= FETCH_MAX:
            raise RefusedError(400, f"a fetch asks for 1 to {FETCH_MAX} ids")
        with self._lock:
            self._advance()
            held = self._namespace(namespace)
            return {id: held.seen[id] for id in ids if id in held.seen}, held.indexed

    def listed(self, namespace: str, prefix: str, limit: int, after: str) -> list[str]:
        """Return visible ids in the order of their bytes, one more than ``limit`` if there are more."""
        if not 0 < limit <= LIST_MAX:
            raise RefusedError(400, f"a page holds 1 to {LIST_MAX} ids")
        with self._lock:
            self._advance()
            seen = self._namespace(namespace).seen
            ids = [id for id in seen if id.startswith(prefix) and id > after]
        return sorted(ids)[: limit + 1]

    def query(self, namespace: str, body: Mapping[str, Any]) -> tuple[list[Any], int]:
        """Return (score, id, record) by exact search, best first, and up to which write."""
        top_k = body.get("topK")
        if not isinstance(top_k, int) or not 0 < top_k <= TOP_K_MAX:
            raise RefusedError(400, f"topK is 1 to {TOP_K_MAX}")
        with self._lock:
            self._advance()
            held = self._namespace(namespace)
            seen, indexed = list(held.seen.items()), held.indexed
        scored = [(self._score(record, body), id, record) for id, record in seen]
        scored.sort(key=lambda one: one[0], reverse=self.body["metric"] != "euclidean")
        return scored[:top_k], indexed

    def counts(self) -> dict[str, int]:
        """Return the number of visible records of each namespace."""
        with self._lock:
            self._advance()
            return {name: len(held.seen) for name, held in self.namespaces.items() if held.indexed}

    def _namespace(self, name: str) -> Namespace:
        return self.namespaces.get(name) or Namespace()

    def _commit(self, name: str, records: dict[str, Record | None]) -> int:
        with self._lock:
            held = self.namespaces.setdefault(name, Namespace())
            held.number += 1
            held.waiting.append(Change(held.number, time.monotonic(), records))
            return held.number

    def _advance(self) -> None:
        due = time.monotonic() - self.lag_s
        for held in self.namespaces.values():
            while held.waiting and held.waiting[0].at <= due:
                change = held.waiting.pop(0)
                held.indexed = change.number
                for id, record in change.records.items():
                    if record is None:
                        held.seen.pop(id, None)
                    else:
                        held.seen[id] = record

    def _record(self, record: Mapping[str, Any]) -> Record:
        values = None
        if record.get("values"):
            values = np.array(record["values"], "<f4")
        if not self._sparse and (values is None or len(values) != self._dim):
            raise RefusedError(400, f"Vector dimension does not match the index's {self._dim}")
        if self._sparse and values is not None:
            raise RefusedError(400, "Dense vectors do not belong into a sparse index")
        if values is not None and not (np.isfinite(values).all() and values.any()):
            raise RefusedError(400, "Dense vectors must contain at least one non-zero value")
        sparse = _sparse(record.get("sparseValues"))
        if self._sparse and sparse is None:
            raise RefusedError(400, "Sparse vector must contain at least one value")
        return Record(values, sparse, _metadata(record.get("metadata") or {}))

    def _score(self, record: Record, body: Mapping[str, Any]) -> float:
        score = 0.0
        if record.values is not None and body.get("vector"):
            score += self._compared(record.values.astype("f8"), np.array(body["vector"], "f8"))
        if record.sparse is not None and body.get("sparseVector"):
            asked = body["sparseVector"]
            weights = dict(zip(*(part.tolist() for part in record.sparse), strict=True))
            pairs = zip(asked["indices"], asked["values"], strict=True)
            score += sum(weights.get(index, 0.0) * value for index, value in pairs)
        return score

    def _compared(self, row: Any, query: Any) -> float:
        if self.body["metric"] == "euclidean":
            return float(((row - query) ** 2).sum())
        product = float(row @ query)
        if self.body["metric"] == "dotproduct":
            return product
        norms = math.sqrt(float(row @ row) * float(query @ query))
        return product / norms if norms else 0.0


def _id(native: object) -> str:
    if not isinstance(native, str) or not native.isascii() or not 0 < len(native) <= ID_MAX:
        raise RefusedError(400, f"Vector ID must be ASCII, of 1 to {ID_MAX} characters")
    return native


def _sparse(found: Any) -> tuple[Any, Any] | None:
    if not found:
        return None
    indices, values = found.get("indices") or [], found.get("values") or []
    if len(indices) != len(values) or not 0 < len(values) <= SPARSE_MAX:
        raise RefusedError(
            400, "Sparse vector must contain at least one value, and as many indices"
        )
    if len(set(indices)) < len(indices):
        raise RefusedError(400, "Sparse vector has an index twice")
    return np.array(indices, "<u4"), np.array(values, "<f4")


def _metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in found.items():
        texts = isinstance(value, list) and all(isinstance(inner, str) for inner in value)
        if not (texts or isinstance(value, str | bool | int | float)):
            raise RefusedError(
                400, "Metadata value must be a string, number, boolean or list of strings"
            )
        if name.startswith("$"):
            raise RefusedError(400, "Metadata names do not begin with $")
    if len(orjson.dumps(found)) > METADATA_MAX:
        raise RefusedError(
            400, f"Metadata size exceeds the limit of {METADATA_MAX} bytes per vector"
        )
    return {name: _double(value) for name, value in found.items()}


def _double(value: Any) -> Any:
    """Return a number as the double that the service makes of it, spelled as short as it goes."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
