"""Payloads between canonical JSON and Pinecone's metadata.

Metadata is flat: texts, booleans, lists of texts, and numbers that are all
doubles. A whole number comes back as an integer, so a float like ``3.0`` and an
integer that a double cannot hold are told apart for ``_vf_x``, as are null,
objects, other lists and names that Pinecone refuses.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vecferry.errors import RecordError
from vecferry.model import Key
from vecferry.payload import decode_payload, encode_payload
from vecferry.stores.identity import pack
from vecferry.stores.pinecone.places import METADATA_BYTES_MAX

_WHOLE_MAX = 2**53


class Split(NamedTuple):
    """A payload's fields that metadata can hold as they are, and the others."""

    kept: dict[str, Any]
    carried: dict[str, Any]


def split_payload(data: bytes) -> Split:
    """Tell the fields of a payload apart.

    Raises:
        RecordError: The bytes are not a JSON object.
    """
    kept: dict[str, Any] = {}
    carried: dict[str, Any] = {}
    for name, value in decode_payload(data).items():
        fits = name and not name.startswith("$") and why_carried(value) is None
        (kept if fits else carried)[name] = value
    return Split(kept, carried)


def why_carried(value: Any) -> str | None:
    """Return why metadata does not hold a value as it is; None where it does."""
    if isinstance(value, str | bool):
        return None
    if isinstance(value, int):
        return None if -_WHOLE_MAX <= value <= _WHOLE_MAX else "numbers are doubles there"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) <= _WHOLE_MAX
        return "whole numbers are integers there" if whole else None
    if value is None:
        return "there is no null"
    if isinstance(value, list):
        texts = value and all(isinstance(inner, str) for inner in value)
        return None if texts else "lists hold texts alone, and some"
    return "metadata is flat"


def encode_metadata(payload: bytes, key: Key) -> bytes:
    """Return the metadata of a point as JSON.

    Raises:
        RecordError: It is larger than what Pinecone holds.
    """
    split = split_payload(payload)
    packed = encode_payload(pack(split.kept, key, split.carried))
    if len(packed) > METADATA_BYTES_MAX:
        raise RecordError(
            f"the payload takes {len(packed)} bytes with what is kept beside it, and Pinecone holds "
            f"{METADATA_BYTES_MAX}"
        )
    return packed


def read_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metadata as a payload's values: its doubles as integers where they are whole."""
    return {name: _read(value) for name, value in (metadata or {}).items()}


def _read(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) > _WHOLE_MAX:
        return float(value)
    return int(value) if isinstance(value, int) or value.is_integer() else value
