"""The adapter against PostgreSQL with pgvector, and the vendor's driver beside it."""

import asyncio
import contextlib
import json
import select
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

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
from vecferry.model import Collection, Dense, Image, Key, Point, Sparse, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Bounds, Ref, SelectiveScanPart, Since, Write
from vecferry.settings import StoreSettings
from vecferry.stores.identity import hashed_id
from vecferry.stores.pgvector import PgvectorStore, connect
from vecferry.testing import engines, pgvector
from vecferry.testing.certificates import Authority
from vecferry.testing.waiting import wait_until

VECTOR = VectorSpec("embedding", dim=3, metric="l2")


@pytest.fixture(scope="module")
def url() -> str:
    return engines.pgvector()


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[PgvectorStore]:
    opened = connect(StoreSettings(type="pgvector", url=url))
    yield opened
    opened.close()


@pytest.fixture
def schema(url: str) -> Iterator[str]:
    """A schema of the test's own, dropped with all that is in it."""
    name = f"it_{uuid4().hex[:12]}"
    run(url, f"CREATE SCHEMA {name}")
    yield name
    run(url, f"DROP SCHEMA {name} CASCADE")


def run(url: str, *statements: str) -> list[Any]:
    """Run statements as the application would; return the rows of the last one."""

    async def work() -> list[Any]:
        connection = await asyncpg.connect(url, user="postgres")
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return list(await connection.fetch(statements[-1]))
        finally:
            await connection.close()

    return asyncio.run(work())


def vector(*values: float) -> Dense:
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def point(id: Any, payload: dict[str, Any] | None = None, *, space: str = "") -> Point:
    image = Image({"embedding": vector(1, 2, 3)}, encode_payload(payload or {}))
    return Point(Key("docs", space, id), image)


def put(store: PgvectorStore, ref: Ref, *points: Point) -> None:
    assert store.write(ref, [Write(one.key, one.image) for one in points]) == []


def everything(store: PgvectorStore, ref: Ref, bounds: Bounds | None = None) -> list[Point]:
    return [one for page in store.scan(ref, bounds or Bounds()) for one in page]


COLUMNS = """
    id integer PRIMARY KEY, embedding vector(3), whole smallint, big bigint, yes boolean,
    real4 real, real8 double precision, money numeric(12,2), rank numeric(30,0), loose numeric,
    words text, short varchar(5), fixed char(4), moment timestamptz, local timestamp, day date,
    doc uuid, raw bytea, anything jsonb, spelled json, tags text[], grid integer[][],
    shares double precision[], prices numeric(8,2)[], range int4range, address inet,
    doubled bigint GENERATED ALWAYS AS (big * 2) STORED
"""
FULL = """
    (1, '[1,2,3]', -7, 9007199254740993, true, 0.1, 1.0, 1.10, 123456789012345678901234567890,
     1.50, 'a "b" \\ c', 'short', 'ab', '2024-02-29 12:00:00.5+02', '2024-02-29 12:00', '2024-02-29',
     '6F9619FF-8B86-D011-B42D-00CF4FC964FF', '\\x00ff', '{"n": 1.0, "m": null}', '[1,2.5]',
     '{a,NULL,"b,c"}', '{{1,2},{3,4}}', '{1,0.5}', '{1.10,2.00}', '[1,5)', '10.0.0.1/8')
"""
NOT_FINITE = "INSERT INTO {}.docs (id, real4, real8, big) VALUES (3, 'NaN', '-Infinity', 0)"
READ = {
    "whole": -7,
    "big": 9007199254740993,
    "yes": True,
    "real4": float(np.float32(0.1)),
    "real8": 1.0,
    "money": "1.10",
    "rank": 123456789012345678901234567890,
    "loose": "1.50",
    "words": 'a "b" \\ c',
    "short": "short",
    "fixed": "ab",
    "moment": "2024-02-29T10:00:00.5+00:00",
    "local": "2024-02-29T12:00:00",
    "day": "2024-02-29",
    "doc": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    "raw": "\\x00ff",
    "anything": {"n": 1.0, "m": None},
    "spelled": [1, 2.5],
    "tags": ["a", None, "b,c"],
    "grid": [[1, 2], [3, 4]],
    "shares": [1.0, 0.5],
    "prices": ["1.10", "2.00"],
    "range": "[1,5)",
    "address": "10.0.0.1/8",
    "doubled": 18014398509481986,
}


@pytest.fixture
def typed(url: str, schema: str) -> str:
    run(
        url,
        f"CREATE TABLE {schema}.docs ({COLUMNS})",
        f"INSERT INTO {schema}.docs VALUES {FULL}",
        f"INSERT INTO {schema}.docs (id) VALUES (2)",
        NOT_FINITE.format(schema),
    )
    return f"{schema}.docs"


def test_every_type_of_column_is_read_exactly(store: PgvectorStore, typed: str) -> None:
    full, empty, odd = everything(store, Ref(typed, "docs"))
    assert full.key == Key("docs", "", 1)
    assert json.loads(full.image.payload) == READ
    assert full.image.payload == encode_payload(READ)
    assert full.image.vectors == {"embedding": vector(1, 2, 3)}
    assert json.loads(empty.image.payload) == dict.fromkeys(READ)
    assert empty.image.vectors == {}
    assert json.loads(odd.image.payload)["real4"] == "NaN"
    assert json.loads(odd.image.payload)["real8"] == "-Infinity"


def test_what_was_read_of_a_table_goes_back_to_the_very_same_rows(
    store: PgvectorStore, url: str, typed: str, schema: str
) -> None:
    run(url, f"CREATE TABLE {schema}.copy (LIKE {typed} INCLUDING ALL)")
    copy = Ref(f"{schema}.copy", "docs")
    put(store, copy, *everything(store, Ref(typed, "docs")))
    put(store, copy, *everything(store, Ref(typed, "docs")))  # over what is there
    rows = run(url, f"SELECT t::text FROM {typed} t ORDER BY id")
    assert run(url, f"SELECT t::text FROM {copy.name} t ORDER BY id") == rows


def test_a_table_made_after_another_has_its_columns_and_tells_null_from_missing(
    store: PgvectorStore, url: str, typed: str, schema: str
) -> None:
    source = store.describe(typed)
    made = replace(source, name=f"{schema}.made", vectors=(VECTOR,))
    store.create(made)
    kinds = {
        row["column_name"]: row["data_type"]
        for row in run(
            url,
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = 'made'",
        )
    }
    assert kinds["money"] == "numeric"
    assert kinds["tags"] == "ARRAY"
    assert "range" not in kinds, "it is spelled in many ways, so it is a field of the payload"
    ref, points = Ref(made.name, "docs"), everything(store, Ref(typed, "docs"))
    missing = point(9, {"whole": 5, "other": -0.0, "words": 17, "tags": ["a", 1], "": None})
    put(store, ref, *points, missing)
    assert everything(store, ref) == [*points, missing]
    told = store.fit(made, missing.key, missing.image)
    assert {(fit.field, fit.rating) for fit in told} == {
        ("payload.other", "carried"),
        ("payload.words", "carried"),
        ("payload.tags", "carried"),
    }
    run(url, f"UPDATE {made.name} SET words = 'written since', doubled = 1 WHERE id = 9")
    [found] = store.read(ref, [missing.key])
    assert found is not None
    fields = json.loads(found.image.payload)
    assert (fields["words"], fields["doubled"]) == ("written since", 1)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("smallint", [-(2**15), 0, 2**15 - 1]),
        ("bigint", [-(2**63), 0, 2**63 - 1]),
        ("uuid", [UUID(int=0), UUID(int=5), UUID(int=2**128 - 1)]),
        ("text", ["", "'", "Z", "a", 'b"\\', "ä", "日本"]),
        ('text COLLATE "C"', ["", "'", "Z", "a", "ä", "b", "日本"]),
        ("varchar(9)", ["A", "a", "b"]),
    ],
)
def test_a_key_of_any_type_is_scanned_in_parts_and_read(
    store: PgvectorStore, url: str, schema: str, kind: str, ids: list[Any]
) -> None:
    run(url, f"CREATE TABLE {schema}.docs (k {kind} PRIMARY KEY, embedding vector(3), n int)")
    ref = Ref(f"{schema}.docs", "docs")
    points = [point(id, {"n": at}) for at, id in enumerate(ids)]
    put(store, ref, *points)
    chunks = store.plan_chunks(ref.name, 2)
    assert len(chunks) > 1
    found = [one for part in chunks for one in everything(store, ref, part)]
    assert sorted(found, key=str) == sorted(points, key=str)
    assert store.read(ref, [one.key for one in points]) == points
    [whole] = store.plan_chunks(ref.name, 1_000)
    order = [one.key for one in everything(store, ref, whole)]
    for at, key in enumerate(order):
        rest = [found for page in store.scan_keys(ref, whole, after=key) for found in page]
        assert rest == order[at + 1 :]


def test_a_large_table_is_cut_by_a_sample(
    store: PgvectorStore, url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecferry.stores.pgvector.scan._WALK_MAX", 1_000)
    run(
        url,
        f"CREATE TABLE {schema}.docs (id bigint PRIMARY KEY, embedding vector(3))",
        f"INSERT INTO {schema}.docs SELECT n, '[1,2,3]' FROM generate_series(1, 20000) AS n",
    )
    ref = Ref(f"{schema}.docs", "docs")
    chunks = store.plan_chunks(ref.name, 4_000)
    assert 3 <= len(chunks) <= 12
    found = [key.id for part in chunks for page in store.scan_keys(ref, part) for key in page]
    assert sorted(found) == list(range(1, 20_001))


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("timestamptz", "'2024-01-01Z'", "'2024-03-01Z'"),
        ("bigint", "10", "20"),
        ("text", "'a'", "'b'"),
    ],
)
def test_what_is_newer_is_asked_for_where_a_column_tells(
    store: PgvectorStore, url: str, schema: str, kind: str, old: str, new: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    run(
        url,
        f"CREATE TABLE {ref.name} (id int PRIMARY KEY, embedding vector(3), at {kind})",
        f"INSERT INTO {ref.name} (id, at) VALUES (1, {old}), (2, {new}), (3, NULL)",
    )
    since = Since("at", 15, datetime(2024, 2, 1, tzinfo=UTC))
    found = [one.key.id for page in store.scan_since(ref, Bounds(), since) for one in page]
    assert found == ([1, 2, 3] if kind == "text" else [2, 3])
    assert isinstance(store, SelectiveScanPart)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("a int, b int, embedding vector(3), PRIMARY KEY (a, b)", "a primary key of 2 columns"),
        ("a int, embedding vector(3)", "no primary key"),
        ("a date PRIMARY KEY, embedding vector(3)", "is a date"),
        ("a int PRIMARY KEY, embedding vector", "how many dimensions"),
    ],
)
def test_a_table_that_cannot_be_moved_says_why_and_what_to_do(
    store: PgvectorStore, url: str, schema: str, columns: str, message: str
) -> None:
    run(url, f"CREATE TABLE {schema}.docs ({columns})")
    with pytest.raises(ConfigError, match=message):
        store.describe(f"{schema}.docs")


def test_dimensions_that_the_column_does_not_tell_are_those_of_a_row(
    store: PgvectorStore, url: str, schema: str
) -> None:
    run(
        url,
        f"CREATE TABLE {schema}.docs (id int PRIMARY KEY, embedding vector)",
        f"INSERT INTO {schema}.docs VALUES (1, NULL), (2, '[1,2,3]')",
    )
    [spec] = store.describe(f"{schema}.docs").vectors
    assert (spec.dim, spec.metric) == (3, None)


def test_the_metric_is_the_index_s_and_none_where_two_disagree(
    store: PgvectorStore, url: str, schema: str
) -> None:
    name = f"{schema}.docs"
    run(
        url,
        f"CREATE TABLE {name} (id int PRIMARY KEY, embedding vector(3))",
        f"CREATE INDEX ON {name} USING hnsw (embedding vector_ip_ops) WITH (m = 8)",
    )
    [spec] = store.describe(name).vectors
    assert (spec.metric, spec.index) == (
        "dot",
        {"type": "hnsw", "opclass": "vector_ip_ops", "m": 8},
    )
    run(url, f"CREATE INDEX ON {name} USING ivfflat (embedding vector_l2_ops) WITH (lists = 1)")
    assert store.describe(name).vectors[0].metric is None
    with pytest.raises(ConfigError, match="metric"):
        store.search(Ref(name, "docs"), "embedding", [vector(1, 2, 3)], 1)


def test_an_index_over_a_cast_tells_the_metric_of_what_it_casts(
    store: PgvectorStore, url: str, schema: str
) -> None:
    if "float16" not in store.capabilities.dtypes:
        pytest.skip("this pgvector has no halfvec")
    name = f"{schema}.docs"
    run(
        url,
        f"CREATE TABLE {name} (id int PRIMARY KEY, embedding vector(3000))",
        f"CREATE INDEX ON {name} USING hnsw ((embedding::halfvec(3000)) halfvec_cosine_ops)",
    )
    [spec] = store.describe(name).vectors
    assert (spec.metric, spec.dtype, spec.dim) == ("cosine", "float32", 3_000)


def test_a_vector_too_wide_for_an_index_is_made_without_one_and_keeps_its_metric(
    store: PgvectorStore, schema: str
) -> None:
    name = f"{schema}.wide"
    store.create(Collection(name, (VectorSpec("embedding", dim=2_001, metric="cosine"),)))
    [spec] = store.describe(name).vectors
    assert (spec.metric, spec.index) == ("cosine", {})


def test_index_parameters_of_another_vendor_are_fitted(store: PgvectorStore, schema: str) -> None:
    name = f"{schema}.docs"
    words = {"type": "hnsw", "m": 48, "ef_construct": 50}
    store.create(Collection(name, (replace(VECTOR, index=words),)))
    [spec] = store.describe(name).vectors
    assert spec.index == {
        "type": "hnsw",
        "opclass": "vector_l2_ops",
        "m": 48,
        "ef_construction": 96,
    }


def test_names_that_need_quotes_are_quoted(store: PgvectorStore, url: str, schema: str) -> None:
    relation, column = "do\"cs'; --", 'Em"bed'
    name = f"{schema}.{relation}"
    store.create(Collection(name, (VectorSpec(column, dim=3, metric="l2"),)))
    ref = Ref(name, "docs")
    one = Point(Key("docs", "", "it's"), Image({column: vector(1, 2, 3)}, b'{"a":1}'))
    put(store, ref, one)
    assert name in store.collections()
    assert everything(store, ref) == [one]
    [[hit]] = store.search(ref, column, [vector(1, 2, 3)], 5)
    assert (hit.key, hit.score) == (one.key, 0.0)
    store.drop(name)
    assert name not in store.collections()


def test_ids_of_another_type_than_the_table_s_are_hashed_and_come_back(
    store: PgvectorStore, url: str, schema: str
) -> None:
    for kind in ("uuid", "str"):
        ref = Ref(f"{schema}.{kind}", "docs")
        store.create(Collection(ref.name, (VECTOR,), id_types=frozenset({kind})))
        points = [point(id, space=space) for id in (5, "5", UUID(int=5)) for space in ("", "b")]
        put(store, ref, *points)
        assert sorted(everything(store, ref), key=str) == sorted(points, key=str)
        assert store.read(ref, [one.key for one in points]) == points
        ids = {row["id"] for row in run(url, f"SELECT id::text FROM {ref.name}")}
        assert str(hashed_id(Key("docs", "b", 5))) in ids
        assert store.describe(ref.name).namespaces == ("", "b")
        put(store, ref)
        assert store.write(ref, [Write(one.key, None) for one in points]) == []
        assert everything(store, ref) == []


def test_a_typed_key_holds_any_text_and_nothing_untyped(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    store.create(Collection(ref.name, (VECTOR,)))
    points = [point(id) for id in ("nul \0 inside", "x00", -(2**70), 2**70, "")]
    put(store, ref, *points)
    assert store.read(ref, [one.key for one in points]) == points
    with pytest.raises(asyncpg.CheckViolationError):
        run(url, f"INSERT INTO {ref.name} (_vf_key) VALUES ('5')")
    run(url, f"INSERT INTO {ref.name} (_vf_key) VALUES ('i0x5')")
    with pytest.raises(HaltError, match="typed id"):
        everything(store, ref)


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


def test_a_search_by_the_index_finds_as_many_as_are_asked_for(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    store.create(Collection(ref.name, (VECTOR,), id_types=frozenset({"int"})))
    points = [point(n)._replace(image=Image({"embedding": vector(n, 0, 1)})) for n in range(120)]
    put(store, ref, *points)
    [hits] = store.search(ref, "embedding", [vector(0, 0, 1)], 100, exact=False)
    assert [hit.key.id for hit in hits] == list(range(100))


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


def test_a_database_without_the_extension_says_so(url: str) -> None:
    name = f"bare_{uuid4().hex[:12]}"
    run(url, f"CREATE DATABASE {name}")
    bare = connect(StoreSettings(type="pgvector", url=url, database=name))
    with pytest.raises(ConfigError, match="CREATE EXTENSION vector"):
        bare.version()
    bare.close()
    run(url, f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": "nowhere"}, "3D000"),
        ({"user": "nobody"}, "28000"),
        ({"tls": True}, "SSL"),
        ({"url": "postgresql://127.0.0.1:9/postgres"}, "check url"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(url: str, change: dict[str, Any], message: str) -> None:
    given = {"type": "pgvector", "url": url, "password": "s3cret!"} | change
    store = connect(StoreSettings.model_validate(given))
    with pytest.raises(ConfigError, match=message) as raised:
        store.version()
    assert "s3cret!" not in str(raised.value)
    store.close()


class TlsFront(socketserver.ThreadingTCPServer):
    """What a server with TLS does, before one whose build has none: it answers SSLRequest."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, certificate: Path) -> None:
        self.upstream = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), _Session)

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self.server_address[1]}/postgres"


class _Session(socketserver.BaseRequestHandler):
    server: TlsFront

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            if self.request.recv(8) != struct.pack(">ii", 8, 80877103):
                return
            self.request.sendall(b"S")
            with (
                self.server.context.wrap_socket(self.request, server_side=True) as inside,
                socket.create_connection(("127.0.0.1", self.server.upstream)) as outside,
            ):
                self._pump(inside, outside)

    def _pump(self, inside: ssl.SSLSocket, outside: socket.socket) -> None:
        while True:
            ready = [inside] if inside.pending() else select.select([inside, outside], [], [])[0]
            for one, other in ((inside, outside), (outside, inside)):
                if one in ready:
                    part = one.recv(65_536)
                    if not part:
                        return
                    other.sendall(part)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that wants TLS and a password, and the file of the authority that vouches for it."""
    reason = pgvector.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("postgres")
    authority = Authority(folder)
    hba = folder / "hba.conf"
    hba.write_text(
        "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    with pgvector.PostgresServer(options={"hba_file": str(hba)}) as server:
        run(server.url, "CREATE ROLE app LOGIN PASSWORD 's3cret!'")
        run(server.url, "GRANT ALL ON SCHEMA public TO app")
        with TlsFront(server.port, authority.keystore) as front:
            threading.Thread(target=front.serve_forever, daemon=True).start()
            yield front.url, authority.ca_file
            front.shutdown()


def test_tls_with_a_private_authority_and_a_password_work(secured: tuple[str, Path]) -> None:
    url, ca_file = secured
    settings = {"type": "pgvector", "url": url, "user": "app", "password": "s3cret!"}
    store = connect(StoreSettings.model_validate(settings | {"ca_file": ca_file}))
    store.create(Collection("docs", (VECTOR,)))
    put(store, Ref("docs", "docs"), point(1))
    assert everything(store, Ref("docs", "docs")) == [point(1)]
    store.drop("docs")
    store.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wr0ng!"}, "28P01"),
        ({"user": "nobody"}, "28P01"),
        ({"ca_file": None}, "check url, database and tls"),
        ({"ca_file": None, "tls": True}, "check url, database and tls"),
    ],
    ids=["password", "user", "plain", "authority"],
)
def test_what_a_secured_server_refuses_is_one_clear_error(
    secured: tuple[str, Path], change: dict[str, Any], message: str
) -> None:
    url, ca_file = secured
    given = {
        "type": "pgvector",
        "url": url,
        "user": "app",
        "password": "s3cret!",
        "ca_file": ca_file,
    }
    store = connect(StoreSettings.model_validate(given | change))
    with pytest.raises(ConfigError, match=message) as raised:
        store.version()
    store.close()
    assert "s3cret!" not in str(raised.value)
    assert "wr0ng!" not in str(raised.value)


def test_an_outage_is_transient_and_what_was_answered_survives_a_crash(tmp_path: Path) -> None:
    reason = pgvector.missing()
    if reason is not None:
        pytest.skip(reason)
    with pgvector.PostgresServer(tmp_path) as server:
        store = connect(StoreSettings(type="pgvector", url=server.url))
        ref = Ref("docs", "docs")
        store.create(Collection("docs", (VECTOR,)))
        put(store, ref, point(1))
        server.kill()
        for request in (lambda: store.read(ref, [point(1).key]), lambda: put(store, ref, point(2))):
            with pytest.raises(TransientError):
                request()
        server.start()
        put(store, ref, point(3))
        assert [one.key.id for one in everything(store, ref)] == [1, 3]
        store.close()
