"""Where a key lies in a collection."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymilvus.grpc_gen.schema_pb2 import CollectionSchema, DataType

from vecferry.errors import ConfigError, RecordError
from vecferry.model import Key
from vecferry.stores.identity import hashed_id
from vecferry.stores.milvus.connect import Product
from vecferry.stores.milvus.schema import capabilities_of
from vecferry.stores.milvus.shape import (
    Column,
    Place,
    Shape,
    namespace_of,
    partition_name,
    shape_of,
)

MILVUS = capabilities_of(Product(False, (2, 3), "2.3"))
LITE = capabilities_of(Product(True, (3, 2), "3.2"))


def shape(kind=DataType.Int64, *, capabilities=MILVUS, partitions=("_default",), partitioned=True):
    pk = Column("id", kind, params={"max_length": 64} if kind == DataType.VarChar else {})
    return Shape(
        name="docs",
        pk=pk,
        vectors=(),
        scalars=(),
        dynamic=True,
        auto_id=False,
        partitioned=partitioned,
        capabilities=capabilities,
        partitions=frozenset(partitions),
    )


@given(st.text(min_size=1, max_size=20))
def test_every_namespace_comes_back_from_its_partition(namespace):
    name = partition_name(namespace)
    assert namespace_of(name) == namespace
    assert name != "_default"
    assert name.isascii()


@given(st.text(alphabet="abcdefXYZ019_", min_size=1, max_size=20))
def test_every_partition_comes_back_from_its_namespace(partition):
    namespace = namespace_of(partition)
    assert partition_name(namespace, frozenset({partition})) == partition


@pytest.mark.parametrize(
    ("namespace", "partition"),
    [("", "_default"), ("b", "b"), ("_default", "_vf__5fdefault"), ("a b", "_vf_a_20b")],
)
def test_a_namespace_is_its_partitions_name_where_it_can_be(namespace, partition):
    assert partition_name(namespace) == partition


def test_a_namespace_that_is_too_long_for_a_name_is_refused():
    with pytest.raises(RecordError, match="too long"):
        partition_name("ü" * 200)


def test_an_integer_is_kept_in_an_int64_and_a_string_in_a_varchar():
    assert shape().place(Key("docs", "b", -5)) == Place("b", -5)
    assert shape(DataType.VarChar).place(Key("docs", "", "a")) == Place("_default", "a")


@pytest.mark.parametrize("id", [5, UUID(int=5), -(2**63), 2**70])
def test_what_a_varchar_does_not_hold_natively_is_hashed(id):
    key = Key("docs", "", id)
    assert shape(DataType.VarChar).place(key) == Place("_default", str(hashed_id(key)))


@pytest.mark.parametrize("id", ["5", UUID(int=5), 2**63 - 1, -(2**63)])
def test_what_an_int64_does_not_hold_is_refused(id):
    with pytest.raises(RecordError, match="INT64"):
        shape().place(Key("docs", "", id))


def test_a_string_longer_than_the_field_is_refused_in_bytes():
    with pytest.raises(RecordError, match="max_length = 64"):
        shape(DataType.VarChar).place(Key("docs", "", "ü" * 33))


def test_in_milvus_lite_the_same_id_in_two_namespaces_is_two_points():
    lite = shape(DataType.VarChar, capabilities=LITE)
    one, two = lite.place(Key("docs", "a", "1")), lite.place(Key("docs", "b", "1"))
    assert one != two
    assert one.partition == two.partition == "_default"


def test_in_milvus_lite_a_partition_that_is_there_is_the_namespace():
    lite = shape(capabilities=LITE, partitions=("_default", "a"))
    assert lite.place(Key("docs", "a", 1)) == Place("a", 1)


def test_a_collection_with_a_partition_key_has_no_containers():
    keyed = shape(DataType.VarChar, partitioned=False)
    place = keyed.place(Key("docs", "a", "1"))
    assert place == Place("_default", str(hashed_id(Key("docs", "a", "1"))))


def schema(*types):
    found = CollectionSchema(name="docs", enable_dynamic_field=True)
    found.fields.add(name="id", data_type=DataType.Int64, is_primary_key=True, autoID=True)
    for number, kind in enumerate(types):
        field = found.fields.add(name=f"f{number}", data_type=kind)
        field.type_params.add(key="dim", value="8")
    return found


def test_fields_are_vectors_or_scalars_and_the_servers_own_output_is_neither():
    given = schema(DataType.FloatVector, DataType.VarChar, DataType.SparseFloatVector)
    given.functions.add(name="bm25", output_field_names=["f2"])
    found = shape_of(given, "docs", MILVUS, ["_default"])
    assert [column.name for column in found.vectors] == ["f0"]
    assert [column.name for column in found.scalars] == ["f1"]
    assert found.auto_id


def test_a_field_that_cannot_be_moved_is_named():
    with pytest.raises(ConfigError, match="'f0' of 'docs' is a Geometry"):
        shape_of(schema(DataType.Geometry), "docs", MILVUS, [])
