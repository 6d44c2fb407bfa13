"""Where a point lies in an index: its namespace's name there, and its id.

Ids are ASCII texts of 1 to 512 characters; any other id becomes the UUIDv5 of
its key. Namespaces are containers of their own and their names are ASCII, too:
what cannot be one is spelled in per cent, so that the name alone leads back.
"""

import json
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from vecferry.errors import RecordError
from vecferry.model import Id, Key
from vecferry.ports import Capabilities
from vecferry.stores.identity import target_id

METADATA_BYTES_MAX = 40_960
DENSE_DEFAULT, SPARSE_DEFAULT = "", "sparse"
"""The names of the vectors of an index that says no others."""

CAPABILITIES = Capabilities(
    id_types=frozenset({"str"}),
    id_text=r"[\x01-\x7f]{1,512}",
    namespaces=True,
    dtypes=frozenset({"float32"}),
    metrics=frozenset({"cosine", "dot", "l2"}),
    sparse=True,
    payload_bytes_max=METADATA_BYTES_MAX,
    positions=True,
    # what a writer did not name a log sequence number for; seconds, as a rule
    freshness_s=10.0,
    unnamed_vector=DENSE_DEFAULT,
    dim_max=20_000,
    collection_name=r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?",
    # names are kept in an index's tags
    vector_name=r"[A-Za-z0-9;@_.+-]{0,120}",
)
"""Of serverless indexes."""

_DEFAULT_NAMESPACE = "__default__"
_ESCAPE = "vf~"
_LENGTH_MAX = 512


class Place(NamedTuple):
    """The namespace as Pinecone calls it and the id there; their order is the order of scans."""

    namespace: str
    id: str


def native_id(key: Key) -> str:
    """Return the id that Pinecone gives to this key: its own text, or the UUIDv5 of the key."""
    return str(target_id(key, CAPABILITIES))


def native_namespace(namespace: str) -> str:
    """Return what a namespace is called there.

    Raises:
        RecordError: It is too long.
    """
    plain = _is_ascii(namespace) and namespace != _DEFAULT_NAMESPACE
    if not namespace or (plain and not namespace.startswith(_ESCAPE)):
        return namespace
    escaped = _ESCAPE + quote(namespace, safe="")
    if len(escaped) > _LENGTH_MAX:
        raise RecordError(
            f"a namespace of {len(namespace)} characters takes {len(escaped)} in Pinecone, "
            f"which holds {_LENGTH_MAX}"
        )
    return escaped


def namespace_of(native: str) -> str:
    """Return the namespace that has this name there: the inverse of :func:`native_namespace`."""
    if native == _DEFAULT_NAMESPACE:
        return ""
    if not native.startswith(_ESCAPE):
        return native
    try:
        text = unquote_to_bytes(native.removeprefix(_ESCAPE)).decode()
        mine = native_namespace(text) == native
    except (UnicodeDecodeError, RecordError):
        return native
    return text if mine else native


def place_of(key: Key) -> Place:
    """Return where a point lies.

    Raises:
        RecordError: Its namespace cannot be one there.
    """
    return Place(native_namespace(key.namespace), native_id(key))


def owned_id(key: Key, native: str) -> Id:
    """Return the id of a key that lies in the namespace of this native name, ``""`` elsewhere."""
    try:
        place = place_of(key)
    except RecordError:
        return ""
    return place.id if place.namespace == native else ""


def spell_place(place: Place) -> str:
    """Spell a place as a bound."""
    return json.dumps(place)


def parse_place(text: str) -> Place:
    """Read what :func:`spell_place` wrote."""
    return Place(*json.loads(text))


def _is_ascii(text: str) -> bool:
    return text.isascii() and 0 < len(text) <= _LENGTH_MAX and "\0" not in text
