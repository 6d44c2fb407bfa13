"""The shape of a collection: its fields, its partitions, and where a key lies in it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pymilvus.grpc_gen.schema_pb2 import DataType

from vecferry.errors import ConfigError, RecordError
from vecferry.model import Dtype, Key, VectorKind
from vecferry.ports import Capabilities
from vecferry.stores.identity import target_id

DEFAULT_PARTITION = "_default"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_ESCAPED = "_vf_"
_INT64 = int(DataType.Int64)  # a plain number: protobuf's enums are slow to ask

VECTOR_TYPES: Mapping[int, tuple[VectorKind, Dtype]] = {
    DataType.FloatVector: ("dense", "float32"),
    DataType.Float16Vector: ("dense", "float16"),
    DataType.BFloat16Vector: ("dense", "bfloat16"),
    DataType.Int8Vector: ("dense", "int8"),
    DataType.BinaryVector: ("dense", "binary"),
    DataType.SparseFloatVector: ("sparse", "float32"),
}

SCALAR_TYPES = frozenset(
    {
        *(DataType.Bool, DataType.Int8, DataType.Int16, DataType.Int32, DataType.Int64),
        *(DataType.Float, DataType.Double, DataType.VarChar, DataType.JSON, DataType.Array),
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a collection.

    Attributes:
        name: Of the field.
        type: Milvus' ``DataType``.
        nullable: Whether a row may have no value.
        element: An array's element type, else 0.
        params: ``max_length``, ``max_capacity``, ``dim``: what the type has, else 0.
    """

    name: str
    type: int
    nullable: bool = False
    element: int = 0
    params: Mapping[str, int] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Components of a dense vector."""
        return self.params.get("dim", 0)

    @property
    def max_length(self) -> int:
        """The longest string, in bytes."""
        return self.params.get("max_length", 0)

    @property
    def row_bytes(self) -> int:
        """What one row takes on the wire, about."""
        kind, dtype = VECTOR_TYPES.get(self.type, ("dense", "float32"))
        if self.type not in VECTOR_TYPES or kind == "sparse":
            return 256
        return bytes_of(dtype, self.dim)


def bytes_of(dtype: Dtype, dim: int) -> int:
    """Return the bytes of one dense vector."""
    sizes = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "uint8": 8, "binary": 1}
    return sizes[dtype] * dim // 8


class Place(NamedTuple):
    """Where a key lies: the partition and the primary key there."""

    partition: str
    id: int | str


@dataclass(slots=True)
class Shape:
    """What reading and writing must know of a collection.

    Attributes:
        name: In Milvus.
        pk: The primary key's field.
        vectors, scalars: The other fields, in the schema's order.
        dynamic: Whether it holds fields beside those of the schema.
        auto_id: Whether Milvus chooses the keys.
        partitioned: Whether its partitions are containers that requests can name.
        capabilities: The server's.
        free_json: Whether a JSON field takes any JSON value, not only objects.
        partitions: Those that were there when last asked.
        int_keys: Whether the primary key is an INT64, else it is a VARCHAR.
        vector_names: Of the vector fields.
    """

    name: str
    pk: Column
    vectors: tuple[Column, ...]
    scalars: tuple[Column, ...]
    dynamic: bool
    auto_id: bool
    partitioned: bool
    capabilities: Capabilities
    free_json: bool = False
    partitions: frozenset[str] = frozenset()
    int_keys: bool = field(init=False)
    vector_names: frozenset[str] = field(init=False)
    _inside: Capabilities = field(init=False, repr=False)
    _beside: Capabilities = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.int_keys = self.pk.type == _INT64
        self.vector_names = frozenset(column.name for column in self.vectors)
        kept = frozenset({"int" if self.int_keys else "str"})
        self._inside = replace(self.capabilities, id_types=kept, namespaces=True)
        self._beside = replace(self.capabilities, id_types=kept, namespaces=False)

    @property
    def row_bytes(self) -> int:
        """What one row takes on the wire, about."""
        return 64 + sum(column.row_bytes for column in (*self.vectors, *self.scalars)) + 512

    def vector(self, name: str) -> Column | None:
        """Return the vector field of that name, or None."""
        return next((column for column in self.vectors if column.name == name), None)

    def place(self, key: Key) -> Place:
        """Return where a key lies, if it is there.

        Raises:
            RecordError: This collection cannot hold such a key.
        """
        partition = self._container(key.namespace)
        found = target_id(key, self._beside if partition is None else self._inside)
        if self.int_keys and not isinstance(found, int):
            raise RecordError(
                f"{key} cannot be a key of {self.name!r}, whose {self.pk.name!r} is an INT64: "
                f"a VARCHAR one holds every key"
            )
        if isinstance(found, str) and 0 < self.pk.max_length < len(found.encode()):
            raise RecordError(
                f"a key of {len(found.encode())} bytes is longer than max_length = "
                f"{self.pk.max_length} of {self.pk.name!r} in {self.name!r}"
            )
        assert isinstance(found, int | str)  # noqa: S101 - "uuid" is not among the id_types
        return Place(DEFAULT_PARTITION if partition is None else partition, found)

    def _container(self, namespace: str) -> str | None:
        """Return the partition that is this namespace, None where none can be."""
        if not namespace:
            return DEFAULT_PARTITION
        if not self.partitioned:
            return None
        name = partition_name(namespace, self.partitions)
        return name if self.capabilities.namespaces or name in self.partitions else None


def partition_name(namespace: str, known: frozenset[str] = frozenset()) -> str:
    """Return the partition of a namespace: its name where that can be one.

    ``""`` is ``_default``; what Milvus does not take as a name is escaped,
    reversibly.

    Raises:
        RecordError: It is too long.
    """
    if not namespace:
        return DEFAULT_PARTITION
    if namespace in known and namespace != DEFAULT_PARTITION:
        return namespace
    if (
        _NAME.fullmatch(namespace)
        and namespace != DEFAULT_PARTITION
        and not namespace.startswith(_ESCAPED)
    ):
        return namespace
    escaped = _ESCAPED + "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}"
        for byte in namespace.encode()
    )
    if len(escaped) > 255:
        raise RecordError(
            f"a namespace of {len(namespace.encode())} bytes is too long for a partition's name"
        )
    return escaped


def namespace_of(partition: str) -> str:
    """Return the namespace that a partition is: the inverse of :func:`partition_name`."""
    if partition == DEFAULT_PARTITION:
        return ""
    if not partition.startswith(_ESCAPED):
        return partition
    try:
        text = re.sub(
            rb"_([0-9a-f]{2})",
            lambda found: bytes.fromhex(found[1].decode()),
            partition.removeprefix(_ESCAPED).encode(),
        ).decode()
    except UnicodeDecodeError:
        return partition
    # somebody's own partition may look escaped, and is none when it does not lead back
    return text if partition_name(text) == partition else partition


def column_of(proto: Any) -> Column:
    """Read a field of the server's schema."""
    params = {}
    for pair in proto.type_params:
        if pair.key in ("dim", "max_length", "max_capacity"):
            params[pair.key] = int(pair.value)
    return Column(
        proto.name, proto.data_type, bool(proto.nullable), int(proto.element_type), params
    )


def shape_of(
    schema: Any, name: str, capabilities: Capabilities, partitions: Iterable[str]
) -> Shape:
    """Read the server's schema.

    Raises:
        ConfigError: A field has a type that Vecferry cannot move.
    """
    made = {
        output for function in schema.functions for output in function.output_field_names
    }  # computed by the server: neither read nor written
    columns = {
        proto.name: column_of(proto)
        for proto in schema.fields
        if proto.name not in made and not proto.is_dynamic and not proto.is_function_output
    }
    pk = next(proto for proto in schema.fields if proto.is_primary_key)
    others = [column for column in columns.values() if column.name != pk.name]
    for column in others:
        if column.type not in VECTOR_TYPES and column.type not in SCALAR_TYPES:
            raise ConfigError(
                f"the field {column.name!r} of {name!r} is a {DataType.Name(column.type)}, "
                f"which cannot be moved"
            )
    if schema.struct_array_fields:
        raise ConfigError(f"{name!r} has arrays of structs, which cannot be moved")
    return Shape(
        name=name,
        pk=columns[pk.name],
        vectors=tuple(column for column in others if column.type in VECTOR_TYPES),
        scalars=tuple(column for column in others if column.type in SCALAR_TYPES),
        dynamic=bool(schema.enable_dynamic_field),
        auto_id=bool(pk.autoID or schema.autoID),
        partitioned=not any(proto.is_partition_key for proto in schema.fields),
        capabilities=capabilities,
        partitions=frozenset(partitions),
    )
