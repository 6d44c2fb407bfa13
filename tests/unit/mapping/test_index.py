"""Index parameters: neutral words, the nearest type, and the user's own."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from vecferry.mapping.index import plan_index, translate_index
from vecferry.model import VectorSpec
from vecferry.plan_settings import IndexSettings
from vecferry.ports import Capabilities

TARGET = Capabilities(
    id_types=frozenset({"int"}),
    dtypes=frozenset({"float32"}),
    metrics=frozenset({"l2"}),
    index_types=frozenset({"hnsw", "flat"}),
    quantisations=frozenset({"binary", "flat/scalar"}),
)


def a_vector(index: Mapping[str, object]) -> VectorSpec:
    return VectorSpec("e", dim=3, metric="l2", index=index)


@pytest.mark.parametrize(
    ("own", "neutral"),
    [
        (
            {"type": "hnsw", "m": 8, "ef_construct": 64, "full_scan_threshold": 10_000},
            {"type": "hnsw", "m": 8, "ef_construct": 64},
        ),
        ({"type": "hnsw", "m": 0, "ef_construct": 64}, {"type": "flat"}),
        (
            {"type": "hnsw", "quantization": {"scalar": {"type": "Int8"}}},
            {"type": "hnsw", "quantisation": "scalar"},
        ),
        (
            {"index_type": "HNSW", "M": 24, "efConstruction": 150},
            {"type": "hnsw", "m": 24, "ef_construct": 150},
        ),
        ({"index_type": "IVF_FLAT", "nlist": 128}, {"type": "ivf_flat", "nlist": 128}),
        (
            {"index_type": "IVF_PQ", "nlist": 128, "m": 4},
            {"type": "ivf_flat", "nlist": 128, "quantisation": "product"},
        ),
        ({"index_type": "DISKANN"}, {"type": "diskann"}),
        ({"index_type": "BIN_IVF_FLAT", "nlist": 9}, {"type": "ivf_flat", "nlist": 9}),
        (
            {"type": "hnsw", "maxConnections": 32, "efConstruction": 128, "ef": -1},
            {"type": "hnsw", "m": 32, "ef_construct": 128},
        ),
        (
            {"vectorIndexType": "flat", "pq": {"enabled": False}, "bq": {"enabled": True}},
            {"type": "flat", "quantisation": "binary"},
        ),
        (
            {"type": "hnsw", "m": 16, "ef_construction": 64},
            {"type": "hnsw", "m": 16, "ef_construct": 64},
        ),
        ({"type": "ivfflat", "lists": 100}, {"type": "ivf_flat", "nlist": 100}),
        ({}, {}),
    ],
)
def test_every_vendors_words_become_the_same_ones(
    own: dict[str, object], neutral: dict[str, object]
) -> None:
    assert translate_index(own) == neutral
    assert translate_index(neutral) == neutral


def test_a_type_that_the_target_lacks_becomes_its_nearest_and_both_are_named() -> None:
    planned = plan_index(a_vector({"index_type": "IVF_FLAT", "nlist": 128}), {}, TARGET)
    assert planned.words == {"type": "hnsw"}
    (warning,) = planned.warnings
    assert "ivf_flat" in warning
    assert "hnsw, without nlist" in warning


def test_a_database_that_chooses_by_itself_gets_the_words_and_no_warning() -> None:
    managed = replace(TARGET, index_types=frozenset())
    planned = plan_index(a_vector({"type": "diskann", "quantisation": "product"}), {}, managed)
    assert planned.words == {"type": "diskann", "quantisation": "product"}
    assert planned.warnings == ()


def test_a_compression_that_the_target_lacks_is_left_out_with_a_warning() -> None:
    planned = plan_index(a_vector({"type": "hnsw", "quantisation": "scalar"}), {}, TARGET)
    assert planned.words == {"type": "hnsw", "quantisation": "none"}
    assert "no scalar quantisation" in planned.warnings[0]
    flat = plan_index(a_vector({"type": "flat", "quantisation": "scalar"}), {}, TARGET)
    assert (flat.words["quantisation"], flat.warnings) == ("scalar", ())


def test_the_users_words_go_before_the_sources() -> None:
    source = a_vector({"type": "hnsw", "m": 8, "ef_construct": 64})
    planned = plan_index(source, {"m": 32, "quantisation": "binary"}, TARGET)
    assert planned.words == {"type": "hnsw", "m": 32, "ef_construct": 64, "quantisation": "binary"}
    other = plan_index(source, {"type": "flat"}, TARGET)
    assert other.words == {"type": "flat"}, "the parameters belong to the type that they were of"


def test_within_one_product_the_vendors_own_words_stay_but_for_what_is_changed() -> None:
    own = {
        "type": "hnsw",
        "m": 8,
        "full_scan_threshold": 10_000,
        "quantization": {"scalar": {"type": "Int8", "quantile": 0.99}},
    }
    target = replace(TARGET, quantisations=frozenset({"scalar", "binary"}))
    same = plan_index(a_vector(own), {}, target, same_vendor=True).words
    assert same == own | {"quantisation": "scalar"}
    changed = plan_index(
        a_vector(own), {"quantisation": "binary", "m": 9}, target, same_vendor=True
    )
    assert "quantization" not in changed.words
    assert (changed.words["m"], changed.words["full_scan_threshold"]) == (9, 10_000)
    milvus = plan_index(a_vector({"index_type": "IVF_PQ", "m": 4}), {}, TARGET, same_vendor=True)
    assert "index_type" not in milvus.words, "it would win over the type that the plan tells"


def test_a_vectors_own_settings_go_before_those_for_all() -> None:
    settings = IndexSettings.model_validate(
        {"m": 16, "ef_construct": 100, "vectors": {"e": {"m": 32}}}
    )
    assert settings.words_for("e") == {"m": 32, "ef_construct": 100}
    assert settings.words_for("f") == {"m": 16, "ef_construct": 100}
