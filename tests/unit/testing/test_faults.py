"""The faults do to a store what they say."""

import threading

import pytest

from vecferry.errors import HaltError, RecordError, TransientError, UnknownOutcome
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.ports import Bounds, Ref, Store, Write
from vecferry.stores.memory import Database, MemoryStore
from vecferry.testing.faults import Fate, Fault, FaultyStore

REF = Ref("docs", "docs")
KEYS = [Key("docs", "", n) for n in range(4)]
WRITES = [Write(key, Image({"": Dense("uint8", 1, b"\x01")})) for key in KEYS]


@pytest.fixture
def store() -> FaultyStore:
    inner = MemoryStore(Database())
    inner.create(Collection("docs", (VectorSpec("", dtype="uint8", dim=1, metric="l2"),)))
    return FaultyStore(inner)


def there(store: FaultyStore) -> list[object]:
    found = store.store.read(REF, KEYS)
    return [point.key.id for point in found if point]


def test_without_faults_it_is_the_store_inside(store: FaultyStore) -> None:
    assert isinstance(store, Store)
    assert store.write(REF, WRITES) == []
    assert store.count("docs") == 4
    assert sum(len(page) for page in store.scan(REF, Bounds())) == 4
    assert store.read(REF, KEYS) == store.store.read(REF, KEYS)


LEAVES = [
    (Fate.REFUSED, TransientError, []),
    (Fate.LANDED, UnknownOutcome, [0, 1, 2, 3]),
    (Fate.LATE, UnknownOutcome, []),
    (Fate.NEVER, UnknownOutcome, []),
    (Fate.PARTLY, TransientError, [0, 1]),
    (Fate.PARTLY_UNKNOWN, UnknownOutcome, [0, 1]),
    (Fate.RAISES, RecordError, []),
]


@pytest.mark.parametrize(("fate", "error", "left"), LEAVES)
def test_a_fault_leaves_what_it_says_and_raises_its_error(
    store: FaultyStore, fate: Fate, error: type[Exception], left: list[int]
) -> None:
    store.script(Fault(fate))
    with pytest.raises(error) as caught:
        store.write(REF, WRITES)
    assert type(caught.value) is error
    assert there(store) == left
    assert store.write(REF, WRITES) == [], "the next request meets no fault"


def test_a_late_request_lands_when_it_is_told_to(store: FaultyStore) -> None:
    store.script(Fault(Fate.LATE))
    with pytest.raises(UnknownOutcome):
        store.write(REF, WRITES[:1])
    store.write(REF, [Write(KEYS[0], None)])
    assert there(store) == []
    assert store.land_late() == 1
    assert there(store) == [0], "an old write over a newer one: the harm itself"
    assert store.land_late() == 0


def test_a_request_whose_time_is_over_never_lands(store: FaultyStore) -> None:
    store.script(Fault(Fate.LATE))
    with pytest.raises(UnknownOutcome):
        store.write(REF, WRITES)
    assert store.forget_late() == 1
    assert store.land_late() == 0
    assert there(store) == []


def test_a_script_lets_some_requests_through(store: FaultyStore) -> None:
    store.script(None, Fault(Fate.REFUSED, times=2, retry_after_s=7.0))
    store.write(REF, WRITES[:1])
    for _ in range(2):
        with pytest.raises(TransientError) as caught:
            store.write(REF, WRITES[1:])
        assert caught.value.retry_after_s == 7.0
    store.write(REF, WRITES[1:2])
    assert there(store) == [0, 1]
    assert [call.fate for call in store.calls] == [None, Fate.REFUSED, Fate.REFUSED, None]


def test_faults_of_one_operation_leave_the_others_alone(store: FaultyStore) -> None:
    store.script(Fault(Fate.RAISES, error=HaltError("gone")), on="read")
    store.script(Fault(Fate.LANDED), on="scan")
    store.write(REF, WRITES)
    with pytest.raises(HaltError, match="gone"):
        store.read(REF, KEYS)
    with pytest.raises(TransientError):
        list(store.scan(REF, Bounds()))


def test_an_outage_refuses_everything_until_it_is_over(store: FaultyStore) -> None:
    store.down = True
    for request in (store.version, store.collections, lambda: store.write(REF, WRITES)):
        with pytest.raises(TransientError):
            request()
    store.heal()
    store.write(REF, WRITES)
    assert there(store) == [0, 1, 2, 3]


def test_poison_is_named_or_has_to_be_found_by_bisection(store: FaultyStore) -> None:
    store.poison = {KEYS[2]}
    [failure] = store.write(REF, WRITES)
    assert failure.key == KEYS[2]
    assert there(store) == [0, 1, 3]
    store.poison_is_named = False
    with pytest.raises(RecordError):
        store.write(REF, WRITES[2:])
    store.write(REF, [Write(KEYS[2], None)])


def test_chance_follows_its_seed(store: FaultyStore) -> None:
    fates = []
    for _ in range(2):
        store.calls.clear()
        store.sometimes(Fault(Fate.LANDED), 0.5, seed=3)
        for write in WRITES * 10:
            try:
                store.write(REF, [write])
            except UnknownOutcome:
                continue
        fates.append([call.fate for call in store.calls])
    assert fates[0] == fates[1]
    assert 0 < fates[0].count(Fate.LANDED) < 40


def test_two_writes_of_a_key_at_a_time_are_counted(store: FaultyStore) -> None:
    store.gate.clear()
    threads = [threading.Thread(target=store.write, args=(REF, WRITES[:1])) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(store.calls) < 2:
        threading.Event().wait(0.001)
    store.gate.set()
    for thread in threads:
        thread.join()
    assert store.overlaps == 1
    store.write(REF, WRITES[:1])
    assert store.overlaps == 1
    assert store.writes_of(KEYS[0]) == 3


def test_latency_ends_when_the_store_is_closed(store: FaultyStore) -> None:
    store.latency_s = 3_600.0
    thread = threading.Thread(target=store.write, args=(REF, WRITES))
    thread.start()
    store.close()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert there(store) == [0, 1, 2, 3]
