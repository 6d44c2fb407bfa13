from typing import Any
from uuid import UUID

import pytest
from qdrant_client import grpc as qdrant

from vecferry.producers.feeds.proxy import messages
from vecferry.producers.feeds.proxy.changes import Change
from vecferry.producers.feeds.proxy.refusals import RefusalError

ONE = UUID("6f9619ff-8b86-4b01-a0b1-d5f0c9a0c9a0")
FILTER = qdrant.Filter(
    must=[qdrant.Condition(field=qdrant.FieldCondition(key="a", match=qdrant.Match(integer=1)))]
)


def number(value: int) -> Any:
    return qdrant.PointId(num=value)


def ids(*values: int) -> Any:
    return qdrant.PointsSelector(points=qdrant.PointsIdsList(ids=[number(one) for one in values]))


def by_filter() -> Any:
    return qdrant.PointsSelector(filter=FILTER)


def point(value: Any) -> Any:
    return qdrant.PointStruct(
        id=value,
        payload={"a": qdrant.Value(integer_value=1)},
        vectors=qdrant.Vectors(vector=qdrant.Vector(dense=qdrant.DenseVector(data=[1.0, 2.0]))),
    )


def read(operation: str, message: Any) -> Change:
    collection, change = messages.read_change(operation, message.SerializeToString())
    assert collection == "docs"
    return change


def test_ids_are_read_of_points_whose_vectors_are_not() -> None:
    points = [point(number(2**64 - 1)), point(qdrant.PointId(uuid=ONE.hex))]
    message = qdrant.UpsertPoints(collection_name="docs", points=points, update_filter=FILTER)
    assert read("upsert", message) == Change("upsert", (2**64 - 1, ONE))


def test_an_update_of_vectors_names_its_points() -> None:
    points = [qdrant.PointVectors(id=number(7), vectors=point(number(7)).vectors)]
    message = qdrant.UpdatePointVectors(collection_name="docs", points=points)
    assert read("update_vectors", message) == Change("unknown", (7,))


@pytest.mark.parametrize(
    ("operation", "make"),
    [
        ("delete", lambda s: qdrant.DeletePoints(collection_name="docs", points=s)),
        ("clear_payload", lambda s: qdrant.ClearPayloadPoints(collection_name="docs", points=s)),
        *(
            (name, lambda s, m=message: m(collection_name="docs", points_selector=s))
            for name, message in (
                ("set_payload", qdrant.SetPayloadPoints),
                ("overwrite_payload", qdrant.SetPayloadPoints),
                ("delete_payload", qdrant.DeletePayloadPoints),
                ("delete_vectors", qdrant.DeletePointVectors),
            )
        ),
    ],
)
def test_a_selector_has_ids_or_a_filter_or_the_write_is_refused(operation: str, make: Any) -> None:
    verb = "delete" if operation == "delete" else "unknown"
    assert read(operation, make(ids(1, 2))) == Change(verb, (1, 2))
    assert read(operation, make(by_filter())) == Change(verb, (), (FILTER.SerializeToString(),))
    with pytest.raises(RefusalError):
        read(operation, make(None))


def test_a_filter_of_everything_is_a_filter() -> None:
    message = qdrant.DeletePoints(
        collection_name="docs", points=qdrant.PointsSelector(filter=qdrant.Filter())
    )
    assert read("delete", message) == Change("delete", (), (b"",))


def operation(**given: Any) -> Any:
    return qdrant.PointsUpdateOperation(**given)


def test_every_operation_of_a_batch_is_known() -> None:
    of = qdrant.PointsUpdateOperation
    given = {
        "upsert": of.PointStructList(points=[point(number(1))]),
        "delete_deprecated": ids(2),
        "set_payload": of.SetPayload(points_selector=ids(3)),
        "overwrite_payload": of.OverwritePayload(points_selector=ids(4)),
        "delete_payload": of.DeletePayload(points_selector=ids(5)),
        "clear_payload_deprecated": ids(6),
        "update_vectors": of.UpdateVectors(points=[qdrant.PointVectors(id=number(7))]),
        "delete_vectors": of.DeleteVectors(points_selector=ids(8)),
        "delete_points": of.DeletePoints(points=ids(9)),
        "clear_payload": of.ClearPayload(points=by_filter()),
    }
    names = {field.name for field in of.DESCRIPTOR.oneofs_by_name["operation"].fields}
    assert names == set(given)
    operations = [operation(**{name: inner}) for name, inner in given.items()]
    found = read("batch", qdrant.UpdateBatchPoints(collection_name="docs", operations=operations))
    assert sorted(found.ids) == list(range(1, 10))
    assert (found.verb, len(found.filters)) == ("unknown", 1)


def test_an_operation_of_tomorrow_is_refused() -> None:
    message = qdrant.UpdateBatchPoints(collection_name="docs", operations=[operation()])
    with pytest.raises(RefusalError, match="not known"):
        read("batch", message)


@pytest.mark.parametrize("value", [qdrant.PointId(), qdrant.PointId(uuid="no uuid")])
def test_a_point_without_an_id_is_refused(value: Any) -> None:
    with pytest.raises(RefusalError):
        read("upsert", qdrant.UpsertPoints(collection_name="docs", points=[point(value)]))


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(RefusalError):
        messages.read_change("upsert", b"\xff\xff\xff")


@pytest.mark.parametrize(
    "message",
    [
        qdrant.UpsertPoints,
        qdrant.DeletePoints,
        qdrant.UpdatePointVectors,
        qdrant.DeletePointVectors,
        qdrant.SetPayloadPoints,
        qdrant.DeletePayloadPoints,
        qdrant.ClearPayloadPoints,
        qdrant.UpdateBatchPoints,
    ],
)
def test_what_is_appended_is_what_counts(message: Any) -> None:
    given = message(collection_name="alias", wait=False).SerializeToString()
    sent = message.FromString(messages.renamed(given, "docs") + messages.WAIT)
    assert (sent.collection_name, sent.wait) == ("docs", True)


@pytest.mark.parametrize(
    "message",
    [
        qdrant.CreateCollection,
        qdrant.DeleteCollection,
        qdrant.DeleteShardKeyRequest,
        qdrant.UpdateCollectionClusterSetupRequest,
        qdrant.DeleteVectorNameRequest,
    ],
)
def test_the_first_field_is_the_collection(message: Any) -> None:
    assert messages.collection_of(message(collection_name="docs").SerializeToString()) == "docs"


def test_a_copy_of_another_collection_is_seen() -> None:
    plain = qdrant.CreateCollection(collection_name="docs").SerializeToString()
    assert not messages.copies_another(plain)
    assert messages.copies_another(plain + b"\x6a\x05other")


def test_only_a_reply_that_says_so_is_an_applied_write() -> None:
    def one(status: int) -> bytes:
        return bytes(
            qdrant.PointsOperationResponse(
                result=qdrant.UpdateResult(operation_id=1, status=status), time=0.1
            ).SerializeToString()
        )

    assert messages.is_applied(one(qdrant.UpdateStatus.Completed))
    assert messages.is_applied(one(qdrant.UpdateStatus.ClockRejected))
    assert not messages.is_applied(one(qdrant.UpdateStatus.Acknowledged))
    assert not messages.is_applied(one(4))  # WaitTimeout
    assert not messages.is_applied(one(0))
    assert not messages.is_applied(b"\xff")
    both = qdrant.UpdateBatchResponse(
        result=[qdrant.UpdateResult(status=2), qdrant.UpdateResult(status=1)]
    )
    assert not messages.is_applied(both.SerializeToString())
