"""What a table refuses, and what breaks off."""

import asyncio
import json
import threading
from typing import Any

import asyncpg
import numpy as np
import pytest

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
)
from vecferry.model import Collection, Image, Key, Point, Sparse, VectorSpec
from vecferry.ports import Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.pgvector import PgvectorStore, connect
from vecferry.testing.tables import VECTOR, everything, point, put, run, vector
from vecferry.testing.waiting import wait_until


def test_a_row_that_postgres_refuses_refuses_its_request_and_changes_nothing(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    run(
        url,
        f"CREATE TABLE {ref.name} (id int PRIMARY KEY, embedding vector(3), n int CHECK (n > 0))",
    )
    put(store, ref, point(1, {"n": 1}), point(2, {"n": 2}))
    good, bad = point(3, {"n": 3}), point(4, {"n": -4})
    writes = [Write(good.key, good.image), Write(bad.key, bad.image), Write(point(1).key, None)]
    with pytest.raises(RecordError, match="23514") as raised:
        store.write(ref, writes)
    assert "-4" not in str(raised.value)
    assert [one.key.id for one in everything(store, ref)] == [1, 2]
    assert store.write(ref, [*writes[:1], *writes[2:]]) == []
    assert [one.key.id for one in everything(store, ref)] == [2, 3]


def test_what_has_no_column_is_refused_alone_and_told_before(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    run(url, f"CREATE TABLE {ref.name} (id int PRIMARY KEY, embedding vector(3) NOT NULL, n int)")
    good = point(1, {"n": 1})
    bad = {
        "payload.other": point(2, {"other": 1}),
        "payload.n": point(3, {"n": "text"}),
        "vectors.embedding": point(4)._replace(image=Image({})),
        "vectors.nowhere": point(5)._replace(image=Image({"nowhere": vector(1, 2, 3)})),
        "id": point("5"),
    }
    failures = store.write(ref, [Write(one.key, one.image) for one in (good, *bad.values())])
    assert [failure.key for failure in failures] == [one.key for one in bad.values()]
    assert everything(store, ref) == [good]
    described = store.describe(ref.name)
    for field, one in bad.items():
        [fit] = store.fit(described, one.key, one.image)
        assert (fit.field, fit.rating) == (field, "dropped")
    [fit] = store.fit(described, good.key, good.image._replace(payload=b"{}"))
    assert (fit.field, fit.rating) == ("payload.n", "lossy")


def test_a_sparse_vector_that_pgvector_cannot_hold_is_carried(
    store: PgvectorStore, schema: str
) -> None:
    if not store.capabilities.sparse:
        pytest.skip("this pgvector has no sparsevec")
    ref = Ref(f"{schema}.docs", "docs")
    collection = Collection(ref.name, (VectorSpec("words", "sparse", metric="dot"),))
    store.create(collection)
    sparse = {
        "far": ([1, 2**32 - 1], [1, 2]),
        "zero": ([1, 2], [1, -0.0]),
        "many": (range(16_001), [1] * 16_001),
        "fine": ([0, 999_999_999], [1, -2]),
    }
    points = [
        Point(
            Key("docs", "", name),
            Image({"words": Sparse(np.array(at, "<u4").tobytes(), np.array(of, "<f4").tobytes())}),
        )
        for name, (at, of) in sparse.items()
    ]
    put(store, ref, *points)
    assert store.read(ref, [one.key for one in points]) == points
    for one in points:
        told = [fit.rating for fit in store.fit(collection, one.key, one.image)]
        assert told == ([] if one.key.id == "fine" else ["carried"])
    [hits] = store.search(ref, "words", [points[3].image.vectors["words"]], 5)
    assert [(hit.key, hit.score) for hit in hits] == [(points[3].key, -5.0)]


class Locked:
    """The application's transaction, which holds a table while it is open."""

    def __init__(self, url: str, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._do(asyncpg.connect(url, user="postgres"))
        self._do(self._connection.execute(f"BEGIN; LOCK TABLE {name}"))

    def __enter__(self) -> "Locked":
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._connection.close())
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)


def test_a_write_whose_time_is_over_has_changed_nothing(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    store.create(Collection(ref.name, (VECTOR,), id_types=frozenset({"int"})))
    hasty = connect(StoreSettings(type="pgvector", url=url, timeout_s=2.0))
    hasty.describe(ref.name)
    with Locked(url, ref.name), pytest.raises(TransientError) as raised:
        hasty.write(ref, [Write(one.key, one.image) for one in (point(1), point(2))])
    assert not isinstance(raised.value, UnknownOutcome)
    assert everything(store, ref) == []
    put(hasty, ref, point(1))
    hasty.close()
    assert everything(store, ref) == [point(1)]


def test_a_write_whose_connection_broke_is_of_unknown_outcome_and_the_next_one_works(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    store.create(Collection(ref.name, (VECTOR,), id_types=frozenset({"int"})))
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        f"AND query LIKE 'INSERT INTO \"{schema}\"%'"
    )
    seen: list[BaseException] = []

    def write() -> None:
        try:
            put(store, ref, point(1))
        except BaseException as error:
            seen.append(error)

    with Locked(url, ref.name):
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: bool(run(url, waiting)))
        run(url, f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS one")
        thread.join()
    assert [type(error) for error in seen] == [UnknownOutcome]
    put(store, ref, point(2))
    assert [one.key.id for one in everything(store, ref)] == [2]


def test_a_table_that_was_altered_is_looked_at_again(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    run(url, f"CREATE TABLE {ref.name} (id int PRIMARY KEY, embedding vector(3), n int)")
    put(store, ref, point(1, {"n": 1}))
    run(url, f"ALTER TABLE {ref.name} ALTER n TYPE text")
    [found] = everything(store, ref)
    assert json.loads(found.image.payload) == {"n": "1"}
    run(url, f"DROP TABLE {ref.name}")
    with pytest.raises(HaltError):
        store.read(ref, [point(1).key])
    with pytest.raises(ConfigError, match="there is no table"):
        store.read(ref, [point(1).key])
