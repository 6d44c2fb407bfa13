"""The REST API, as Starlette routes; what has no route is refused by its path."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from vecferry.testing.qdrant_server import reads, writes
from vecferry.testing.qdrant_server.collection import Collection
from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.queries import from_search
from vecferry.testing.qdrant_server.reconfigure import update_collection
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    NotFoundError,
    NotImplementedHereError,
    RefusalError,
    TooLargeError,
)
from vecferry.testing.qdrant_server.server import Server
from vecferry.testing.qdrant_server.values import id_json, record_json, scored_json

BODY_BYTES_MAX = 32 * 1024 * 1024
"""Qdrant's own default."""

_PARAMETERS = frozenset({"wait", "ordering", "timeout", "consistency"})


class Call(NamedTuple):
    """One request: the collection's name, the other path parameters, the query, the JSON body."""

    server: Server
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def collection(self) -> Collection:
        """The collection that the path names."""
        return self.server.catalog.get(self.path["name"])

    def result(self, number: int) -> dict[str, Any]:
        """Return the result of a write."""
        waited = self.query.get("wait", "false") == "true"
        status = "completed" if waited else "acknowledged"
        return {"operation_id": number, "status": status}


Action = Callable[[Call], Any]


def _records(found: reads.Selected) -> list[Any]:
    return [record_json(one, found.with_payload, found.with_vector) for one in found.records]


def _scored(found: reads.Selected) -> list[Any]:
    return [scored_json(one, found.with_payload, found.with_vector) for one in found.records]


def _scroll(call: Call) -> Any:
    page = reads.scroll(call.collection, call.body)
    following = None if page.next_offset is None else id_json(page.next_offset)
    return {"points": _records(page), "next_page_offset": following}


def _point(call: Call) -> Any:
    name = call.path["id"]
    body = {
        "ids": [int(name) if name.isdigit() else name],
        "with_payload": True,
        "with_vector": True,
    }
    found = _records(reads.retrieve(call.collection, body))
    if not found:
        raise NotFoundError(f"Not found: Point with id {name} does not exists!")
    return found[0]


def _facet(call: Call) -> Any:
    hits = reads.facet(call.collection, call.body)
    return {"hits": [{"value": value, "count": number} for value, number in hits]}


def _searches(call: Call) -> list[Any]:
    fields = Fields(call.body, "a batch of searches")
    bodies = listed(fields.need("searches"), "searches")
    fields.close()
    return bodies


def _update(call: Call) -> Any:
    body = dict(call.body) if isinstance(call.body, dict) else call.body
    return update_collection(call.collection, body)


def _write(write: Callable[[Collection, Any], int]) -> Action:
    return lambda call: call.result(write(call.collection, call.body))


def _search(read: Callable[[reads.Selected], Any], body: Callable[[Any], Any]) -> Action:
    return lambda call: read(reads.search(call.collection, body(call.body)))


_C = "/collections/{name}"
_COLLECTIONS: dict[tuple[str, str], Action] = {
    ("GET", "/collections"): lambda call: {
        "collections": [{"name": name} for name in call.server.catalog.names()]
    },
    ("GET", "/aliases"): lambda call: {"aliases": call.server.catalog.aliases()},
    ("POST", "/collections/aliases"): lambda call: call.server.catalog.change_aliases(call.body),
    ("GET", _C): lambda call: call.collection.describe(),
    ("PUT", _C): lambda call: call.server.catalog.create(call.path["name"], call.body),
    ("PATCH", _C): _update,
    ("DELETE", _C): lambda call: call.server.catalog.delete(call.path["name"]),
    ("GET", f"{_C}/exists"): lambda call: {"exists": call.server.catalog.exists(call.path["name"])},
    ("GET", f"{_C}/aliases"): lambda call: {
        "aliases": call.server.catalog.aliases(call.path["name"])
    },
}
_READS: dict[tuple[str, str], Action] = {
    ("POST", f"{_C}/points"): lambda call: _records(reads.retrieve(call.collection, call.body)),
    ("GET", f"{_C}/points/{{id}}"): _point,
    ("POST", f"{_C}/points/scroll"): _scroll,
    ("POST", f"{_C}/points/count"): lambda call: {"count": reads.count(call.collection, call.body)},
    ("POST", f"{_C}/points/query"): _search(
        lambda found: {"points": _scored(found)}, lambda body: body
    ),
    ("POST", f"{_C}/points/query/batch"): lambda call: [
        {"points": _scored(reads.search(call.collection, one))} for one in _searches(call)
    ],
    ("POST", f"{_C}/points/search"): _search(_scored, from_search),
    ("POST", f"{_C}/points/search/batch"): lambda call: [
        _scored(reads.search(call.collection, from_search(one))) for one in _searches(call)
    ],
    ("POST", f"{_C}/facet"): _facet,
}
_WRITES: dict[tuple[str, str], Action] = {
    ("PUT", f"{_C}/points"): _write(writes.upsert),
    ("POST", f"{_C}/points/delete"): _write(writes.delete),
    ("PUT", f"{_C}/points/vectors"): _write(writes.update_vectors),
    ("POST", f"{_C}/points/vectors/delete"): _write(writes.delete_vectors),
    ("POST", f"{_C}/points/payload"): _write(writes.set_payload),
    ("PUT", f"{_C}/points/payload"): _write(writes.overwrite_payload),
    ("POST", f"{_C}/points/payload/delete"): _write(writes.delete_payload),
    ("POST", f"{_C}/points/payload/clear"): _write(writes.clear_payload),
    ("POST", f"{_C}/points/batch"): lambda call: [
        call.result(number) for number in writes.batch(call.collection, call.body)
    ],
    ("PUT", f"{_C}/index"): _write(writes.create_index),
    ("DELETE", f"{_C}/index/{{field:path}}"): lambda call: call.result(
        call.collection.drop_index(call.path["field"])
    ),
}


def _set_faults(call: Call) -> Any:
    call.server.faults.set(call.body or {})
    return call.server.faults.describe()


_FAULTS: dict[tuple[str, str], Action] = {
    ("GET", "/_faults"): lambda call: call.server.faults.describe(),
    ("POST", "/_faults"): _set_faults,
}


def application(server: Server) -> Starlette:
    """Return the REST API over a server."""
    routes = [
        Route("/", _root(server)),
        *(Route(path, _plain(text)) for path, text in _PROBES.items()),
    ]
    # First what changes nothing, so that `/collections/aliases` is not a collection.
    for table, faults in ((_COLLECTIONS, None), (_FAULTS, None), (_READS, False), (_WRITES, True)):
        for (method, path), action in table.items():
            routes.append(Route(path, _endpoint(server, action, faults), methods=[method]))
    routes.append(Route("/{path:path}", _endpoint(server, None, None), methods=_ALL_METHODS))
    return Starlette(routes=routes)


_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_PROBES = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}


def _root(server: Server) -> Callable[[Request], Any]:
    async def root(request: Request) -> Response:
        return _json({"title": "qdrant - vector search engine", "version": server.version})

    return root


def _plain(text: str) -> Callable[[Request], Any]:
    async def probe(request: Request) -> Response:
        return PlainTextResponse(text)

    return probe


def _endpoint(
    server: Server, action: Action | None, write: bool | None
) -> Callable[[Request], Any]:
    """Wrap an action; ``write`` is None for what no fault touches."""

    async def endpoint(request: Request) -> Response:
        began = time.monotonic()
        body = await request.body()

        def run() -> Response:
            try:
                result = _run(server, action, write, request, body)
            except RefusalError as refusal:
                return _refused(refusal, time.monotonic() - began)
            elapsed = time.monotonic() - began
            return _json({"result": result, "status": "ok", "time": elapsed})

        return await run_in_threadpool(run)

    return endpoint


def _run(
    server: Server, action: Action | None, write: bool | None, request: Request, body: bytes
) -> Any:
    headers = request.headers
    server.require_key(headers.get("api-key"), headers.get("authorization"))
    if action is None:
        raise NotImplementedHereError(f"{request.method} {request.url.path} is not implemented")
    unknown = request.query_params.keys() - _PARAMETERS
    if unknown:
        raise BadInputError(f"unknown query parameter {', '.join(sorted(unknown))}")
    if len(body) > BODY_BYTES_MAX:
        raise TooLargeError(
            f"Payload error: JSON payload ({len(body)} bytes) is larger than allowed "
            f"(limit: {BODY_BYTES_MAX} bytes)."
        )
    try:
        parsed = orjson.loads(body) if body else None
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"Format error in JSON body: {error}") from error
    call = Call(server, request.path_params, request.query_params, parsed)
    if write is None:
        return action(call)
    return server.faults.around(write, lambda: action(call))


def _refused(refusal: RefusalError, elapsed: float) -> Response:
    body = {"status": {"error": str(refusal)}, "time": elapsed}
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return _json(body, refusal.status, headers)


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )
