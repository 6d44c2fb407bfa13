"""Index parameters in neutral words: what every database calls by its own.

A store's ``describe`` gives its parameters in the vendor's own words, and its
``create`` reads these neutral ones beside them:

- ``type``: ``hnsw``, ``flat``, ``ivf_flat``, ``diskann``, ``dynamic`` (flat, then HNSW) or
  ``autoindex`` (the database decides);
- ``m``, ``ef_construct``: of HNSW, the links of a node and the breadth of the search while
  building (Malkov and Yashunin, 2016);
- ``nlist``: of IVF, the number of clusters;
- ``quantisation``: ``scalar``, ``product``, ``binary`` or ``none``; the vectors themselves stay.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vecferry.model import VectorSpec
from vecferry.ports import Capabilities

_TYPE_WORDS = frozenset({"type", "index_type", "vectorindextype", "method"})
_PARAMETERS = {
    "m": "m",
    "maxconnections": "m",
    "max_connections": "m",
    "ef_construct": "ef_construct",
    "efconstruction": "ef_construct",
    "ef_construction": "ef_construct",
    "nlist": "nlist",
    "lists": "nlist",
}
_BELONGS = {"m": "hnsw", "ef_construct": "hnsw", "nlist": "ivf_flat"}
"""The type that a parameter belongs to: the same letter means another thing elsewhere."""

_TYPES = {
    "ivfflat": ("ivf_flat", None),
    "ivf_sq8": ("ivf_flat", "scalar"),
    "ivf_pq": ("ivf_flat", "product"),
    "hnsw_sq": ("hnsw", "scalar"),
    "hnsw_pq": ("hnsw", "product"),
    "bin_flat": ("flat", None),
    "bin_ivf_flat": ("ivf_flat", None),
}
"""The names that say two things, or the same as a neutral one."""

_QUANTISERS = {
    "scalar": "scalar",
    "sq": "scalar",
    "product": "product",
    "pq": "product",
    "binary": "binary",
    "bq": "binary",
}
_NEAREST = {
    "hnsw": ("dynamic", "autoindex", "diskann", "ivf_flat"),
    "flat": ("autoindex", "hnsw"),
    "ivf_flat": ("hnsw", "autoindex", "dynamic"),
    "diskann": ("hnsw", "autoindex", "dynamic"),
    "dynamic": ("hnsw", "autoindex"),
    "autoindex": ("hnsw", "dynamic"),
}


class PlannedIndex(NamedTuple):
    """An index for the target, and what the user should know of it."""

    words: dict[str, object]
    warnings: tuple[str, ...] = ()


def translate_index(index: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters that carry over between databases, in neutral words."""
    neutral: dict[str, object] = {}
    for name, value in index.items():
        if name.lower() in _TYPE_WORDS and value is not None:
            kind, compressed = _TYPES.get(str(value).lower(), (str(value).lower(), None))
            neutral["type"] = kind
            if compressed:
                neutral["quantisation"] = compressed
    compressed = _quantisation(index)
    if compressed:
        neutral["quantisation"] = compressed
    for name, value in index.items():
        word = _PARAMETERS.get(name.lower())
        if word and value is not None and neutral.get("type", _BELONGS[word]) == _BELONGS[word]:
            neutral[word] = value
    if neutral.get("type") == "hnsw" and neutral.get("m") == 0:  # how Qdrant says that it has none
        neutral = {"type": "flat"} | {
            name: value for name, value in neutral.items() if name == "quantisation"
        }
    return neutral


def _quantisation(index: Mapping[str, object]) -> str | None:
    given = index.get("quantisation")
    if isinstance(given, str):
        return given
    inside = index.get("quantization")  # Qdrant nests them, Weaviate does not
    places = [index, inside] if isinstance(inside, Mapping) else [index]
    for place in places:
        for name, word in _QUANTISERS.items():
            said = place.get(name)
            if isinstance(said, Mapping) and said.get("enabled", True):
                return word
    return None


def plan_index(
    spec: VectorSpec,
    wished: Mapping[str, object],
    capabilities: Capabilities,
    *,
    same_vendor: bool = False,
) -> PlannedIndex:
    """Return the index that the target makes for one vector.

    Args:
        spec: The vector as the source holds it.
        wished: The user's neutral words, which go before the source's.
        capabilities: The target's.
        same_vendor: Keep the vendor's own words, too: the target reads them.

    A type or a compression that the target lacks becomes its nearest, with a
    warning that names both.
    """
    there = translate_index(spec.index)
    if spec.kind == "sparse":
        return PlannedIndex((dict(spec.index) if same_vendor else {}) | there)
    neutral = dict(there)
    if wished.get("type", there.get("type")) != there.get("type"):
        neutral = {name: there[name] for name in ("quantisation",) if name in there}
    neutral |= wished
    warned: list[str] = []
    if capabilities.index_types:
        warned += _fit_type(spec, neutral, capabilities.index_types)
        warned += _fit_quantisation(spec, neutral, capabilities.quantisations)
    own = _still_true(spec.index, there, neutral) if same_vendor else {}
    return PlannedIndex(own | neutral, tuple(warned))


def _still_true(
    own: Mapping[str, object], there: Mapping[str, object], neutral: Mapping[str, object]
) -> dict[str, object]:
    """Return the vendor's own words without those that say otherwise than the neutral ones."""
    kept = dict(own)
    changed = {
        word for word in there.keys() | neutral.keys() if there.get(word) != neutral.get(word)
    }
    for name in own:
        lower = name.lower()
        says = {_PARAMETERS.get(lower)}
        if lower in _TYPE_WORDS:
            says = {"type", "quantisation"}
        elif lower == "quantization" or lower in _QUANTISERS:
            says = {"quantisation"}
        if says & changed:
            del kept[name]
    return kept


def _fit_type(spec: VectorSpec, neutral: dict[str, object], known: frozenset[str]) -> list[str]:
    kind = neutral.get("type")
    if kind is None or kind in known:
        return []
    nearest = next((near for near in _NEAREST.get(str(kind), ()) if near in known), None)
    chosen = nearest or ("hnsw" if "hnsw" in known else min(known))
    lost = [word for word, owner in _BELONGS.items() if word in neutral and owner != chosen]
    for word in lost:
        del neutral[word]
    neutral["type"] = chosen
    without = f", without {' and '.join(lost)}" if lost else ""
    return [
        f"vectors.{spec.name}: the target has no {kind} index, so it gets {chosen}{without}; "
        f"set collections.index for another (it has {', '.join(sorted(known))})"
    ]


def _fit_quantisation(
    spec: VectorSpec, neutral: dict[str, object], known: frozenset[str]
) -> list[str]:
    wanted = neutral.get("quantisation", "none")
    if wanted == "none" or wanted in known or f"{neutral.get('type')}/{wanted}" in known:
        return []
    neutral["quantisation"] = "none"
    has = ", ".join(sorted(known)) or "none"
    return [
        f"vectors.{spec.name}: the target has no {wanted} quantisation, so it gets none and needs "
        f"more memory; set quantisation in collections.index for another (it has {has})"
    ]
