"""The REST of both planes: indexes at ``/indexes``, their points at ``/i/NAME``."""

import base64
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vecferry.testing.pinecone.index import DIM_MAX, LIST_MAX, Index, Record, RefusedError
from vecferry.testing.pinecone.script import Script

BODY_MAX = 2_097_152
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
_METRICS = ("cosine", "euclidean", "dotproduct")
_WRITTEN, _INDEXED = "x-pinecone-request-lsn", "x-pinecone-max-indexed-lsn"

Answer = tuple[Any, Mapping[str, str]]


class Service:
    """All indexes, and what their requests are answered with."""

    def __init__(self, api_key: str | None) -> None:
        self.script = Script()
        self._api_key = api_key
        self._indexes: dict[str, Index] = {}
        self._lock = threading.Lock()

    def application(self) -> Starlette:
        """Return the routes of both planes and of the script."""
        control, data = self._control, self._data
        return Starlette(
            routes=[
                Route("/_script", self._scripted, methods=["GET", "POST"]),
                Route("/indexes", control(self._list), methods=["GET"]),
                Route("/indexes", control(self._create), methods=["POST"]),
                Route("/indexes/{name}", control(self._describe), methods=["GET"]),
                Route("/indexes/{name}", control(self._drop), methods=["DELETE"]),
                Route("/i/{name}/vectors/upsert", data(_upsert), methods=["POST"]),
                Route("/i/{name}/vectors/update", data(_update), methods=["POST"]),
                Route("/i/{name}/vectors/delete", data(_delete), methods=["POST"]),
                Route("/i/{name}/vectors/fetch", data(self._fetch), methods=["GET"]),
                Route("/i/{name}/vectors/list", data(_listed), methods=["GET"]),
                Route("/i/{name}/query", data(_query), methods=["POST"]),
                Route("/i/{name}/describe_index_stats", data(_stats), methods=["GET", "POST"]),
            ]
        )

    def _control(self, answer: Callable[[Request, Any], Answer]) -> Any:
        async def endpoint(request: Request) -> Response:
            return await self._guarded(request, lambda body: answer(request, body))

        return endpoint

    def _data(self, answer: Callable[[Index, Request, Any], Answer]) -> Any:
        async def endpoint(request: Request) -> Response:
            verdict = self.script.judge(request.url.path)
            if verdict.status and not verdict.applied:
                return _refusal(verdict.status, "as the script says", verdict.retry_after_s)

            def work(body: Any) -> Answer:
                index = self._index(request.path_params["name"])
                lag_s = self.script.plan.lag_s
                index.lag_s = lag_s if lag_s >= 0 else float("inf")
                return answer(index, request, body)

            response = await self._guarded(request, work)
            if verdict.status:
                return _refusal(verdict.status, "after it was carried out", verdict.retry_after_s)
            return response

        return endpoint

    async def _guarded(self, request: Request, work: Callable[[Any], Answer]) -> Response:
        if self._api_key is not None and request.headers.get("api-key") != self._api_key:
            return _refusal(401, "Invalid API Key")
        raw = await request.body()
        if len(raw) > BODY_MAX:
            return _refusal(400, f"the request is larger than {BODY_MAX} bytes")
        try:
            body = orjson.loads(raw) if raw else {}
            answer, headers = await run_in_threadpool(work, body)
        except RefusedError as error:
            return _refusal(error.status, str(error))
        except (orjson.JSONDecodeError, TypeError, ValueError, AttributeError) as error:
            return _refusal(400, f"the request cannot be read: {type(error).__name__}")
        return Response(orjson.dumps(answer), 200, dict(headers), "application/json")

    async def _scripted(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.script.set(orjson.loads(await request.body()))
            except ValueError as error:
                return _refusal(400, str(error))
        return Response(orjson.dumps(self.script.counts()), media_type="application/json")

    def _index(self, name: str) -> Index:
        with self._lock:
            index = self._indexes.get(name)
        if index is None:
            raise RefusedError(404, f"Resource {name} not found")
        return index

    def _list(self, request: Request, body: Any) -> Answer:
        with self._lock:
            indexes = list(self._indexes.values())
        return {"indexes": [_described(index, request) for index in indexes]}, {}

    def _create(self, request: Request, body: Any) -> Answer:
        _require_creatable(body)
        with self._lock:
            if body["name"] in self._indexes:
                raise RefusedError(409, "Resource already exists")
            self._indexes[body["name"]] = index = Index(body)
        return _described(index, request), {}

    def _describe(self, request: Request, body: Any) -> Answer:
        return _described(self._index(request.path_params["name"]), request), {}

    def _drop(self, request: Request, body: Any) -> Answer:
        name = request.path_params["name"]
        self._index(name)
        with self._lock:
            self._indexes.pop(name, None)
        return {}, {}

    def _fetch(self, index: Index, request: Request, body: Any) -> Answer:
        namespace = _namespace(request.query_params.get("namespace"))
        found, indexed = index.fetch(namespace, request.query_params.getlist("ids"))
        tells = self.script.plan.fetch_tells
        vectors = {id: _record(id, record) for id, record in found.items()}
        answer = {"vectors": vectors, "namespace": namespace}
        return answer, {_INDEXED: str(indexed)} if tells else {}


def _upsert(index: Index, request: Request, body: Any) -> Answer:
    number = index.upsert(_namespace(body.get("namespace")), body.get("vectors"))
    return {"upsertedCount": len(body["vectors"])}, {_WRITTEN: str(number)}


def _update(index: Index, request: Request, body: Any) -> Answer:
    return {}, {_WRITTEN: str(index.update(_namespace(body.get("namespace")), body))}


def _delete(index: Index, request: Request, body: Any) -> Answer:
    return {}, {_WRITTEN: str(index.delete(_namespace(body.get("namespace")), body))}


def _listed(index: Index, request: Request, body: Any) -> Answer:
    asked = request.query_params
    namespace = _namespace(asked.get("namespace"))
    limit = int(asked.get("limit", LIST_MAX))
    token = asked.get("paginationToken", "")
    after = base64.urlsafe_b64decode(token).decode() if token else ""
    ids = index.listed(namespace, asked.get("prefix", ""), limit, after)
    answer: dict[str, Any] = {
        "vectors": [{"id": id} for id in ids[:limit]],
        "namespace": namespace,
    }
    if len(ids) > limit:
        answer["pagination"] = {"next": base64.urlsafe_b64encode(ids[limit - 1].encode()).decode()}
    return answer, {}


def _query(index: Index, request: Request, body: Any) -> Answer:
    found, indexed = index.query(_namespace(body.get("namespace")), body)
    matches = []
    for score, id, record in found:
        whole = _record(id, record)
        shown = {"values": body.get("includeValues"), "sparseValues": body.get("includeValues")}
        shown["metadata"] = body.get("includeMetadata")
        kept = {name: inner for name, inner in whole.items() if shown.get(name, True)}
        matches.append({**kept, "score": score})
    return {"matches": matches, "namespace": body.get("namespace") or ""}, {_INDEXED: str(indexed)}


def _stats(index: Index, request: Request, body: Any) -> Answer:
    counts = index.counts()
    return {
        "namespaces": {
            name or "__default__": {"vectorCount": count} for name, count in counts.items()
        },
        "dimension": index.body.get("dimension"),
        "indexFullness": 0.0,
        "totalVectorCount": sum(counts.values()),
        "metric": index.body["metric"],
        "vectorType": index.body.get("vector_type", "dense"),
    }, {}


def _record(id: str, record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"id": id}
    found["values"] = [] if record.values is None else record.values.tolist()
    if record.sparse is not None:
        indices, values = record.sparse
        found["sparseValues"] = {"indices": indices.tolist(), "values": values.tolist()}
    if record.metadata:
        found["metadata"] = record.metadata
    return found


def _described(index: Index, request: Request) -> dict[str, Any]:
    host = f"{request.url.netloc}/i/{index.body['name']}"
    return {
        "vector_type": "dense",
        "deletion_protection": "disabled",
        **index.body,
        "host": host,
        "status": {"ready": True, "state": "Ready"},
    }


def _require_creatable(body: Any) -> None:
    if not isinstance(body.get("name"), str) or not _NAME.fullmatch(body["name"]):
        raise RefusedError(400, "Name must consist of lower case alphanumeric characters or '-'")
    if body.get("metric") not in _METRICS or not body.get("spec"):
        raise RefusedError(422, f"metric is one of {_METRICS}, and spec is needed")
    if body.get("vector_type", "dense") == "sparse":
        if body.get("dimension") is not None or body["metric"] != "dotproduct":
            raise RefusedError(400, "a sparse index has no dimension, and the metric dotproduct")
    elif not isinstance(body.get("dimension"), int) or not 1 <= body["dimension"] <= DIM_MAX:
        raise RefusedError(400, f"dimension is 1 to {DIM_MAX}")


def _namespace(given: str | None) -> str:
    name = given or ""
    if not name.isascii() or len(name) > 512 or "\0" in name:
        raise RefusedError(400, "Namespace must be ASCII, of at most 512 characters")
    return "" if name == "__default__" else name


def _refusal(status: int, message: str, retry_after_s: float | None = None) -> Response:
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    body = {"error": {"code": "REFUSED", "message": message}, "status": status}
    return Response(orjson.dumps(body), status, headers, "application/json")
