"""Tables of the user's own and of Vecferry's: keys, names, indexes, parts."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from vecferry.errors import (
    ConfigError,
    HaltError,
)
from vecferry.model import Collection, Image, Key, Point, VectorSpec
from vecferry.ports import Ref, Write
from vecferry.stores.identity import hashed_id
from vecferry.stores.pgvector import PgvectorStore
from vecferry.testing.tables import VECTOR, everything, point, put, run, vector


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


def test_a_search_by_the_index_finds_as_many_as_are_asked_for(
    store: PgvectorStore, url: str, schema: str
) -> None:
    ref = Ref(f"{schema}.docs", "docs")
    store.create(Collection(ref.name, (VECTOR,), id_types=frozenset({"int"})))
    points = [point(n)._replace(image=Image({"embedding": vector(n, 0, 1)})) for n in range(120)]
    put(store, ref, *points)
    [hits] = store.search(ref, "embedding", [vector(0, 0, 1)], 100, exact=False)
    assert [hit.key.id for hit in hits] == list(range(100))
