import pytest

from vecferry.producers.feeds.proxy.refusals import RefusalError
from vecferry.producers.feeds.proxy.routes import Effect, rest_route, rpc_route

C = b"/collections/docs"


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("PUT", C + b"/points", "upsert"),
        ("POST", C + b"/points/delete", "delete"),
        ("PUT", C + b"/points/vectors", "update_vectors"),
        ("POST", C + b"/points/vectors/delete", "delete_vectors"),
        ("POST", C + b"/points/payload", "set_payload"),
        ("PUT", C + b"/points/payload", "overwrite_payload"),
        ("POST", C + b"/points/payload/delete", "delete_payload"),
        ("POST", C + b"/points/payload/clear", "clear_payload"),
        ("POST", C + b"/points/batch", "batch"),
    ],
)
def test_a_write_of_points_is_known_by_its_path(method: str, path: bytes, operation: str) -> None:
    route = rest_route(method, path)
    assert (route.effect, route.operation, route.collection) == (Effect.POINTS, operation, "docs")


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("DELETE", b""),
        ("DELETE", b"/vectors/title"),
        ("POST", b"/shards/delete"),
        ("POST", b"/cluster"),
        ("PUT", b"/snapshots/recover"),
        ("POST", b"/snapshots/upload"),
        ("PUT", b"/shards/0/snapshots/recover"),
        ("POST", b"/shards/0/snapshots/upload"),
    ],
)
def test_what_may_change_anything_concerns_the_whole_collection(method: str, rest: bytes) -> None:
    route = rest_route(method, C + rest)
    assert (route.effect, route.collection) == (Effect.WHOLE, "docs")


def test_a_collection_is_made_by_a_put() -> None:
    assert rest_route("PUT", C).effect is Effect.CREATE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", b"/anything/at/all"),
        ("HEAD", C),
        ("POST", C + b"/points"),
        ("POST", C + b"/points/scroll"),
        ("POST", C + b"/points/count"),
        ("POST", C + b"/points/query/batch"),
        ("POST", C + b"/points/search/matrix/pairs"),
        ("POST", C + b"/points/recommend/groups"),
        ("POST", C + b"/facet"),
        ("PATCH", C),
        ("PUT", C + b"/index"),
        ("DELETE", C + b"/index/delete"),
        ("PUT", C + b"/shards"),
        ("POST", C + b"/snapshots"),
        ("DELETE", C + b"/snapshots/one.snapshot"),
        ("POST", b"/collections/aliases"),
        ("POST", b"/snapshots"),
    ],
)
def test_what_writes_no_point_passes(method: str, path: bytes) -> None:
    assert rest_route(method, path).effect is Effect.PASS


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", C + b"/points/teleport"),
        ("POST", C + b"/points/delete/all"),
        ("PUT", C + b"/points/1"),
        ("DELETE", C + b"/points"),
        ("POST", C),
        ("DELETE", b"/cluster/peer/7"),
        ("POST", b"/cluster/recover"),
        ("POST", b"/"),
        ("PATCH", C + b"/points"),
        ("BREW", C + b"/points"),
        ("post", C + b"/points/scroll"),
    ],
)
def test_what_nobody_knows_is_refused(method: str, path: bytes) -> None:
    try:
        assert rest_route(method, path).effect is Effect.REFUSE
    except RefusalError:
        assert path.endswith(b"/")


@pytest.mark.parametrize(
    "path",
    [
        b"/collections/docs/index/..",
        b"/collections/docs/index/%2e%2e",
        b"//collections/docs/points/scroll",
        b"/collections/docs/points/scroll/",
        b"/collections/a%2Fpoints/points/scroll",
        b"/collections/a%5Cb/points/scroll",
        b"/collections/%ff/points/scroll",
        b"http://elsewhere/collections/docs/points",
    ],
)
def test_a_path_that_another_parser_may_read_otherwise_is_refused(path: bytes) -> None:
    with pytest.raises(RefusalError):
        rest_route("DELETE" if b"index" in path else "POST", path)


def test_a_name_is_decoded() -> None:
    assert rest_route("PUT", b"/collections/a%20b/points").collection == "a b"


def test_every_path_of_the_official_client_is_known() -> None:
    import re
    from pathlib import Path

    from qdrant_client.http import api

    found = []
    for file in Path(api.__file__).parent.glob("*.py"):
        pattern = r'type_=[^\n]*\n\s*method="(\w+)",\s*url="([^"]+)"'
        found += re.findall(pattern, file.read_text())
    assert len(found) > 60
    refused = {
        f"{method} {url}"
        for method, url in found
        if rest_route(method, re.sub(r"\{\w+\}", "x", url).encode()).effect is Effect.REFUSE
    }
    assert refused == {"POST /cluster/recover", "DELETE /cluster/peer/{peer_id}"}


def test_every_method_of_the_protocol_is_known_and_writes_are_no_reads() -> None:
    from qdrant_client.grpc import (
        collections_service_pb2,
        points_service_pb2,
        qdrant_pb2,
        snapshots_service_pb2,
    )

    effects: dict[str, Effect] = {}
    for file in (collections_service_pb2, points_service_pb2, qdrant_pb2, snapshots_service_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                name = f"/{service.full_name}/{method.name}"
                effects[name] = rpc_route(name).effect
    assert Effect.REFUSE not in effects.values()
    writes = {name for name, effect in effects.items() if effect is not Effect.PASS}
    answers_like_a_write = {
        f"/qdrant.Points/{method.name}"
        for method in points_service_pb2.DESCRIPTOR.services_by_name["Points"].methods
        if method.output_type.name in ("PointsOperationResponse", "UpdateBatchResponse")
    }
    schema = {"CreateFieldIndex", "DeleteFieldIndex", "CreateVectorName"}
    assert answers_like_a_write - {f"/qdrant.Points/{one}" for one in schema} <= writes
    assert {
        name.rpartition("/")[2] for name in writes if name.startswith("/qdrant.Collections")
    } == {"Create", "Delete", "DeleteShardKey", "UpdateCollectionClusterSetup"}


@pytest.mark.parametrize(
    "method",
    ["/qdrant.Points/Teleport", "/qdrant.PointsInternal/Sync", "/other.Points/Get", "Upsert", ""],
)
def test_a_method_that_nobody_knows_is_refused(method: str) -> None:
    assert rpc_route(method).effect is Effect.REFUSE
