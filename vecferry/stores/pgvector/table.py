"""A table as a collection: its key, its vectors, the rest as payload.

A table of the user's own has a primary key of one column. In one that Vecferry makes
the key is ``id`` (an integer, a uuid or a text) or, where ids have several types,
``_vf_key``, the typed id as text. Beside it stand ``_vf_ns`` (the namespace), ``_vf_id``
(the original id where ``id`` is a hash of it), the columns that the source had,
``payload`` (jsonb, every other field) and ``_vf_x`` (what none of them holds).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import UUID

from vecferry.errors import HaltError, RecordError
from vecferry.model import Id, Key, parse_typed_id, typed_id
from vecferry.ports import Capabilities
from vecferry.stores.identity import CARRIED_FIELD, ID_FIELD, NAMESPACE_FIELD, target_id
from vecferry.stores.pgvector.columns import Column
from vecferry.stores.pgvector.vectors import VectorColumn

KeyKind = Literal["int", "uuid", "str", "typed"]

TYPED_KEY = "_vf_key"
PAYLOAD = "payload"
_WITH_NUL = "x"
"""Tags a text id that holds a NUL, which Postgres' texts cannot: its UTF-8 in hex."""

_INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_NAMES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


class Place(NamedTuple):
    """Where a point is: the value of the key column, and the namespace."""

    id: int | UUID | str
    namespace: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table, as far as its rows are concerned.

    Attributes:
        name: Of the collection: ``table``, or ``schema.table``.
        schema, relation: Its two names.
        key: The key column.
        key_base: That column's type: int2, int4, int8, uuid, text, varchar.
        vectors: In the table's order.
        columns: Those that are fields of the payload.
        spaces: Whether it has ``_vf_ns``.
        keeps_ids: Whether it has ``_vf_id``.
        carries: Whether it has ``_vf_x``, and with it ``payload``.
    """

    name: str
    schema: str
    relation: str
    key: str
    key_base: str
    vectors: tuple[VectorColumn, ...]
    columns: tuple[Column, ...] = ()
    spaces: bool = False
    keeps_ids: bool = False
    carries: bool = False

    @property
    def quoted(self) -> str:
        """The table as a statement names it."""
        return f"{quote(self.schema)}.{quote(self.relation)}"

    @property
    def kind(self) -> KeyKind:
        """How the key column holds ids."""
        if self.key == TYPED_KEY:
            return "typed"
        if self.key_base in _INTEGERS:
            return "int"
        return "uuid" if self.key_base == "uuid" else "str"

    @property
    def key_type(self) -> str:
        """The type of the key's values in a statement."""
        return {"int": "bigint", "uuid": "uuid"}.get(self.kind, "text")

    @property
    def id_types(self) -> frozenset[str]:
        """The types of id that the table keeps."""
        return frozenset({"int", "uuid", "str"} if self.kind == "typed" else {self.kind})

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key's columns, quoted, in the order of the primary key."""
        return (quote(self.key), quote(NAMESPACE_FIELD)) if self.spaces else (quote(self.key),)

    def vector(self, name: str) -> VectorColumn | None:
        """Return the vector column of that name, or None."""
        return next((column for column in self.vectors if column.name == name), None)

    def place(self, key: Key) -> Place:
        """Return where a key lies, if it is there.

        Raises:
            RecordError: This table cannot hold such a key.
        """
        if "\0" in key.namespace:
            raise RecordError(f"the namespace of {key} has a NUL, which Postgres cannot hold")
        if key.namespace and not self.spaces:
            raise RecordError(
                f"{self.name!r} has no column {NAMESPACE_FIELD!r} for the namespace of {key}"
            )
        return Place(self._native(key), key.namespace)

    def _native(self, key: Key) -> int | UUID | str:
        if self.kind == "typed":
            return _spell_typed(key.id)
        found: Id = key.id
        if self.keeps_ids:
            found = target_id(key, _HELD[self.kind])
        if self.kind == "int" and isinstance(found, int) and self._reaches(found):
            return found
        if self.kind == "uuid" and isinstance(found, UUID):
            return found
        if self.kind == "str" and isinstance(found, str) and "\0" not in found:
            return found
        type_name = _NAMES.get(self.key_base, self.key_base)
        raise RecordError(
            f"{key} cannot be a key of {self.name!r}, whose {self.key!r} is a {type_name}"
        )

    def _reaches(self, number: int) -> bool:
        limit = _INTEGERS[self.key_base]
        return -limit <= number < limit

    def key_of(self, logical: str, native: Id, namespace: str, stored: str | None) -> Key:
        """Return the key of a row.

        Args:
            logical: The collection's name in the source.
            native: The key column's value.
            namespace: The value of ``_vf_ns``.
            stored: The value of ``_vf_id``, believed only where it leads to this row.

        Raises:
            HaltError: ``_vf_key`` holds what is no typed id.
        """
        if self.kind == "typed":
            return Key(logical, namespace, _read_typed(self.name, str(native)))
        own = Key(logical, namespace, native)
        if stored is None:
            return own
        try:
            kept = Key(logical, namespace, parse_typed_id(stored))
            mine = typed_id(kept.id) == stored and self.place(kept).id == native
        except (ValueError, RecordError):
            return own
        return kept if mine else own


def quote(name: str) -> str:
    """Return a name as a statement spells it."""
    return '"' + name.replace('"', '""') + '"'


_HELD = {
    kind: Capabilities(frozenset({kind}), frozenset(), frozenset(), namespaces=True)
    for kind in ("uuid", "str")
}


def _spell_typed(id: Id) -> str:
    if isinstance(id, str) and "\0" in id:
        return _WITH_NUL + id.encode().hex()
    return typed_id(id)


def _read_typed(name: str, text: str) -> Id:
    try:
        if text.startswith(_WITH_NUL):
            return bytes.fromhex(text[1:]).decode()
        return parse_typed_id(text)
    except ValueError as error:
        raise HaltError(
            f"a row of {name!r} has {TYPED_KEY} = {text[:80]!r}, which is no typed id: "
            f"i5, u6f9619ff-…, stext"
        ) from error


RESERVED: Mapping[str, str] = {
    NAMESPACE_FIELD: "text",
    ID_FIELD: "text",
    CARRIED_FIELD: "text",
}
"""Columns of Vecferry's own beside the key, and their types."""
