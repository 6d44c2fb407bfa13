"""The server as a process: it keeps what it answered, guards its key, fails on demand."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import grpc as messages

from vecferry.testing.qdrant import QdrantServer

WAIT_S = 60.0
Points = messages.points_service_pb2_grpc.PointsStub
Collections = messages.collections_service_pb2_grpc.CollectionsStub


@pytest.fixture(scope="module")
def server() -> Iterator[QdrantServer]:
    with QdrantServer(version="1.18.3") as found:
        yield found


@pytest.fixture
def calm(server: QdrantServer) -> Iterator[QdrantServer]:
    server.faults()
    yield server
    server.faults()


@pytest.fixture(scope="module")
def points(server: QdrantServer) -> Iterator[Any]:
    with grpc.insecure_channel(server.grpc_url) as channel:
        create(channel, "numbers")
        yield Points(channel)


def create(channel: grpc.Channel, name: str) -> None:
    params = messages.VectorParams(size=2, distance=messages.Distance.Dot)
    config = messages.VectorsConfig(params=params)
    Collections(channel).Create(
        messages.CreateCollection(collection_name=name, vectors_config=config), timeout=WAIT_S
    )


def upsert(name: str, *ids: int) -> Any:
    vector = messages.Vectors(vector=messages.Vector(dense=messages.DenseVector(data=[1.0, 2.0])))
    rows = [messages.PointStruct(id=messages.PointId(num=one), vectors=vector) for one in ids]
    return messages.UpsertPoints(collection_name=name, points=rows, wait=True)


def scrolled(points: Any, name: str) -> set[int]:
    reply = points.Scroll(
        messages.ScrollPoints(collection_name=name, limit=100_000), timeout=WAIT_S
    )
    assert not reply.HasField("next_page_offset")
    return {one.id.num for one in reply.result}


def code_of(call: Callable[[], Any]) -> Any:
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def gone(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    answered: list[int] = []
    stop = threading.Event()

    def write(points: Any, first: int) -> None:
        for one in range(first, first + 100_000):
            if (
                stop.is_set()
                or code_of(lambda one=one: points.Upsert(upsert("kept", one), timeout=WAIT_S))
                != grpc.StatusCode.OK
            ):
                return
            answered.append(one)

    with QdrantServer(tmp_path / "data") as server:
        with grpc.insecure_channel(server.grpc_url) as channel:
            create(channel, "kept")
            stub = Points(channel)
            field = messages.CreateFieldIndexCollection(
                collection_name="kept", field_name="f", field_type=messages.FieldTypeKeyword
            )
            stub.CreateFieldIndex(field, timeout=WAIT_S)
            action = messages.AliasOperations(
                create_alias=messages.CreateAlias(collection_name="kept", alias_name="also")
            )
            Collections(channel).UpdateAliases(
                messages.ChangeAliases(actions=[action]), timeout=WAIT_S
            )
            with ThreadPoolExecutor(3) as pool:
                for writer in range(3):
                    pool.submit(write, stub, writer * 100_000)
                deadline = time.monotonic() + WAIT_S
                while len(answered) < 200 and time.monotonic() < deadline:
                    time.sleep(0.01)
                address = server.url, server.grpc_url
                server.kill()
                stop.set()
            assert len(answered) >= 200
        server.start()
        assert (server.url, server.grpc_url) == address
        with grpc.insecure_channel(server.grpc_url) as channel:
            found = scrolled(Points(channel), "also")
            info = Collections(channel).Get(
                messages.GetCollectionInfoRequest(collection_name="also"), timeout=WAIT_S
            )
    assert set(answered) <= found
    # what was sent and not answered may be there: one write of each writer
    assert len(found) <= len(answered) + 3
    assert set(info.result.payload_schema) == {"f"}


def test_a_server_that_was_stopped_in_order_starts_on_its_data(tmp_path: Path) -> None:
    with QdrantServer(tmp_path) as server:
        with grpc.insecure_channel(server.grpc_url) as channel:
            create(channel, "kept")
            Points(channel).Upsert(upsert("kept", 1, 2, 3), timeout=WAIT_S)
            create(channel, "deleted")
            delete = messages.DeleteCollection(collection_name="deleted")
            assert Collections(channel).Delete(delete, timeout=WAIT_S).result
        server.stop()
        server.start()
        with grpc.insecure_channel(server.grpc_url) as channel:
            listed = Collections(channel).List(messages.ListCollectionsRequest(), timeout=WAIT_S)
            assert [one.name for one in listed.collections] == ["kept"]
            assert scrolled(Points(channel), "kept") == {1, 2, 3}


def test_a_server_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from vecferry.testing.qdrant import QdrantServer\n"
        "server = QdrantServer(Path(sys.argv[1])).start()\n"
        "print(server.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()

    deadline = time.monotonic() + WAIT_S
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid)


def test_a_server_that_cannot_come_up_says_why(tmp_path: Path) -> None:
    (tmp_path / "collections").write_text("this is no folder")
    with pytest.raises(RuntimeError, match=r"FileExistsError|NotADirectoryError"):
        QdrantServer(tmp_path).start()


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({}, 401, grpc.StatusCode.UNAUTHENTICATED),
        ({"api-key": "wrong"}, 401, grpc.StatusCode.UNAUTHENTICATED),
        ({"api-key": "right"}, 200, grpc.StatusCode.OK),
        ({"authorization": "Bearer right"}, 200, grpc.StatusCode.OK),
    ],
    ids=["none", "wrong", "right", "bearer"],
)
def test_the_api_key_is_asked_for_on_both_protocols(
    guarded: QdrantServer, given: dict[str, str], status: int, code: grpc.StatusCode
) -> None:
    reply = httpx.get(f"{guarded.url}/collections", headers=given, timeout=WAIT_S)
    assert reply.status_code == status
    with grpc.insecure_channel(guarded.grpc_url) as channel:
        request = messages.ListCollectionsRequest()
        assert code == code_of(
            lambda: Collections(channel).List(request, metadata=[*given.items()], timeout=WAIT_S)
        )


@pytest.fixture(scope="module")
def guarded() -> Iterator[QdrantServer]:
    with QdrantServer(api_key="right") as found:
        yield found


def test_a_probe_needs_no_key_and_the_key_is_on_no_command_line(guarded: QdrantServer) -> None:
    assert httpx.get(f"{guarded.url}/readyz", timeout=WAIT_S).text == "all shards are ready"
    if os.path.exists("/proc"):
        assert b"right" not in Path(f"/proc/{guarded.pid}/cmdline").read_bytes()


def test_the_server_says_the_version_that_it_was_given(server: QdrantServer) -> None:
    assert httpx.get(server.url, timeout=WAIT_S).json()["version"] == "1.18.3"
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = messages.qdrant_pb2_grpc.QdrantStub(channel)
        assert stub.HealthCheck(messages.HealthCheckRequest(), timeout=WAIT_S).version == "1.18.3"


KINDS = {
    "unavailable": (503, grpc.StatusCode.UNAVAILABLE),
    "internal": (500, grpc.StatusCode.INTERNAL),
    "timeout": (408, grpc.StatusCode.DEADLINE_EXCEEDED),
    "429": (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
}


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_the_writes_fail_and_every_read_succeeds(
    calm: QdrantServer, points: Any, kind: str
) -> None:
    calm.faults(fail_share=0.5, kind=kind)

    codes = [
        code_of(lambda one=one: points.Upsert(upsert("numbers", one), timeout=WAIT_S))
        for one in range(6)
    ]

    assert codes == [grpc.StatusCode.OK, KINDS[kind][1]] * 3
    assert calm.faults_seen() == (6, 3)
    assert scrolled(points, "numbers") >= {0, 2, 4}
    body = {"points": [{"id": 1, "vector": [1.0, 2.0]}]}
    url = f"{calm.url}/collections/numbers/points"
    statuses = [httpx.put(url, json=body, timeout=WAIT_S).status_code for _ in range(2)]
    assert statuses == [200, KINDS[kind][0]]


def test_a_throttled_client_is_told_when_to_come_back(calm: QdrantServer, points: Any) -> None:
    calm.faults(fail_share=1, kind="429", retry_after_s=7)

    with pytest.raises(grpc.RpcError) as caught:
        points.Upsert(upsert("numbers", 1), timeout=WAIT_S)
    assert ("retry-after", "7") in [tuple(one) for one in caught.value.trailing_metadata()]
    reply = httpx.put(
        f"{calm.url}/collections/numbers/points",
        json={"points": [{"id": 1, "vector": [1.0, 2.0]}]},
        timeout=WAIT_S,
    )
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize("applied", [True, False])
def test_a_failed_write_took_place_only_where_the_plan_says_so(
    calm: QdrantServer, points: Any, applied: bool
) -> None:
    number = 1000 + applied
    calm.faults(fail_share=1, applied=applied)

    assert code_of(lambda: points.Upsert(upsert("numbers", number), timeout=WAIT_S)) is (
        grpc.StatusCode.UNAVAILABLE
    )
    assert (number in scrolled(points, "numbers")) is applied


def test_each_write_waits_for_the_latency_that_was_asked_for(
    calm: QdrantServer, points: Any
) -> None:
    calm.faults(latency_ms=300)

    began = time.monotonic()
    points.Upsert(upsert("numbers", 1), timeout=WAIT_S)
    assert time.monotonic() - began >= 0.3


def test_a_plan_that_is_not_understood_is_refused(calm: QdrantServer) -> None:
    reply = httpx.post(f"{calm.url}/_faults", json={"fail_shar": 1}, timeout=WAIT_S)

    assert reply.status_code == 400
    assert "`fail_shar`" in reply.json()["status"]["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "/cluster", None, 501, "GET /cluster is not implemented"),
        ("PUT", "/collections/numbers/shards", {}, 501, "/collections/numbers/shards"),
        ("POST", "/collections/numbers/points/recommend", {}, 501, "points/recommend"),
        ("POST", "/collections/numbers/points/scroll", {"limt": 1}, 400, "`limt`"),
        ("POST", "/collections/numbers/points/scroll", {"limit": 0}, 400, "Limit cannot be 0"),
        ("POST", "/collections/numbers/points/count?exakt=1", {}, 400, "exakt"),
        ("PUT", "/collections/numbers/points", {"points": [{"id": 1}]}, 400, "`vector`"),
        ("POST", "/collections/numbers/points/delete", {}, 400, "`points` or `filter`"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_a_rest_request_with_anything_unknown_is_refused_by_name(
    server: QdrantServer, points: Any, method: str, path: str, body: Any, status: int, text: str
) -> None:
    reply = httpx.request(method, server.url + path, json=body, timeout=WAIT_S)

    assert (reply.status_code, text in reply.text) == (status, True)


def test_a_body_beyond_qdrants_limit_is_refused(server: QdrantServer) -> None:
    body = b"[" + b" " * 33_554_432 + b"]"
    url = f"{server.url}/collections/numbers/points"
    assert httpx.put(url, content=body, timeout=WAIT_S).status_code == 413


def test_a_method_that_is_missing_is_unimplemented_by_name(
    server: QdrantServer, points: Any
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        points.Recommend(messages.RecommendPoints(collection_name="numbers"), timeout=WAIT_S)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == "qdrant.Points/Recommend is not implemented"


def test_a_field_of_a_later_protocol_is_refused(server: QdrantServer, points: Any) -> None:
    later = b"\xf2\x3e\x01x"
    batched = messages.PointsUpdateOperation(
        upsert=messages.PointsUpdateOperation.PointStructList()
    )
    batched.upsert.MergeFromString(later)
    requests = {
        "Scroll": messages.ScrollPoints(collection_name="numbers").SerializeToString() + later,
        "Delete": messages.DeletePoints(collection_name="numbers").SerializeToString() + later,
        "Upsert": upsert("numbers", 1).SerializeToString() + later,
        "UpdateBatch": messages.UpdateBatchPoints(
            collection_name="numbers", operations=[batched]
        ).SerializeToString(),
    }
    with grpc.insecure_channel(server.grpc_url) as channel:
        for method, request in requests.items():
            with pytest.raises(grpc.RpcError, match="unknown field") as caught:
                channel.unary_unary(f"/qdrant.Points/{method}")(request, timeout=WAIT_S)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_multivector_that_would_break_the_engine_is_refused_and_it_starts_again() -> None:
    multi = {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}
    with QdrantServer() as server:
        url = f"{server.url}/collections/multi"
        httpx.put(url, json={"vectors": multi}, timeout=WAIT_S).raise_for_status()
        rows = {"points": [{"id": 1, "vector": [[1.0, 2.0], [3.0]]}]}
        assert httpx.put(f"{url}/points", json=rows, timeout=WAIT_S).status_code == 400
        server.kill()
        server.start()
        assert httpx.get(url, timeout=WAIT_S).json()["result"]["points_count"] == 0
