"""The private messages are the vendor's own on the wire."""

import numpy as np
from pymilvus.grpc_gen import milvus_pb2, schema_pb2

from vecferry.stores.milvus import wire
from vecferry.stores.milvus.wire import QueryResults, UpsertRequest

VECTORS = np.arange(12, dtype="<f4").reshape(3, 4) / 7


def vendors_own(rows):
    request = milvus_pb2.UpsertRequest(collection_name="docs", num_rows=len(rows))
    ids = request.fields_data.add(field_name="id", type=schema_pb2.Int64)
    ids.scalars.long_data.data.extend(range(len(rows)))
    vectors = request.fields_data.add(field_name="v", type=schema_pb2.FloatVector)
    vectors.vectors.dim = 4
    vectors.vectors.float_vector.data.extend(float(x) for row in rows for x in row)
    scalar = request.fields_data.add(field_name="f", type=schema_pb2.Float)
    scalar.scalars.float_data.data.extend([0.5] * len(rows))
    return request


def ours(rows):
    request = UpsertRequest(collection_name="docs", num_rows=len(rows))
    ids = request.fields_data.add(field_name="id", type=schema_pb2.Int64)
    ids.scalars.long_data.data.extend(range(len(rows)))
    vectors = request.fields_data.add(field_name="v", type=schema_pb2.FloatVector)
    vectors.vectors.dim = 4
    vectors.vectors.float_vector.data = rows.tobytes()
    scalar = request.fields_data.add(field_name="f", type=schema_pb2.Float)
    scalar.scalars.float_data.data = np.full(len(rows), 0.5, "<f4").tobytes()
    return request


def test_a_request_is_byte_identical_to_the_vendors_own():
    assert ours(VECTORS).SerializeToString() == vendors_own(VECTORS).SerializeToString()


def test_a_reply_of_the_vendors_classes_is_read_bit_for_bit():
    odd = np.array([[1e-45, -0.0, 3.4028235e38, 1.1754944e-38]], "<f4")
    reply = milvus_pb2.QueryResults(fields_data=vendors_own(odd).fields_data)
    read = QueryResults.FromString(reply.SerializeToString())
    assert read.fields_data[1].vectors.float_vector.data == odd.tobytes()


def test_the_vendors_own_classes_are_not_touched():
    field = schema_pb2.FloatArray.DESCRIPTOR.fields_by_name["data"]
    assert field.type == field.TYPE_FLOAT
    assert "FloatArray" not in vars(wire)
