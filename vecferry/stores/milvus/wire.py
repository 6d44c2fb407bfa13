"""Milvus' messages with float vectors as bytes: byte-identical on the wire.

A packed ``repeated float`` and a ``bytes`` field are the same on the wire: a tag,
a length, the little-endian components. So the descriptors that ship in pymilvus
are copied into a private pool in which ``FloatArray.data`` is declared ``bytes``.
A column of vectors then crosses as one memory copy and never becomes Python
floats. (A scalar FLOAT column is a ``FloatArray``, too, and is read by numpy.)

The classes here are for the data paths; everything else uses pymilvus's own.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from pymilvus.grpc_gen import milvus_pb2

_FLOATS = ("FloatArray", "data")


def private_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool with Milvus' messages in which float vectors are bytes."""
    pool = descriptor_pool.DescriptorPool()
    for file in _files(milvus_pb2.DESCRIPTOR):
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        for message in proto.message_type:
            for field in message.field:
                if (message.name, field.name) == _FLOATS:
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    field.label = FieldDescriptorProto.LABEL_OPTIONAL
                    field.ClearField("options")  # bytes cannot be packed
        pool.AddSerializedFile(proto.SerializeToString())
    return pool


def _files(root: FileDescriptor) -> Iterable[FileDescriptor]:
    seen: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        for needed in file.dependencies:
            visit(needed)
        seen.setdefault(file.name, file)  # after what it needs

    visit(root)
    return seen.values()


_POOL = private_pool()


def _find(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"milvus.proto.{name}"))


FieldData = _find("schema.FieldData")
UpsertRequest = _find("milvus.UpsertRequest")
DeleteRequest = _find("milvus.DeleteRequest")
MutationResult = _find("milvus.MutationResult")
QueryRequest = _find("milvus.QueryRequest")
QueryResults = _find("milvus.QueryResults")
SearchRequest = _find("milvus.SearchRequest")
SearchResults = _find("milvus.SearchResults")
PlaceholderGroup = _find("common.PlaceholderGroup")
