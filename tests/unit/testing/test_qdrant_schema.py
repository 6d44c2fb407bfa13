"""A collection's configuration, a point and an index are read whole or refused."""

from typing import Any

import pytest

from vecferry.testing.qdrant_server.indexes import index_of
from vecferry.testing.qdrant_server.refusals import (
    BadInputError,
    NotImplementedHereError,
    RefusalError,
)
from vecferry.testing.qdrant_server.schema import read_config, shapes_of, shown_config
from vecferry.testing.qdrant_server.values import Shape, point, point_id, vectors

DENSE = {"size": 4, "distance": "Cosine"}
SHAPES = {"": Shape("dense", 2), "m": Shape("multi", 2), "s": Shape("sparse")}


def test_an_unnamed_vector_is_shown_as_it_was_given() -> None:
    config = read_config({"vectors": DENSE})

    assert shapes_of(config) == {"": Shape("dense", 4)}
    assert shown_config(config)["params"]["vectors"] == DENSE


def test_named_sparse_and_multivectors_have_their_shapes() -> None:
    multi = {**DENSE, "multivector_config": {"comparator": "max_sim"}}
    config = read_config({"vectors": {"d": DENSE, "m": multi}, "sparse_vectors": {"s": {}}})

    assert shapes_of(config) == {
        "d": Shape("dense", 4),
        "m": Shape("multi", 4),
        "s": Shape("sparse"),
    }


def test_what_is_not_given_is_shown_with_its_default() -> None:
    shown = shown_config(read_config({"vectors": DENSE, "hnsw_config": {"m": 8}}))

    assert (shown["hnsw_config"]["m"], shown["hnsw_config"]["ef_construct"]) == (8, 100)
    assert shown["optimizer_config"]["indexing_threshold"] == 10_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"vectors": DENSE, "colour": 1}, BadInputError),
        ({"vectors": {**DENSE, "colour": 1}}, BadInputError),
        ({"vectors": {**DENSE, "size": 0}}, BadInputError),
        ({"vectors": {"size": 4}}, BadInputError),
        ({"vectors": DENSE, "hnsw_config": {"mm": 1}}, BadInputError),
        ({"vectors": DENSE, "optimizers_config": {"x": 1}}, BadInputError),
        ({"vectors": {**DENSE, "distance": "Hamming"}}, NotImplementedHereError),
        ({"vectors": {**DENSE, "datatype": "turbo4"}}, NotImplementedHereError),
        (
            {"vectors": DENSE, "optimizers_config": {"prevent_unoptimized": True}},
            NotImplementedHereError,
        ),
        ({"vectors": DENSE, "sharding_method": "custom"}, NotImplementedHereError),
        ({"vectors": DENSE, "strict_mode_config": {"enabled": True}}, NotImplementedHereError),
        ({"vectors": DENSE, "quantization_config": {"turbo": {}}}, NotImplementedHereError),
        ({}, NotImplementedHereError),
    ],
    ids=str,
)
def test_a_configuration_with_anything_unknown_is_refused(
    body: Any, error: type[RefusalError]
) -> None:
    with pytest.raises(error):
        read_config(body)


@pytest.mark.parametrize("value", [-1, 1 << 64, True, 1.0, "x", None, b"1"], ids=repr)
def test_what_is_no_id_is_refused(value: Any) -> None:
    with pytest.raises(BadInputError, match="not a valid point ID"):
        point_id(value)


@pytest.mark.parametrize(
    "body",
    [
        [1.0],
        [[1.0, 2.0]],
        {"m": [[1.0, 2.0], [3.0]]},
        {"m": []},
        {"m": [1.0, 2.0]},
        {"s": [1.0]},
        {"s": {"indices": [1, 1], "values": [1.0, 2.0]}},
        {"s": {"indices": [1], "values": [1.0, 2.0]}},
        {"": {"indices": [1], "values": [1.0]}},
        {"other": [1.0, 2.0]},
        ["a", "b"],
        "text",
    ],
    ids=str,
)
def test_a_vector_that_does_not_fit_never_reaches_the_engine(body: Any) -> None:
    with pytest.raises(BadInputError):
        point(SHAPES, 1, vectors(body), {})


@pytest.mark.parametrize(
    "payload",
    [{"a": float("nan")}, {1: 2}, {"a": object()}],
    ids=["not a number", "a number as a name", "an object"],
)
def test_a_payload_that_json_cannot_hold_is_refused(payload: Any) -> None:
    with pytest.raises(BadInputError):
        point(SHAPES, 1, {"": [1.0, 2.0]}, payload)


def test_an_index_is_shown_as_it_was_asked_for() -> None:
    assert index_of("keyword")[0] == {"type": "keyword"}
    assert index_of({"type": "integer", "range": True, "lookup": False})[0] == {
        "type": "integer",
        "range": True,
        "lookup": False,
    }


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (None, NotImplementedHereError),
        ("colour", NotImplementedHereError),
        ({"type": "text", "stemmer": {"type": "snowball"}}, NotImplementedHereError),
        ({"type": "keyword", "range": True}, BadInputError),
        ({}, BadInputError),
    ],
    ids=str,
)
def test_an_index_with_anything_unknown_is_refused(body: Any, error: type[RefusalError]) -> None:
    with pytest.raises(error):
        index_of(body)
