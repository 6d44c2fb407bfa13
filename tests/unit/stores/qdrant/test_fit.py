"""What Qdrant would not hold as it is, told without a request."""

import struct

import pytest

from vecferry.model import (
    Collection,
    Dense,
    Dtype,
    Id,
    Image,
    Key,
    Multi,
    Sparse,
    Vector,
    VectorSpec,
)
from vecferry.payload import encode_payload
from vecferry.settings import StoreSettings
from vecferry.stores.qdrant import QdrantStore
from vecferry.stores.qdrant.creation import creation_requests

STORE = QdrantStore(StoreSettings(type="qdrant", url="http://127.0.0.1:1"))


def floats(*values: float, dtype: Dtype = "float32") -> Dense:
    kind = {"float32": "f", "float16": "e", "uint8": "B", "int8": "b"}[dtype]
    return Dense(dtype, len(values), struct.pack(f"<{len(values)}{kind}", *values))


def told(vector: Vector, spec: VectorSpec, payload: object = None, id: Id = 1) -> dict[str, str]:
    image = Image({"e": vector}, encode_payload(payload or {}))  # type: ignore[arg-type]
    fits = STORE.fit(Collection("docs", (spec,)), Key("docs", "", id), image)
    assert all("secret" not in fit.reason for fit in fits)
    return {fit.field: fit.rating for fit in fits}


def a_spec(dtype: Dtype = "float32", dim: int = 2, **more: object) -> VectorSpec:
    return VectorSpec("e", dtype=dtype, dim=dim, **({"metric": "l2"} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vector", "spec", "rating"),
    [
        (floats(1, 2), a_spec(), None),
        (floats(1, 2, dtype="float16"), a_spec("float16"), None),
        (floats(1, 2, dtype="float16"), a_spec(), "widened"),
        (floats(1, -2, dtype="int8"), a_spec(), "widened"),
        (floats(0.5, 2), a_spec("float16"), "widened"),
        (floats(0.1, 2), a_spec("float16"), "lossy"),
        (floats(1e30, 2), a_spec("float16"), "lossy"),
        (floats(1, -2, dtype="int8"), a_spec("uint8"), "lossy"),
        (Dense("binary", 8, b"\1"), a_spec(dim=8), "dropped"),
        (floats(1, 2, 3), a_spec(), "dropped"),
        (floats(1, float("nan")), a_spec(), "dropped"),
        (floats(1, float("inf")), a_spec(), "dropped"),
        (Sparse(b"\0" * 4, b"\0" * 4), a_spec(), "dropped"),
        (floats(1, 0), a_spec(metric="cosine"), None),
        (floats(0, 0), a_spec(metric="cosine"), None),
        (floats(3, 4), a_spec(metric="cosine"), "lossy"),
        (floats(3, 4, dtype="uint8"), a_spec("uint8", metric="cosine"), None),
        (
            Multi("float32", 2, 2, floats(1, 0, 3, 4).data),
            a_spec(kind="multi", metric="cosine"),
            "lossy",
        ),
    ],
)
def test_a_vector_is_rated_by_what_comes_back(
    vector: Vector, spec: VectorSpec, rating: str | None
) -> None:
    assert told(vector, spec).get("vectors.e") == rating


def test_a_vector_that_the_collection_has_not_is_dropped() -> None:
    assert told(floats(1, 2), VectorSpec("f", dim=2, metric="l2")) == {"vectors.e": "dropped"}


def test_a_payload_is_rated_field_by_field() -> None:
    payload = {"a": 2**63, "b": 2**63 - 1, "_vf_mine": "secret", "c": None}
    found = told(floats(1, 2), a_spec(), payload)
    assert found == {"payload.a": "carried", "payload._vf_mine": "carried"}


@pytest.mark.parametrize(("id", "kept"), [(1, True), (-1, False), ("one", False)])
def test_ids_that_become_others_are_carried(id: Id, kept: bool) -> None:
    assert ("id" not in told(floats(1, 2), a_spec(), id=id)) == kept


@pytest.mark.parametrize(
    ("index", "made"),
    [
        ({"type": "hnsw", "m": 9, "quantisation": "scalar"}, "scalar"),
        ({"type": "hnsw", "quantisation": "product"}, "product"),
        ({"type": "flat", "quantisation": "binary"}, "binary"),
        ({"type": "hnsw", "quantisation": "none"}, None),
        ({"type": "hnsw", "quantisation": "binary", "quantization": {"scalar": {}}}, "scalar"),
    ],
)
def test_compression_in_neutral_words_is_made(index: dict[str, object], made: str | None) -> None:
    request, _ = creation_requests(Collection("docs", (a_spec(index=index),)))
    params = request.vectors_config.params_map.map["e"]
    assert params.quantization_config.WhichOneof("quantization") == made


def test_a_flat_index_has_no_links() -> None:
    request, _ = creation_requests(Collection("docs", (a_spec(index={"type": "flat"}),)))
    params = request.vectors_config.params_map.map["e"]
    assert params.hnsw_config.HasField("m")
    assert params.hnsw_config.m == 0
