import grpc
import numpy as np
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import HaltError, RecordError, TransientError, UnknownOutcome
from vecferry.model import Dense, Image, Key, VectorSpec
from vecferry.ports import Failure, Ref, Write
from vecferry.stores.identity import hashed_id
from vecferry.stores.qdrant import write as module
from vecferry.stores.qdrant.write import encode_upserts

UPSERT, DELETE = "/qdrant.Points/Upsert", "/qdrant.Points/Delete"
REF = Ref("docs", "docs")
LAYOUT = {"": VectorSpec("", dim=4)}


def image(*values: float, payload: bytes = b"{}") -> Image:
    data = np.array(values or (1, 2, 3, 4), "<f4")
    return Image({"": Dense("float32", len(data), data.tobytes())}, payload)


def put(identifier, *values: float, payload: bytes = b"{}") -> Write:
    return Write(Key("docs", "", identifier), image(*values, payload=payload))


def gone(identifier) -> Write:
    return Write(Key("docs", "", identifier), None)


def answer(status: int) -> object:
    return qdrant.PointsOperationResponse(result=qdrant.UpdateResult(status=status))


@pytest.fixture
def taking(server, dense_info):
    server.collection(dense_info)
    server.reply(UPSERT, answer(qdrant.UpdateStatus.Completed))
    server.reply(DELETE, answer(qdrant.UpdateStatus.Completed))
    return server


def upserted(server) -> list[qdrant.UpsertPoints]:
    return [qdrant.UpsertPoints.FromString(one) for one in server.of(UPSERT)]


def deleted(server) -> list[int]:
    requests = [qdrant.DeletePoints.FromString(one) for one in server.of(DELETE)]
    return [one.num for request in requests for one in request.points.points.ids]


def test_writes_wait_until_they_are_applied(taking, store):
    assert store.write(REF, [put(1), gone(2)]) == []
    [upsert] = upserted(taking)
    assert upsert.wait
    assert list(upsert.points[0].vectors.vector.dense.data) == [1, 2, 3, 4]
    assert qdrant.DeletePoints.FromString(taking.of(DELETE)[0]).wait
    assert deleted(taking) == [2]


@pytest.mark.parametrize(
    "status", sorted(set(qdrant.UpdateStatus.values()) - {qdrant.UpdateStatus.Completed})
)
def test_an_answer_before_it_was_applied_leaves_the_outcome_unknown(taking, store, status):
    taking.reply(UPSERT, answer(status))
    with pytest.raises(UnknownOutcome):
        store.write(REF, [put(1)])


def test_the_last_write_of_a_key_wins(taking, store):
    store.write(REF, [put(1), gone(1), gone(2), put(2, 9, 9, 9, 9), put(2, 5, 5, 5, 5)])
    [upsert] = upserted(taking)
    assert [point.id.num for point in upsert.points] == [2]
    assert list(upsert.points[0].vectors.vector.dense.data) == [5, 5, 5, 5]
    assert deleted(taking) == [1]


def test_two_keys_with_one_id_are_a_failure_that_names_both(taking, store):
    first = Key("docs", "", "text")
    second = Key("docs", "", hashed_id(first))
    [failure] = store.write(REF, [Write(first, image()), Write(second, image())])
    assert failure.key == second
    assert str(first) in failure.reason
    assert str(second) in failure.reason


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (put(2, 1, 2, 3), "3 dimensions"),
        (put(2, 1, 2, 3, float("nan")), "NaN"),
        (put(2, 1, 2, 3, float("inf")), "NaN or an infinity"),
        (put(2, payload=b"[]"), "not an object"),
        (put(2, payload=b'{"a":NaN,"b":1234567890123456789}'), "payload"),
        (Write(Key("docs", "", 2), Image({"x": Dense("float32", 1, bytes(4))})), "no vector 'x'"),
    ],
)
def test_a_record_that_cannot_be_written_fails_alone(taking, store, bad, reason):
    [failure] = store.write(REF, [put(1), bad, put(3)])
    assert failure.key.id == 2
    assert reason in failure.reason
    assert [point.id.num for point in upserted(taking)[0].points] == [1, 3]


def test_nothing_but_failures_is_no_request(taking, store):
    assert len(store.write(REF, [put(1, 1, 2)])) == 1
    assert not taking.of(UPSERT)


def test_a_record_is_refused_by_the_schema_of_now_not_a_remembered_one(taking, store, dense_info):
    store.write(REF, [put(1)])
    dense_info.config.params.vectors_config.params.size = 3
    taking.collection(dense_info)
    assert store.write(REF, [put(2, 1, 2, 3)]) == []
    assert [point.id.num for point in upserted(taking)[-1].points] == [2]


def test_requests_are_sized_in_bytes(monkeypatch):
    monkeypatch.setattr(module, "REQUEST_BYTES", 1_000)
    requests, failures = encode_upserts("docs", [put(one) for one in range(50)], LAYOUT)
    assert failures == []
    assert len(requests) > 3
    assert [point.id.num for one in requests for point in one.points] == list(range(50))
    assert all(len(request.SerializeToString()) <= 1_000 for request in requests)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":[' + b",".join([b"1"] * 1_000) + b"]}",
        b'{"a":[' + b",".join([b"{}"] * 1_000) + b"]}",
        b"{" + b",".join(b'"%d":0' % one for one in range(1_000)) + b"}",
        b'{"a":"' + "é".encode() * 1_000 + b'"}',
    ],
)
def test_no_payload_weighs_more_than_was_reckoned(payload):
    write = put(1, payload=payload)
    [request], _ = encode_upserts("docs", [write], LAYOUT)
    assert len(request.points[0].SerializeToString()) <= module._weight(write)


def test_a_point_larger_than_a_request_goes_alone(monkeypatch):
    monkeypatch.setattr(module, "REQUEST_BYTES", 10)
    requests, _ = encode_upserts("docs", [put(1), put(2)], LAYOUT)
    assert [len(request.points) for request in requests] == [1, 1]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, RecordError),
        (grpc.StatusCode.NOT_FOUND, HaltError),
        (grpc.StatusCode.INTERNAL, UnknownOutcome),
        (grpc.StatusCode.UNAVAILABLE, UnknownOutcome),
    ],
)
def test_a_refusal_is_translated(taking, store, code, expected):
    taking.fail(UPSERT, code)
    with pytest.raises(expected, match="writing 1 points to 'docs'"):
        store.write(REF, [put(1)])


def test_a_throttled_write_says_when_to_come_back(taking, store):
    taking.fail(UPSERT, grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after="3")
    with pytest.raises(TransientError) as raised:
        store.write(REF, [put(1)])
    assert raised.value.retry_after_s == 3
    assert not isinstance(raised.value, UnknownOutcome)


def test_no_message_holds_a_vector_or_a_payload(taking, store):
    bad = put(7, 1.25, float("nan"), 3, 4, payload=b'{"secret":"hunter2"}')
    failures = store.write(REF, [bad, put(8, 1.25, payload=b'{"secret":"hunter2"}')])
    assert all(isinstance(one, Failure) for one in failures)
    assert "hunter2" not in str(failures)
    assert "1.25" not in str(failures)
