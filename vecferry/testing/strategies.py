"""Hypothesis strategies for keys, vectors, images, payloads and records.

Needs ``hypothesis``; nothing else of the kit imports this module.
"""

import struct
from typing import Any

from hypothesis import strategies as st

from vecferry.model import BITS, Dense, Dtype, Image, Key, Multi, Point, Sparse, Vector, key_bytes
from vecferry.payload import encode_payload
from vecferry.record import ControlRecord, Dead, Event, EventKind, Hint, HintKind

_INT64 = st.integers(-(2**63), 2**63 - 1)
_OFFSET = st.integers(0, 2**63 - 1)
_DTYPES: tuple[Dtype, ...] = tuple(BITS)

text = st.text(st.characters(codec="utf-8"), max_size=12)
"""Unicode that UTF-8 can spell: no lone surrogates."""

ids = st.one_of(st.integers(-(2**63), 2**64 - 1), text, st.uuids())
"""Ids of every type, negative and beyond 2**53 too."""

keys = st.builds(Key, text, text, ids)
"""Keys."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**80), 2**80),
        st.floats(allow_nan=False, allow_infinity=False),
        text,
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
"""Everything that a payload's field can hold."""

payloads = st.dictionaries(text, json_values, max_size=4)
"""Payloads, not yet encoded."""


@st.composite
def dense(draw: st.DrawFn) -> Dense:
    """A dense vector of any dtype and any bits."""
    dtype = draw(st.sampled_from(_DTYPES))
    dim = draw(st.integers(1, 20))
    size = (dim * BITS[dtype] + 7) // 8
    return Dense(dtype, dim, draw(st.binary(min_size=size, max_size=size)))


@st.composite
def sparse(draw: st.DrawFn) -> Sparse:
    """A sparse vector, perhaps without entries."""
    indices = sorted(draw(st.sets(st.integers(0, 2**32 - 1), max_size=8)))
    size = 4 * len(indices)
    values = draw(st.binary(min_size=size, max_size=size))
    return Sparse(struct.pack(f"<{len(indices)}I", *indices), values)


@st.composite
def multi(draw: st.DrawFn) -> Multi:
    """A multivector, perhaps without rows."""
    dtype = draw(st.sampled_from(_DTYPES))
    dim, rows = draw(st.integers(1, 10)), draw(st.integers(0, 4))
    size = rows * ((dim * BITS[dtype] + 7) // 8)
    return Multi(dtype, dim, rows, draw(st.binary(min_size=size, max_size=size)))


vectors: st.SearchStrategy[Vector] = st.one_of(dense(), sparse(), multi())
"""Vectors of every kind."""

images = st.builds(Image, st.dictionaries(text, vectors, max_size=3), payloads.map(encode_payload))
"""Images, their payload canonical."""

points = st.builds(Point, keys, images)
"""Points."""

hints = st.builds(
    Hint,
    kind=st.sampled_from(HintKind),
    request=text,
    keys=st.lists(keys.map(key_bytes), max_size=5).map(tuple),
    verb=st.sampled_from(("upsert", "delete", "unknown")),
    position=text,
    at_ms=_INT64,
    number=_INT64,
    token=text,
    scope=text,
)
"""Hints, every field of any value."""

events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    key=keys.map(key_bytes) | st.just(b""),
    image=st.none() | images,
    term=_INT64,
    hint_offset=_INT64,
    number=_INT64,
    token=text,
    chunk=text,
    opened=_INT64,
    rows=_INT64,
    digest=st.binary(max_size=16),
    note=text,
)
"""Events, every field of any value, also where its kind gives it no meaning."""

dead_letters = st.builds(
    Dead,
    topic=text,
    partition=st.integers(0, 2**31 - 1),
    offset=_INT64,
    key=st.binary(max_size=20),
    value=st.binary(max_size=60),
    reason=text,
    error=text,
    role=st.sampled_from(("capture", "snapshot", "apply")),
    at_ms=_INT64,
)
"""Dead letters."""

control_records = st.builds(
    ControlRecord,
    kind=text,
    term=_OFFSET,
    name=text,
    body=payloads,
    offset=_OFFSET,
    at_ms=_INT64,
)
"""Control records as they are read back."""
