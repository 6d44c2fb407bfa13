"""Qdrant's messages with vectors as bytes: byte-identical on the wire.

A packed ``repeated float`` and a ``bytes`` field are the same on the wire: a tag,
a length, the little-endian components. So the descriptors that ship in
``qdrant_client.grpc`` are copied into a private pool in which the vectors'
``data`` and ``values`` are declared ``bytes``. A vector then crosses as one
memory copy and never becomes a Python float.

A payload's ``map`` stays what it is in these classes. :data:`DeepScrollResponse`
and :data:`DeepGetResponse` are the same messages with each map entry left as
undecoded bytes, for payloads nested deeper than protobuf's parser goes
(:mod:`vecferry.stores.qdrant.deep`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from qdrant_client.grpc import points_pb2

_VECTORS: Mapping[str, frozenset[str]] = {
    "DenseVector": frozenset({"data"}),
    "SparseVector": frozenset({"values"}),
    "Vector": frozenset({"data"}),
    "VectorOutput": frozenset({"data"}),
}
"""The packed ``repeated float`` fields that are read and written as bytes."""

_PAYLOADS: Mapping[str, frozenset[str]] = {"RetrievedPoint": frozenset({"payload"})}
"""The maps whose entries a deep payload's message leaves undecoded."""


def _files(root: FileDescriptor) -> Iterable[FileDescriptor]:
    seen: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        for needed in file.dependencies:
            visit(needed)
        seen.setdefault(file.name, file)  # after what it needs

    visit(root)
    return seen.values()


def _as_bytes(message: DescriptorProto, names: frozenset[str], *, repeated: bool) -> None:
    for field in message.field:
        if field.name in names:
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
            field.ClearField("options")  # bytes cannot be packed
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if repeated
                else FieldDescriptorProto.LABEL_OPTIONAL
            )


def private_pool(*, deep: bool = False) -> descriptor_pool.DescriptorPool:
    """Return a pool with Qdrant's messages in which vectors are bytes.

    Args:
        deep: Leave the payload entries of points that are read undecoded, too.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in _files(points_pb2.DESCRIPTOR):
        proto = _copy(file)
        for message in proto.message_type:
            _as_bytes(message, _VECTORS.get(message.name, frozenset()), repeated=False)
            if deep:
                _as_bytes(message, _PAYLOADS.get(message.name, frozenset()), repeated=True)
        pool.AddSerializedFile(proto.SerializeToString())
    return pool


def _copy(file: FileDescriptor) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto


def _classes(pool: descriptor_pool.DescriptorPool) -> Callable[[str], Any]:
    def find(name: str) -> Any:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"qdrant.{name}"))

    return find


_find = _classes(private_pool())
_deep = _classes(private_pool(deep=True))

PointId = _find("PointId")
PointStruct = _find("PointStruct")
Vector = _find("Vector")
VectorOutput = _find("VectorOutput")
VectorInput = _find("VectorInput")
Value = _find("Value")
ReadConsistency = _find("ReadConsistency")
RetrievedPoint = _find("RetrievedPoint")

UpsertPoints = _find("UpsertPoints")
DeletePoints = _find("DeletePoints")
PointsOperationResponse = _find("PointsOperationResponse")
ScrollPoints = _find("ScrollPoints")
ScrollResponse = _find("ScrollResponse")
DeepScrollResponse = _deep("ScrollResponse")
GetPoints = _find("GetPoints")
GetResponse = _find("GetResponse")
DeepGetResponse = _deep("GetResponse")
QueryPoints = _find("QueryPoints")
QueryResponse = _find("QueryResponse")
QueryBatchPoints = _find("QueryBatchPoints")
QueryBatchResponse = _find("QueryBatchResponse")
CountPoints = _find("CountPoints")
CountResponse = _find("CountResponse")
