"""What Milvus would not hold as it is, told by the code that makes rows."""

import struct

import pytest

from vecferry.model import Collection, Dense, Id, Image, Key, Sparse, Vector, VectorSpec
from vecferry.payload import encode_payload
from vecferry.stores.milvus.connect import Product, parse_product
from vecferry.stores.milvus.creation import _index, planned_shape
from vecferry.stores.milvus.fit import fit_image
from vecferry.stores.milvus.schema import capabilities_of

NEW, OLD = parse_product("v2.6.0"), parse_product("v2.3.5")
SPECS = (
    VectorSpec("e", dim=2, metric="l2"),
    VectorSpec("s", kind="sparse"),
)
FIELDS = [
    {"name": "year", "type": "Int16"},
    {"name": "tag", "type": "VarChar", "max_length": 4},
]


def told(
    image: Image, id: Id = 1, *, product: Product = NEW, collection: Collection | None = None
) -> dict[str, str]:
    collection = collection or Collection("docs", SPECS[:1])
    shape = planned_shape(product, collection, capabilities_of(product))
    return {fit.field: fit.rating for fit in fit_image(shape, Key("docs", "", id), image)}


def an_image(payload: dict[str, object] | None = None, **vectors: Vector) -> Image:
    given = vectors or {"e": floats(1.0, 2.0)}
    return Image(given, encode_payload(payload or {}))


def floats(*values: float) -> Dense:
    return Dense("float32", len(values), struct.pack(f"<{len(values)}f", *values))


@pytest.mark.parametrize(
    ("vector", "rating"),
    [
        (floats(1, 2), None),
        (Dense("int8", 2, b"\1\2"), "widened"),
        (Dense("bfloat16", 2, b"\0\0\0\0"), "widened"),
        (Dense("binary", 8, b"\1"), "dropped"),
        (floats(1, 2, 3), "dropped"),
        (floats(1, float("nan")), "dropped"),
        (Sparse(b"\0" * 4, b"\0" * 4), "dropped"),
    ],
)
def test_a_vector_is_rated_by_what_a_row_holds(vector: Vector, rating: str | None) -> None:
    assert told(an_image(e=vector), "one").get("vectors.e") == rating


def test_a_point_without_a_vector_that_the_schema_wants_cannot_be_written() -> None:
    both = Collection("docs", SPECS)
    sparse = Sparse(struct.pack("<I", 1), struct.pack("<f", 1.0))
    assert told(an_image(s=sparse), "one", collection=both) == {"vectors.e": "dropped"}
    assert told(an_image(e=floats(1, 2)), "one", collection=both) == {}
    assert told(an_image(e=floats(1, 2), x=floats(1, 2)), "one") == {"vectors.x": "dropped"}


def test_cells_that_cannot_hold_a_value_carry_it() -> None:
    schema = Collection("docs", SPECS[:1], options={"milvus": {"fields": FIELDS}})
    fits = {"year": 1999, "tag": "abcd", "free": [1, None]}
    assert told(an_image(fits), "one", collection=schema) == {}
    large = {"year": 2**20, "tag": "abcde"}
    found = told(an_image(large), "one", collection=schema)
    assert found == {"payload.year": "carried", "payload.tag": "carried"}
    assert told(an_image({"year": 1}), "one", collection=schema) == {"payload": "dropped"}


def test_a_payload_beyond_the_dynamic_fields_limit_cannot_be_written() -> None:
    assert told(an_image({"t": "x" * 70_000}), "one") == {"payload": "dropped"}


def test_keys_are_rated_by_the_primary_keys_type() -> None:
    assert told(an_image(), 1) == {"id": "carried"}, "the key is a VARCHAR"
    assert told(an_image(), "one") == {}
    whole = Collection("docs", SPECS[:1], id_types=frozenset({"int"}))
    assert told(an_image(), 1, collection=whole) == {}
    assert told(an_image(), "one", collection=whole) == {"id": "dropped"}


@pytest.mark.parametrize(
    ("index", "dtype", "made"),
    [
        ({"type": "hnsw", "quantisation": "scalar"}, "float32", "HNSW_SQ"),
        ({"type": "ivf_flat", "quantisation": "scalar", "nlist": 9}, "float32", "IVF_SQ8"),
        ({"type": "hnsw", "quantisation": "none"}, "float32", "HNSW"),
        ({"type": "ivf_flat"}, "binary", "BIN_IVF_FLAT"),
        ({"type": "flat"}, "binary", "BIN_FLAT"),
        ({"type": "diskann"}, "float32", "DISKANN"),
    ],
)
def test_an_index_in_neutral_words_is_made(index: dict[str, object], dtype: str, made: str) -> None:
    metric = "hamming" if dtype == "binary" else "l2"
    spec = VectorSpec("e", dtype=dtype, dim=8, metric=metric, index=index)  # type: ignore[arg-type]
    assert _index(spec, capabilities_of(NEW))["index_type"] == made


def test_what_an_older_server_lacks_is_in_its_capabilities() -> None:
    assert "hnsw/scalar" in capabilities_of(NEW).quantisations
    assert "hnsw/scalar" not in capabilities_of(OLD).quantisations
    assert "diskann" not in capabilities_of(parse_product("milvus_lite-3.2.0")).index_types
