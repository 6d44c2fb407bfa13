import pytest

from vecferry.errors import HaltError, RecordError, TransientError, UnknownOutcome
from vecferry.model import Image, Key, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Write
from vecferry.stores.pinecone import PineconeStore
from vecferry.stores.pinecone.write import RECORDS_MAX, REQUEST_BYTES_MAX, upsert_groups
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject, create, dense


def test_a_request_is_sized_in_records_and_in_bytes() -> None:
    assert [len(group) for group in upsert_groups([b"x"] * 2_500)] == [
        RECORDS_MAX,
        RECORDS_MAX,
        500,
    ]
    groups = list(upsert_groups([b"x" * 300_000] * 10))
    assert [len(group) for group in groups] == [6, 4]
    assert all(len(b",".join(group)) < REQUEST_BYTES_MAX for group in groups)
    assert list(upsert_groups([])) == []


def test_each_namespace_has_requests_of_its_own(server: PineconeServer, subject: Subject) -> None:
    points = [
        subject.point(f"id {n}", namespace=name) for name in ("", "red", "blue") for n in range(5)
    ]
    server.script()
    assert subject.put(points) == []
    assert server.counts()["upsert"] == 3


def test_a_delete_in_a_namespace_that_never_was_is_fine(subject: Subject) -> None:
    assert subject.delete([Key("docs", "never", "a")]) == []


@pytest.mark.parametrize("applied", [False, True])
def test_an_answer_of_500_leaves_the_outcome_open(
    server: PineconeServer, subject: Subject, applied: bool
) -> None:
    point = subject.point("a")
    server.script(fail_status=503, fail_times=1, applied=applied)
    with pytest.raises(UnknownOutcome):
        subject.put([point])
    server.script()
    assert subject.get(point.key) == [point if applied else None]
    assert subject.put([point]) == []
    assert subject.get(point.key) == [point]


def test_a_read_that_fails_is_merely_transient(server: PineconeServer, subject: Subject) -> None:
    server.script(fail_status=500, fail_times=1)
    with pytest.raises(TransientError) as raised:
        subject.get(Key("docs", "", "a"))
    assert not isinstance(raised.value, UnknownOutcome)


def test_a_batch_that_the_service_refuses_names_no_record(
    server: PineconeServer, subject: Subject
) -> None:
    server.script(fail_status=400, fail_times=1)
    with pytest.raises(RecordError):
        subject.put([subject.point("a")])


def test_an_index_that_has_gone_stops_the_work(store: PineconeStore) -> None:
    subject = create(store, VectorSpec("", dim=8, metric="l2"))
    point = subject.point("a")
    subject.put([point])
    layout = store._schemas.layout(subject.ref.name)
    store.drop(subject.ref.name)
    store._schemas._layouts[subject.ref.name] = layout
    for work in (
        lambda: subject.get(point.key),
        lambda: subject.put([point]),
        lambda: subject.delete([point.key]),
        lambda: subject.scan(subject.chunks(10)),
    ):
        with pytest.raises(HaltError):
            work()
        store._schemas._layouts[subject.ref.name] = layout


def test_a_payload_that_is_too_large_is_refused_alone(subject: Subject) -> None:
    good, bad = subject.point("good"), subject.point("bad")
    bad = bad._replace(
        image=bad.image._replace(payload=encode_payload({"nested": ["x" * 41_000, 1]}))
    )
    [failure] = subject.put([bad, good])
    assert failure.key == bad.key
    assert "x" * 100 not in failure.reason
    assert subject.get(good.key, bad.key) == [good, None]


def test_the_last_write_of_a_key_wins(subject: Subject) -> None:
    first, last = subject.point("a", "first"), subject.point("a", "last")
    writes = [Write(first.key, first.image), Write(first.key, None), Write(last.key, last.image)]
    assert subject.store.write(subject.ref, writes) == []
    assert subject.get(last.key) == [last]


def test_an_index_that_was_made_anew_is_looked_at_again(
    store: PineconeStore, other: PineconeStore
) -> None:
    subject = create(store, VectorSpec("", dim=8, metric="l2"))
    name = subject.ref.name
    assert subject.put([subject.point("a")]) == []
    other.drop(name)
    from vecferry.model import Collection

    other.create(Collection(name, (VectorSpec("", dim=16, metric="l2"),)))
    image = Image({"": dense(16, 1)})
    assert store.write(Ref(name, "docs"), [Write(Key("docs", "", "a"), image)]) == []
    store.drop(name)
