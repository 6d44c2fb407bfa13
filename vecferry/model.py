"""Keys, points and collections: what every store speaks.

A point is identified by a typed key and holds named vectors and a payload.
Vectors are raw little-endian bytes with the dtype beside them, so that their
bits survive every hop and no Python float is ever made of them. A payload is
canonical JSON in bytes (see :mod:`vecferry.payload`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple
from uuid import UUID

Id = int | str | UUID
Dtype = Literal["float32", "float16", "bfloat16", "int8", "uint8", "binary"]
Metric = Literal["cosine", "dot", "l2", "l1", "hamming", "jaccard", "bm25"]
VectorKind = Literal["dense", "sparse", "multi"]

BITS: Mapping[Dtype, int] = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int8": 8,
    "uint8": 8,
    "binary": 1,
}
"""The bits that one component takes."""


class Key(NamedTuple):
    """The identity of a point: ``1``, ``"1"`` and a UUID are three different ids.

    ``collection`` is the name in the source, also when the point is read from
    the target, so that both sides speak of the same key.
    """

    collection: str
    namespace: str
    id: Id

    def __str__(self) -> str:
        inside = f"/{self.namespace}" if self.namespace else ""
        return f"{self.collection}{inside}/{self.id!r}"


def typed_id(value: Id) -> str:
    """Spell an id with its type: ``i-5``, ``u6f9…`` (lower case, hyphens) or ``stext``."""
    if isinstance(value, UUID):
        return f"u{value}"
    return f"s{value}" if isinstance(value, str) else f"i{value:d}"


def parse_typed_id(text: str) -> Id:
    """Read what :func:`typed_id` wrote.

    Raises:
        ValueError: ``text`` is not a typed id.
    """
    tag, rest = text[:1], text[1:]
    if tag == "s":
        return rest
    if tag == "u":
        return UUID(rest)
    if tag == "i":
        return int(rest)
    raise ValueError(f"{text!r} is not a typed id: it must start with i, u or s")


def key_bytes(key: Key) -> bytes:
    """Return the canonical bytes of a key: two netstrings, then the typed id.

    ``Key("docs", "", 42)`` is ``b"4:docs0:i42"``. Equal keys have equal bytes
    and different keys different ones; a UUID has one spelling.

    Raises:
        ValueError: A text holds what UTF-8 cannot spell (a lone surrogate).
    """
    return _key_prefix(key.collection, key.namespace) + typed_id(key.id).encode()


@lru_cache(4096)
def _key_prefix(collection: str, namespace: str) -> bytes:
    first, second = collection.encode(), namespace.encode()
    return b"%d:%s%d:%s" % (len(first), first, len(second), second)


def parse_key(data: bytes) -> Key:
    """Read what :func:`key_bytes` wrote.

    Raises:
        ValueError: The bytes are not a key, or not its canonical ones.
    """
    try:
        colon = data.index(b":")
        end = colon + 1 + int(data[:colon])
        collection = data[colon + 1 : end].decode()
        colon = data.index(b":", end)
        end = colon + 1 + int(data[end:colon])
        key = Key(collection, data[colon + 1 : end].decode(), parse_typed_id(data[end:].decode()))
    except ValueError as error:
        raise ValueError(f"{data[:80]!r} is not a key: {error}") from error
    if key_bytes(key) != data:  # 042, a UUID without hyphens: one key must not have two spellings
        raise ValueError(f"{data[:80]!r} is not how {key} is spelled")
    return key


class Dense(NamedTuple):
    """One dense vector: ``data`` holds ``dim`` components, little-endian.

    A ``binary`` vector packs eight components a byte.
    """

    dtype: Dtype
    dim: int
    data: bytes


class Sparse(NamedTuple):
    """A sparse vector: uint32 ``indices``, ascending and unique, and float32 ``values``."""

    indices: bytes
    values: bytes


class Multi(NamedTuple):
    """A multivector, shape ``(rows, dim)``, in C order."""

    dtype: Dtype
    dim: int
    rows: int
    data: bytes


Vector = Dense | Sparse | Multi


class Image(NamedTuple):
    """The full state of a point: its vectors by name, its payload as canonical JSON."""

    vectors: Mapping[str, Vector]
    payload: bytes = b"{}"


class Point(NamedTuple):
    """A key and its image."""

    key: Key
    image: Image


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """How a collection holds one of its vectors.

    Attributes:
        name: The vector's name in that collection, ``""`` for Qdrant's unnamed one.
        kind: dense, sparse or multi.
        dtype: Of the components.
        dim: Components of one dense vector; 0 for a sparse one, and where the database
            learns it from its first point.
        metric: Read from the collection's index, never guessed; None where the
            collection has no index yet.
        index: The index's algorithm and parameters in the vendor's own words.
    """

    name: str
    kind: VectorKind = "dense"
    dtype: Dtype = "float32"
    dim: int = 0
    metric: Metric | None = None
    index: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collection:
    """The schema of a collection.

    Attributes:
        name: In its own store.
        vectors: In the store's own order.
        id_types: The types of id that its points can have there: int, uuid, str.
        id_bytes_max: The longest string id, in bytes; 0 where nothing says so.
        namespaces: Its containers of points (partitions, tenants), when any.
        options: What else must survive, in the vendor's own words.
    """

    name: str
    vectors: tuple[VectorSpec, ...]
    id_types: frozenset[str] = frozenset({"int", "uuid", "str"})
    id_bytes_max: int = 0
    namespaces: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)

    def vector(self, name: str) -> VectorSpec | None:
        """Return the vector of that name, or None."""
        return next((spec for spec in self.vectors if spec.name == name), None)
