"""Whether two points are equal, exactly or within what the plan allows."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vecferry.digest import floats
from vecferry.model import Dense, Image, Multi, Vector
from vecferry.payload import decode_payload


def differing_fields(
    expected: Image, found: Image, tolerances: Mapping[str, float]
) -> tuple[str, ...]:
    """Return the fields in which two images differ, sorted; empty when they are equal.

    Args:
        expected: The source's image, through the mapping.
        found: The target's.
        tolerances: For each vector that the target normalises, the largest
            distance between the two unit vectors, in each component.
    """
    names = sorted(expected.vectors.keys() | found.vectors.keys())
    differing = [
        f"vectors.{name}"
        for name in names
        if not _is_same(expected.vectors.get(name), found.vectors.get(name), tolerances.get(name))
    ]
    if expected.payload != found.payload:
        ours, theirs = decode_payload(expected.payload), decode_payload(found.payload)
        differing += [
            f"payload.{name}"
            for name in sorted(ours.keys() | theirs.keys())
            if name not in ours or name not in theirs or not _is_same_json(ours[name], theirs[name])
        ]
    return tuple(differing)


def _is_same(expected: Vector | None, found: Vector | None, tolerance: float | None) -> bool:
    if expected == found:
        return True
    if not tolerance or type(expected) is not type(found):
        return False
    if not isinstance(expected, Dense | Multi) or not isinstance(found, Dense | Multi):
        return False
    if expected.dtype != found.dtype or expected.dim != found.dim:
        return False
    if len(expected.data) != len(found.data):
        return False
    ours, theirs = _directions(expected), _directions(found)
    if ours is None or theirs is None:
        return False
    return bool(np.abs(ours - theirs).max(initial=0.0) <= tolerance)


def _directions(vector: Dense | Multi) -> npt.NDArray[np.float64] | None:
    values = floats(vector.dtype, vector.data)
    if values is None:
        return None
    rows = values.reshape(-1, vector.dim)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    norms[norms == 0.0] = 1.0
    return np.asarray(rows / norms)


def _is_same_json(ours: object, theirs: object) -> bool:
    # 3 and 3.0 are equal to Python and two values to an application; so are True and 1
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            _is_same_json(ours[name], theirs[name]) for name in ours
        )
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_is_same_json, ours, theirs))
    return ours == theirs
