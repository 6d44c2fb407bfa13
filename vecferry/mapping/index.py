"""Index parameters in neutral words: what HNSW calls the same thing everywhere.

A store's ``describe`` gives its parameters in the vendor's own words, and its
``create`` reads these neutral ones beside them: ``type`` (``hnsw``, ``flat``,
``ivf_flat``, …), ``m``, ``ef_construct``. Qdrant and Milvus agree on their
meaning: ``m`` is the number of links a node, ``ef_construct`` the breadth of
the search while building (Malkov and Yashunin, 2016).
"""

from collections.abc import Mapping

_NEUTRAL = {
    "index_type": "type",
    "m": "m",
    "maxconnections": "m",
    "ef_construct": "ef_construct",
    "efconstruction": "ef_construct",
    "nlist": "nlist",
}


def translate_index(index: Mapping[str, object]) -> dict[str, object]:
    """Return the parameters that carry over between databases, in neutral words."""
    neutral: dict[str, object] = {}
    for name, value in index.items():
        word = _NEUTRAL.get(name.lower(), "type" if name.lower() == "type" else None)
        if word is not None and value is not None:
            neutral[word] = str(value).lower() if word == "type" else value
    return neutral
