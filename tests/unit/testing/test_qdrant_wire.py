"""The gRPC spelling of a request and the REST one mean the same."""

from typing import Any

import pytest
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError
from vecferry.testing.qdrant_server.wire import fill_value, json_of, python_of

FIELD = models.FieldCondition
UUID = "936da01f-9abd-4d9d-80c7-02af85c822a8"
SQUARE = [
    models.GeoPoint(lon=lon, lat=lat)
    for lon, lat in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0))
]
CONDITIONS = [
    FIELD(key="a", match=models.MatchValue(value="x")),
    FIELD(key="a", match=models.MatchValue(value=7)),
    FIELD(key="a", match=models.MatchValue(value=False)),
    FIELD(key="a", match=models.MatchAny(any=["x", "y"])),
    FIELD(key="a", match=models.MatchAny(any=[1, 2])),
    FIELD(key="a", match=models.MatchExcept(**{"except": ["x"]})),
    FIELD(key="a", match=models.MatchExcept(**{"except": [1]})),
    FIELD(key="a", match=models.MatchText(text="some words")),
    FIELD(key="a", match=models.MatchTextAny(text_any="some words")),
    FIELD(key="a", match=models.MatchPhrase(phrase="some words")),
    FIELD(key="a.b[]", range=models.Range(gte=0.0, lt=2.5)),
    FIELD(key="a", values_count=models.ValuesCount(gte=0, lt=3)),
    FIELD(
        key="g",
        geo_radius=models.GeoRadius(center=models.GeoPoint(lon=1.0, lat=2.0), radius=64.0),
    ),
    FIELD(
        key="g",
        geo_bounding_box=models.GeoBoundingBox(
            top_left=models.GeoPoint(lon=1.0, lat=2.0),
            bottom_right=models.GeoPoint(lon=2.0, lat=1.0),
        ),
    ),
    FIELD(key="a", is_empty=True),
    FIELD(key="a", is_null=False),
    models.IsEmptyCondition(is_empty=models.PayloadField(key="a")),
    models.IsNullCondition(is_null=models.PayloadField(key="a")),
    models.HasIdCondition(has_id=[0, (1 << 64) - 1, UUID]),
    models.HasVectorCondition(has_vector="v"),
    models.NestedCondition(
        nested=models.Nested(key="a", filter=models.Filter(must=[FIELD(key="b", is_null=True)]))
    ),
    models.Filter(must_not=[FIELD(key="c", match=models.MatchValue(value="z"))]),
]


def plain(model: Any) -> Any:
    return model.model_dump(exclude_none=True, by_alias=True, mode="json")


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: str(plain(one))[:60])
def test_a_condition_means_the_same_on_both_protocols(condition: Any) -> None:
    model = models.Filter(must=[condition], should=[condition])

    assert json_of(RestToGrpc.convert_filter(model)) == plain(model)


def test_a_date_range_is_a_range_of_dates() -> None:
    message = grpc.FieldCondition(key="d")
    message.datetime_range.gte.FromJsonString("2026-01-02T03:04:05Z")

    assert json_of(message) == {"key": "d", "range": {"gte": "2026-01-02T03:04:05+00:00"}}


def test_a_condition_with_both_kinds_of_range_is_refused() -> None:
    message = grpc.FieldCondition(key="d", range=grpc.Range(gte=1.0))
    message.datetime_range.gte.FromJsonString("2026-01-02T03:04:05Z")

    with pytest.raises(BadInputError, match="twice"):
        json_of(message)


def test_an_empty_condition_is_refused_and_not_taken_for_one_that_always_holds() -> None:
    with pytest.raises(BadInputError, match="Condition is empty"):
        json_of(grpc.Filter(must=[grpc.Condition()]))


@pytest.mark.parametrize("where", ["filter", "condition", "match"])
def test_a_field_of_a_later_protocol_is_refused_at_any_depth(where: str) -> None:
    later = b"\xf2\x3e\x01x"  # field 1006, one byte
    match = grpc.Match(keyword="x")
    condition = grpc.Condition(field=grpc.FieldCondition(key="a", match=match))
    whole = grpc.Filter(must=[condition])
    target = {"filter": whole, "condition": whole.must[0], "match": whole.must[0].field.match}
    target[where].MergeFromString(later)

    with pytest.raises(BadInputError, match="unknown field"):
        json_of(grpc.Filter.FromString(whole.SerializeToString()))


def test_a_request_keeps_what_means_something_and_drops_what_does_not() -> None:
    request = grpc.ScrollPoints(
        collection_name="c",
        limit=0,
        timeout=3,
        offset=grpc.PointId(uuid=UUID),
        with_vectors=grpc.WithVectorsSelector(enable=False),
        with_payload=grpc.WithPayloadSelector(exclude=grpc.PayloadExcludeSelector(fields=["a"])),
        read_consistency=grpc.ReadConsistency(factor=2),
    )

    assert json_of(request) == {
        "limit": 0,
        "offset": UUID,
        "with_vector": False,
        "with_payload": {"exclude": ["a"]},
    }


VALUES = [
    None,
    True,
    0,
    -(1 << 63),
    (1 << 63) - 1,
    2.0,
    1e300,
    "",
    "ü",
    [],
    {},
    {"a": [1, 1.0, None, {"b": []}], "": False},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_payload_value_survives_the_wire_with_its_type(value: Any) -> None:
    message = grpc.Value()
    fill_value(message, value)
    back = python_of(grpc.Value.FromString(message.SerializeToString()))

    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value) or isinstance(value, dict)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (grpc.Vector(dense=grpc.DenseVector(data=[1.0, 2.0])), [1.0, 2.0]),
        (grpc.Vector(data=[1.0, 2.0]), [1.0, 2.0]),
        (grpc.Vector(data=[1.0, 2.0, 3.0, 4.0], vectors_count=2), [[1.0, 2.0], [3.0, 4.0]]),
        (
            grpc.Vector(data=[1.0], indices=grpc.SparseIndices(data=[7])),
            {"indices": [7], "values": [1.0]},
        ),
        (
            grpc.Vector(sparse=grpc.SparseVector(values=[1.0], indices=[7])),
            {"indices": [7], "values": [1.0]},
        ),
    ],
    ids=["dense", "dense before", "multi before", "sparse before", "sparse"],
)
def test_a_vector_is_read_in_the_spelling_of_any_client(message: Any, wanted: Any) -> None:
    assert json_of(message) == wanted


def test_a_multivector_whose_rows_do_not_divide_is_refused() -> None:
    with pytest.raises(BadInputError, match="does not divide"):
        json_of(grpc.Vector(data=[1.0, 2.0, 3.0], vectors_count=2))


def test_text_to_be_embedded_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedHereError, match="document"):
        json_of(grpc.Vector(document=grpc.Document(text="x", model="m")))
