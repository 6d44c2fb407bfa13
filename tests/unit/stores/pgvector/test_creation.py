import re
from dataclasses import replace

import pytest

from vecferry.errors import ConfigError
from vecferry.model import Collection, VectorSpec
from vecferry.stores.pgvector.catalog import capabilities_of
from vecferry.stores.pgvector.connect import Product
from vecferry.stores.pgvector.creation import creation_statements, planned_table

NEW, OLD = Product("16", (0, 8, 5), "ext"), Product("16", (0, 6, 2), "ext")
VECTOR = VectorSpec("embedding", dim=3, metric="l2")


def made(*specs: VectorSpec, product: Product = NEW, **other: object) -> list[str]:
    return creation_statements(Collection("docs", specs, **other), product)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"int"}, '"id" bigint NOT NULL'),
        ({"uuid"}, '"id" uuid NOT NULL'),
        ({"str"}, '"id" text COLLATE "C" NOT NULL'),
        ({"int", "uuid"}, '"_vf_key" text COLLATE "C" NOT NULL'),
    ],
)
def test_the_key_is_of_the_ids_type_or_typed(ids: set[str], key: str) -> None:
    assert f"({key}, " in made(VECTOR, id_types=frozenset(ids))[0]


def test_vectors_of_every_type_have_a_column_and_an_index_where_one_is_possible() -> None:
    table, _, _, *indexes = made(
        VECTOR,
        VectorSpec("half", dtype="float16", dim=4_000, metric="cosine"),
        VectorSpec("wide", dim=2_001, metric="dot"),
        VectorSpec("bits", dtype="binary", dim=64, metric="jaccard"),
        VectorSpec("words", "sparse", metric="dot"),
        VectorSpec("flat", dim=3, metric="l2", index={"type": "flat"}),
    )
    for column in (
        '"embedding" "ext"."vector"(3)',
        '"half" "ext"."halfvec"(4000)',
        '"bits" bit(64)',
    ):
        assert column in table
    assert '"words" "ext"."sparsevec",' in table
    classes = [re.search(r"\((\".*\") \"ext\"\.(\w+)\)", one)[0] for one in indexes]  # type: ignore[index]
    assert classes == [
        '("embedding" "ext".vector_l2_ops)',
        '("half" "ext".halfvec_cosine_ops)',
        '("bits" "ext".bit_jaccard_ops)',
    ]


@pytest.mark.parametrize(
    ("spec", "product", "message"),
    [
        (replace(VECTOR, metric=None), NEW, "collections.metrics"),
        (replace(VECTOR, metric="hamming"), NEW, "no metric"),
        (replace(VECTOR, metric="l1"), OLD, "no metric"),
        (replace(VECTOR, dim=16_001), NEW, "16000"),
        (replace(VECTOR, dim=0), NEW, "dimensions"),
        (replace(VECTOR, dtype="int8"), NEW, "int8"),
        (replace(VECTOR, dtype="float16"), OLD, "float16"),
        (replace(VECTOR, dtype="binary", metric="l2"), NEW, "no metric"),
        (replace(VECTOR, kind="multi"), NEW, "multi"),
        (VectorSpec("words", "sparse", metric="dot"), OLD, "sparse"),
        (replace(VECTOR, name="payload"), NEW, "own"),
        (replace(VECTOR, name="_vf_x"), NEW, "own"),
        (replace(VECTOR, name="ü" * 32), NEW, "63 bytes"),
    ],
)
def test_what_pgvector_cannot_hold_is_refused_before_anything_is_made(
    spec: VectorSpec, product: Product, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        made(spec, product=product)


def test_the_capabilities_name_what_a_vector_can_be_called() -> None:
    pattern = capabilities_of(NEW).vector_name
    for name, fits in {
        "embedding": 1,
        "ideas": 1,
        "": 0,
        "id": 0,
        "payload": 0,
        "_vf_x": 0,
    }.items():
        assert bool(re.fullmatch(pattern, name)) == bool(fits), name
    whole = capabilities_of(NEW).collection_name
    for name, fits in {"docs": 1, "a.docs": 1, "a.b.c": 0, "": 0, ".a": 0}.items():
        assert bool(re.fullmatch(whole, name)) == bool(fits), name


def test_a_source_s_columns_that_would_be_in_the_way_are_fields_of_the_payload() -> None:
    columns = [
        {"name": name, "type": "integer", "base": "int4", "array": False}
        for name in ("payload", "embedding", "_vf_x", "doc", "n")
    ]
    options = {"pgvector": {"primary_key": "doc", "columns": columns}}
    table = planned_table(
        Collection("docs", (VECTOR,), id_types=frozenset({"int"}), options=options)
    )
    assert (table.key, [column.name for column in table.columns]) == ("doc", ["n"])
