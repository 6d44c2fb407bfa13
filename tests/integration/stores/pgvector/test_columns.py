"""Columns of every type as fields of the payload."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from vecferry.model import Key
from vecferry.payload import encode_payload
from vecferry.ports import Bounds, Ref, SelectiveScanPart, Since
from vecferry.stores.pgvector import PgvectorStore
from vecferry.testing.tables import VECTOR, everything, point, put, run, vector

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
