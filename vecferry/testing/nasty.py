"""A corpus of what users of other tools lost, made for what a store can hold.

Each :class:`Nasty` is one small collection: every kind of id, the same id in two
namespaces, every trap of payloads, one collection for each kind of vector that
the store has. The values are fixed; a seed only draws vectors.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vecferry.model import (
    Collection,
    Dense,
    Dtype,
    Id,
    Image,
    Key,
    Metric,
    Multi,
    Point,
    Sparse,
    Vector,
    VectorKind,
    VectorSpec,
)
from vecferry.payload import encode_payload
from vecferry.ports import Capabilities

DIM = 16
LOGICAL = "nasty"

_IDS: tuple[Id, ...] = (
    *(0, 1, 42, 2**53 + 1, 2**63 - 2, -5),
    *("1", "-5", 'a"b', "a\\b", "q'q", "%_{x}", "x" * 200, "straße", "日本"),
    uuid.UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    uuid.UUID(int=1),
)
_PAYLOADS: tuple[Mapping[str, Any], ...] = (
    {},
    {"null": None, "empty": "", "space": " ", "zero": 0, "false": False},
    {"beyond": 2**53 + 1, "below": -(2**53) - 1, "float": 1.0, "whole": 3, "small": 5e-324},
    {"nested": {"a": [1, 2.5, {"b": None, "c": ""}], "": [], "d": {}}, "list": [None, "", 0]},
    {"ünï cöde": "straße", "名前": "日本 😀", "a.b": 1, "a": {"b": 2}, "$meta": 3, "": 4},
    {"_vf_id": "the application's own", "id": 7, "v": [1.0], "json": '{"a": 1}', "vector": "x"},
    {"tags": ["a", "b"], "scores": [1, 2.5], "mixed": [1, "a"], "none": [], "text": "x" * 3_000},
    {"uuid": "6F9619FF-8B86-D011-B42D-00CF4FC964FF", "time": "2024-02-30T25:00:00Z", "n": -0.0},
)
_METRICS: tuple[Metric, ...] = ("dot", "l2", "cosine", "l1")


class Nasty(NamedTuple):
    """One collection of the corpus.

    Attributes:
        what: What it is about, such as ``dense float32 dot``.
        collection: To create; it has the logical name until :func:`named` gives another.
        points: Keys are of the collection :data:`LOGICAL`.
    """

    what: str
    collection: Collection
    points: tuple[Point, ...]


def corpus(capabilities: Capabilities) -> list[Nasty]:
    """Return the collections that a store with these capabilities can hold."""
    name = capabilities.unnamed_vector
    made = [
        _nasty(capabilities, VectorSpec(name, dim=DIM, metric=metric))
        for metric in _METRICS
        if metric in capabilities.metrics and "float32" in capabilities.dtypes
    ]
    first = made[0].collection.vectors[0].metric
    others: tuple[Dtype, ...] = ("float16", "bfloat16", "int8", "uint8", "binary")
    for dtype in others:
        if dtype in capabilities.dtypes:
            metric = _metric_of(dtype, capabilities, first)
            made.append(_nasty(capabilities, VectorSpec(name, "dense", dtype, DIM, metric)))
    kinds: list[VectorKind] = ["sparse"] * capabilities.sparse + ["multi"] * capabilities.multi  # type: ignore[assignment]
    for kind in kinds:
        spec = VectorSpec(kind, kind, dim=DIM if kind == "multi" else 0, metric=_first(kind, first))
        dense = VectorSpec(name or "text", dim=DIM, metric=first)
        beside = (dense, spec) if capabilities.several_vectors else (spec,)
        made.append(_nasty(capabilities, *beside))
    return made


def named(nasty: Nasty, name: str) -> Collection:
    """Return the schema under a name of its own."""
    return Collection(
        name,
        nasty.collection.vectors,
        id_types=nasty.collection.id_types,
        id_bytes_max=nasty.collection.id_bytes_max,
        namespaces=nasty.collection.namespaces,
        options=nasty.collection.options,
    )


def _first(kind: VectorKind, metric: Metric | None) -> Metric | None:
    return "dot" if kind == "sparse" else metric


def _metric_of(dtype: Dtype, capabilities: Capabilities, first: Metric | None) -> Metric | None:
    return "hamming" if dtype == "binary" and "hamming" in capabilities.metrics else first


def _nasty(capabilities: Capabilities, *specs: VectorSpec) -> Nasty:
    what = " and ".join(
        f"{spec.kind} {spec.dtype} {spec.metric}" if spec.kind == "dense" else spec.kind
        for spec in specs
    )
    ids = [one for one in _IDS if _is_kept(one, capabilities)]
    types = frozenset(_type(one) for one in ids)
    spaces = ("", "blue") if capabilities.namespaces else ("",)
    keys = [Key(LOGICAL, space, one) for one in ids for space in spaces]
    points = tuple(
        Point(key, Image(dict(_vectors(specs, at)), _payload(at))) for at, key in enumerate(keys)
    )
    collection = Collection(LOGICAL, specs, id_types=types, id_bytes_max=256)
    return Nasty(what, collection, points)


def _type(one: Id) -> str:
    return "uuid" if isinstance(one, uuid.UUID) else "str" if isinstance(one, str) else "int"


def _is_kept(one: Id, capabilities: Capabilities) -> bool:
    if _type(one) not in capabilities.id_types:
        return False
    return not isinstance(one, int) or capabilities.int_min <= one <= capabilities.int_max


def _payload(at: int) -> bytes:
    return encode_payload(dict(_PAYLOADS[at % len(_PAYLOADS)]))


def _vectors(specs: tuple[VectorSpec, ...], at: int) -> Iterator[tuple[str, Vector]]:
    for number, spec in enumerate(specs):
        yield spec.name, _vector(spec, np.random.default_rng(1_000 * number + at))


def _vector(spec: VectorSpec, dice: np.random.Generator) -> Vector:
    if spec.kind == "sparse":
        indices = np.sort(dice.choice(5_000, size=6, replace=False)).astype("<u4")
        return Sparse(indices.tobytes(), dice.uniform(0.1, 1, 6).astype("<f4").tobytes())
    if spec.kind == "multi":
        data = dice.standard_normal((3, spec.dim)).astype("<f4")
        return Multi(spec.dtype, spec.dim, 3, data.tobytes())
    match spec.dtype:
        case "float32":
            row = dice.standard_normal(spec.dim).astype("<f4")
            row[:3] = -0.0, np.float32(1e-42), np.float32(np.pi)
            return Dense(spec.dtype, spec.dim, row.tobytes())
        case "float16":
            return Dense(
                spec.dtype, spec.dim, dice.standard_normal(spec.dim).astype("<f2").tobytes()
            )
        case "bfloat16":
            bits = dice.standard_normal(spec.dim).astype("<f4").view("<u4") >> 16
            return Dense(spec.dtype, spec.dim, bits.astype("<u2").tobytes())
        case "int8":
            return Dense(
                spec.dtype, spec.dim, dice.integers(-128, 128, spec.dim).astype("i1").tobytes()
            )
        case "uint8":
            return Dense(
                spec.dtype, spec.dim, dice.integers(0, 256, spec.dim).astype("u1").tobytes()
            )
        case "binary":
            return Dense(spec.dtype, spec.dim, dice.bytes(spec.dim // 8))
