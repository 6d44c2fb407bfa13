import threading

import pytest

from vecferry.errors import HaltError, TransientError
from vecferry.model import Image, Key
from vecferry.ports import Write
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone import PineconeStore, connect
from vecferry.stores.pinecone.freshness import WRITTEN
from vecferry.stores.pinecone.places import native_id
from vecferry.stores.pinecone.read import FETCH_IDS_MAX, QUERY_BYTES_MAX, batches
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject, dense

HELD = -1.0


def later(server: PineconeServer, **plan: object) -> threading.Timer:
    timer = threading.Timer(0.5, lambda: server.script(**plan))
    timer.start()
    return timer


@pytest.mark.parametrize("tells", [False, True], ids=["fetch is silent", "fetch tells"])
def test_a_read_waits_for_this_stores_own_writes(
    server: PineconeServer, subject: Subject, tells: bool
) -> None:
    server.script(lag_s=HELD, fetch_tells=tells)
    old = subject.point("a", "old")
    subject.put([old])
    timer = later(server, lag_s=0.2, fetch_tells=tells)
    assert subject.get(old.key) == [old]
    timer.join()
    for change in range(3):
        new = subject.point("a", f"new {change}")
        subject.put([new])
        assert subject.get(new.key) == [new], "an older state is no answer"
    subject.delete([old.key])
    assert subject.get(old.key) == [None]


@pytest.mark.parametrize("tells", [False, True], ids=["fetch is silent", "fetch tells"])
def test_a_read_at_a_position_waits_for_it(
    server: PineconeServer, subject: Subject, other: PineconeStore, tells: bool
) -> None:
    """The other client knows nothing of the write: the position alone tells."""
    old, new = subject.point("a", "old"), subject.point("a", "new")
    subject.put([old])
    assert other.read(subject.ref, [old.key]) == [old]
    server.script(lag_s=HELD, fetch_tells=tells)
    subject.put([new])
    assert other.read(subject.ref, [old.key]) == [old], "stale without a position"
    timer = later(server, fetch_tells=tells)
    assert other.read(subject.ref, [old.key], "2") == [new]
    timer.join()


def test_a_position_that_is_not_reached_is_transient(
    server: PineconeServer, subject: Subject, settings: StoreSettings
) -> None:
    subject.put([subject.point("a")])
    hasty = connect(settings.model_copy(update={"timeout_s": 0.5}))
    try:
        with pytest.raises(TransientError, match="a write at 99 is not to be seen yet"):
            hasty.read(subject.ref, [Key("docs", "", "a")], "99")
    finally:
        hasty.close()


def test_namespaces_have_numbers_of_their_own(server: PineconeServer, subject: Subject) -> None:
    """Many writes to one namespace do not make the reads of another wait."""
    for change in range(5):
        subject.put([subject.point("a", str(change), namespace="busy")])
    quiet = subject.point("a", namespace="quiet")
    subject.put([quiet])
    server.script()
    assert subject.get(quiet.key) == [quiet]
    assert server.counts()["query"] == 1, "the first question was enough"


def test_without_numbers_the_store_believes_what_it_reads(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.stores.pinecone.freshness.WRITTEN", "x-nothing")
    point = subject.point("a")
    subject.put([point])
    assert subject.get(point.key) == [point]
    assert WRITTEN.startswith("x-pinecone-")


def test_ids_are_asked_for_in_requests_that_fit() -> None:
    ids = [f"id {n:04}" for n in range(450)] + ["ü" * 512] * 3
    groups = list(batches(ids))
    assert [native for group in groups for native in group] == ids
    assert max(map(len, groups)) == FETCH_IDS_MAX
    assert sum(1 for group in groups if "ü" * 512 in group) == 3
    assert all(len("".join(group)) < QUERY_BYTES_MAX for group in groups[:-3])
    assert list(batches([])) == []


def test_long_ids_are_read_back(subject: Subject) -> None:
    points = [subject.point("%" * 500 + f"{n:03}") for n in range(40)]
    assert subject.put(points) == []
    assert subject.get(*(point.key for point in points)) == points


def test_a_point_that_an_application_wrote_is_the_keys_own(subject: Subject) -> None:
    store = subject.store
    assert isinstance(store, PineconeStore)
    body = {
        "vectors": [
            {"id": "native", "values": [1.0] * 8, "metadata": {"year": 2020, "_vf_id": "i5"}}
        ],
        "namespace": "red",
    }
    upsert(store, subject.ref.name, body)
    [found] = subject.get(Key("docs", "red", "native"))
    assert found is not None
    assert found.image.payload == b'{"_vf_id":"i5","year":2020}'
    [[scanned]] = [list(subject.points_of(part)) for part in subject.chunks(10)]
    assert scanned == found


def test_two_keys_with_one_id_stop_the_work(subject: Subject) -> None:
    first = Key("docs", "", 5)
    image = Image({"": dense(8, 1)})
    second = Key("docs", "", native_id(first))
    assert subject.store.write(subject.ref, [Write(first, image)]) == []
    with pytest.raises(HaltError, match="the same id"):
        subject.get(second)
    both = [Write(first, image), Write(second, image)]
    assert [failure.key for failure in subject.store.write(subject.ref, both)] == [second]


def test_a_namespace_that_cannot_be_one_holds_nothing(subject: Subject) -> None:
    key = Key("docs", "x" * 600, "a")
    assert subject.get(key) == [None]
    assert subject.delete([key]) == []
    [failure] = subject.store.write(subject.ref, [Write(key, Image({"": dense(8, 1)}))])
    assert failure.key == key


def upsert(store: PineconeStore, name: str, body: object) -> None:
    """Write as an application does, and let nobody remember it."""
    import orjson

    from vecferry.stores.pinecone.connect import Call

    url = store._schemas.layout(name).url
    store._connection.call(
        Call("POST", f"{url}/vectors/upsert", "writing", body=orjson.dumps(body), writes=True)
    )
