"""The target's ids, and the reserved payload fields that carry the original ones.

A store that cannot hold a key natively gives the point another id and keeps the
key in the payload: the typed id in ``_vf_id``, the namespace in ``_vf_ns``. What
else a payload could not hold there is kept as JSON in ``_vf_x``. All three are
taken out again when the point is read.

The rule that makes this safe: ``_vf_id`` is believed only where it leads to the
very id that the point has. Any other ``_vf_id`` was written by an application,
or under another collection's name, and stays what it is: a field.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from vecferry.errors import RecordError
from vecferry.model import Id, Key, key_bytes, parse_typed_id, typed_id
from vecferry.payload import decode_payload, encode_payload
from vecferry.ports import Capabilities

NAMESPACE = UUID("164b9f90-4d3d-5950-b274-2a325f3c3d1f")
"""Of every UUIDv5 that Vecferry makes: itself the UUIDv5 of ``vecferry target ids`` in
RFC 9562's DNS namespace. It never changes."""

ID_FIELD = "_vf_id"
NAMESPACE_FIELD = "_vf_ns"
CARRIED_FIELD = "_vf_x"
RESERVED = "_vf_"
"""What every reserved field's name begins with."""


def hashed_id(key: Key) -> UUID:
    """Return the UUIDv5 (RFC 9562, 5.5) of the key's canonical bytes in :data:`NAMESPACE`."""
    digest = hashlib.sha1(NAMESPACE.bytes + key_bytes(key), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def is_native(key: Key, capabilities: Capabilities) -> bool:
    """Whether a store keeps this key's id as it is.

    Not where the key has a namespace that has no container of its own there:
    the same id in two namespaces would be one point.
    """
    if key.namespace and not capabilities.namespaces:
        return False
    if isinstance(key.id, UUID):
        return "uuid" in capabilities.id_types
    if isinstance(key.id, str):
        pattern = capabilities.id_text
        return "str" in capabilities.id_types and (
            not pattern or re.fullmatch(pattern, key.id) is not None
        )
    return "int" in capabilities.id_types and capabilities.int_min <= key.id <= capabilities.int_max


def target_id(key: Key, capabilities: Capabilities) -> Id:
    """Return the id that a point has in a database with these capabilities.

    The id itself where it is held natively, else the UUIDv5 of the key, as text
    where the database has no UUIDs. Pure and stable: an application computes the
    same in any language (``docs/target-ids.md``).
    """
    if is_native(key, capabilities):
        return key.id
    hashed = hashed_id(key)
    return hashed if "uuid" in capabilities.id_types else str(hashed)


def pack(
    payload: Mapping[str, Any], key: Key, carried: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the payload with the key in its reserved fields.

    Args:
        payload: The point's own fields, without those in ``carried``.
        key: Its typed id is always stored, its namespace when it has one.
        carried: Fields that the database cannot hold; stored as JSON text.

    Fields of the payload that look reserved (``_vf_…``) are the application's
    own and are carried, too, so that :func:`unpack` gives them back.

    Raises:
        RecordError: A carried field cannot be written as JSON.
    """
    packed = {name: value for name, value in payload.items() if not name.startswith(RESERVED)}
    apart = dict(carried or {})
    if len(packed) < len(payload):
        apart |= {name: value for name, value in payload.items() if name not in packed}
    if apart:
        packed[CARRIED_FIELD] = encode_payload(apart).decode()
    packed[ID_FIELD] = typed_id(key.id)
    if key.namespace:
        packed[NAMESPACE_FIELD] = key.namespace
    return packed


def unpack(
    payload: Mapping[str, Any], native: Id, collection: str, own_id: Callable[[Key], Id]
) -> tuple[Key, dict[str, Any]]:
    """Return the key and the payload that :func:`pack` was given.

    Args:
        payload: As the database holds it.
        native: The point's id there.
        collection: The logical name, for the key.
        own_id: The id that this database gives to a key.

    Where ``_vf_id`` is missing, is not a typed id or leads to another id than
    ``native``, the point is an application's own: its key is its native id and
    its payload is whole. Where it is a point of ours no ``_vf_`` field is left,
    and a field that was written since wins over a carried one.
    """
    key = _stored_key(payload, native, collection, own_id)
    if key is None:
        return Key(collection, "", native), dict(payload)
    fields = {name: value for name, value in payload.items() if not name.startswith(RESERVED)}
    text = payload.get(CARRIED_FIELD)
    if text is None:
        return key, fields
    return key, _carried(text) | fields


def _stored_key(
    payload: Mapping[str, Any], native: Id, collection: str, own_id: Callable[[Key], Id]
) -> Key | None:
    text, namespace = payload.get(ID_FIELD), payload.get(NAMESPACE_FIELD, "")
    if not isinstance(text, str) or not isinstance(namespace, str):
        return None
    try:
        key = Key(collection, namespace, parse_typed_id(text))
        # only the canonical spelling is ours: int() would also read " 5" and "1_0"
        mine = typed_id(key.id) == text and own_id(key) == native
    except ValueError:
        return None
    return key if mine else None


def _carried(text: object) -> dict[str, Any]:
    try:
        value = decode_carried(text)
    except RecordError:
        return {CARRIED_FIELD: text}  # not what pack wrote: somebody's own, and kept
    return value


def decode_carried(text: object) -> dict[str, Any]:
    """Return the fields that ``_vf_x`` holds.

    Raises:
        RecordError: It is not the JSON text of an object.
    """
    if not isinstance(text, str):
        raise RecordError(f"{CARRIED_FIELD} is a {type(text).__name__}, not text")
    try:
        return decode_payload(text.encode())
    except (RecursionError, UnicodeEncodeError) as error:
        raise RecordError(f"{CARRIED_FIELD} of {len(text)} characters cannot be read") from error
