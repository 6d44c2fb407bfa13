"""Points become rows and come back, whatever the fields can hold."""

import pytest
from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import HaltError, RecordError
from vecferry.model import Dense, Image, Key, Point
from vecferry.payload import decode_payload, encode_payload
from vecferry.stores.milvus.connect import Product
from vecferry.stores.milvus.rows import fill_rows, make_row, read_rows
from vecferry.stores.milvus.schema import capabilities_of
from vecferry.stores.milvus.shape import Column, Shape
from vecferry.stores.milvus.wire import UpsertRequest

VECTOR = Dense("float32", 2, bytes(8))
SCALARS = (
    Column("count", DataType.Int64),
    Column("score", DataType.Float),
    Column("title", DataType.VarChar, nullable=True, params={"max_length": 10}),
)


def shape(scalars=SCALARS, *, dynamic=True, kind=DataType.Int64):
    return Shape(
        name="docs",
        pk=Column("id", kind, params={"max_length": 64}),
        vectors=(Column("v", DataType.FloatVector, params={"dim": 2}),),
        scalars=scalars,
        dynamic=dynamic,
        auto_id=False,
        partitioned=True,
        capabilities=capabilities_of(Product(False, (2, 6), "2.6")),
        partitions=frozenset({"_default", "b"}),
    )


def point(payload, id=1, namespace=""):
    return Point(Key("docs", namespace, id), Image({"v": VECTOR}, encode_payload(payload)))


def fields_of(there, points):
    request = UpsertRequest()
    fill_rows(request.fields_data, there, [make_row(there, one) for one in points])
    return UpsertRequest.FromString(request.SerializeToString()).fields_data


def through(there, *points, partition="_default"):
    read = read_rows(fields_of(there, points), there, "docs", partition)
    return [one.point for one in read]


def field(fields, name):
    return next(one for one in fields if one.field_name == name)


@pytest.mark.parametrize(
    "payload",
    [
        {"count": 1, "score": 0.5},
        {"count": 1, "score": 0.5, "title": "x", "more": {"a": [None, 1.0, "ü"]}},
        {"count": 1, "score": 0.5, "title": None},
        {"count": None, "score": None},
        {"count": 2**64, "score": 0.1, "title": "longer than ten bytes"},
        {"count": 3.0, "score": 3, "title": 7},
        {"count": "text", "score": [], "title": {}},
        {"count": 1, "score": 0.5, "id": "mine", "v": 1, "$meta": 2},
        {"count": 1, "score": 0.5, "_vf_id": "mine", "_vf_x": 1, "_vf_ns": "n", "_vf_more": 2},
    ],
)
def test_a_payload_comes_back_whatever_the_fields_can_hold(payload):
    sent = point(payload)
    assert through(shape(), sent) == [sent]


def test_a_fields_own_value_stays_visible_to_the_application():
    fields = fields_of(shape(), [point({"count": 7, "score": 0.1, "title": "x"})])
    assert list(field(fields, "count").scalars.long_data.data) == [7]
    assert list(field(fields, "title").scalars.string_data.data) == ["x"]
    meta = decode_payload(field(fields, "$meta").scalars.json_data.data[0])
    assert "count" not in meta
    assert meta["_vf_id"] == "i1"


def test_a_field_that_was_rewritten_since_wins_over_the_carried_value():
    fields = fields_of(shape(), [point({"count": 2**64, "score": 0.5})])
    field(fields, "count").scalars.long_data.data[0] = 9
    (read,) = read_rows(fields, shape(), "docs", "_default")
    assert decode_payload(read.point.image.payload) == {"count": 9, "score": 0.5}


def test_a_row_of_the_application_shows_its_nulls():
    fields = fields_of(shape(), [point({"count": 1, "score": 0.5})])
    field(fields, "$meta").scalars.json_data.data[0] = b'{"x": 1}'
    (read,) = read_rows(fields, shape(), "docs", "_default")
    assert decode_payload(read.point.image.payload) == {
        "count": 1,
        "score": 0.5,
        "title": None,
        "x": 1,
    }


def test_a_reserved_field_that_is_not_ours_is_the_applications_own():
    fields = fields_of(shape(), [point({"count": 1, "score": 0.5})])
    field(fields, "$meta").scalars.json_data.data[0] = b'{"_vf_id": "i99"}'
    (read,) = read_rows(fields, shape(), "docs", "_default")
    assert read.point.key == Key("docs", "", 1)
    assert decode_payload(read.point.image.payload)["_vf_id"] == "i99"


def test_a_partition_is_the_namespace_of_a_row_that_does_not_say():
    fields = fields_of(shape(()), [point({}, namespace="b")])
    field(fields, "$meta").scalars.json_data.data[0] = b"{}"
    (read,) = read_rows(fields, shape(()), "docs", "b")
    assert read.point.key == Key("docs", "b", 1)


def test_a_row_that_was_moved_to_another_partition_is_another_key():
    fields = fields_of(shape(()), [point({}, namespace="b")])
    (read,) = read_rows(fields, shape(()), "docs", "_default")
    assert read.point.key == Key("docs", "", 1)


def test_ids_of_any_type_come_back_from_a_varchar():
    from uuid import UUID

    there = shape((), kind=DataType.VarChar)
    sent = [point({"n": n}, id) for n, id in enumerate([1, "1", UUID(int=1), -(2**70)])]
    assert through(there, *sent) == sent


def test_a_missing_value_of_a_field_that_needs_one_is_refused():
    with pytest.raises(RecordError, match="'count'"):
        make_row(shape(), point({"score": 0.5}))


@pytest.mark.parametrize("payload", [{"more": 1}, {"count": 2**64, "score": 0.5}])
def test_without_a_dynamic_field_what_does_not_fit_is_refused(payload):
    scalars = SCALARS[:2] if "count" in payload else ()
    with pytest.raises(RecordError, match="no dynamic field"):
        make_row(shape(scalars, dynamic=False), point(payload))


def test_without_a_dynamic_field_an_id_that_must_be_hashed_is_refused():
    with pytest.raises(RecordError, match="original id"):
        make_row(shape((), dynamic=False, kind=DataType.VarChar), point({}))


def test_without_a_dynamic_field_a_plain_point_comes_back():
    there = shape(SCALARS[:2], dynamic=False)
    sent = point({"count": 1, "score": 0.5})
    assert through(there, sent) == [sent]


def test_dynamic_fields_beyond_64_kb_are_refused_with_their_size():
    with pytest.raises(RecordError, match="take 70025 bytes, and Milvus holds 65536"):
        make_row(shape(()), point({"text": "x" * 70_000}))


def test_a_vector_that_the_collection_does_not_have_is_refused():
    stranger = Point(Key("docs", "", 1), Image({"v": VECTOR, "w": VECTOR}))
    with pytest.raises(RecordError, match="no vector 'w'"):
        make_row(shape(()), stranger)


def test_a_scalar_that_is_nan_is_an_error_that_names_the_point():
    import numpy as np

    fields = fields_of(shape(), [point({"count": 1, "score": 0.5})])
    field(fields, "score").scalars.float_data.data = np.array([np.nan], "<f4").tobytes()
    with pytest.raises(RecordError, match=r"docs/1.*'score'"):
        read_rows(fields, shape(), "docs", "_default")


@pytest.mark.parametrize("gone", ["v", "count", "id"])
def test_a_reply_without_a_field_halts(gone):
    fields = fields_of(shape(), [point({"count": 1, "score": 0.5})])
    kept = [one for one in fields if one.field_name != gone]
    with pytest.raises(HaltError, match=gone):
        read_rows(kept, shape(), "docs", "_default")
