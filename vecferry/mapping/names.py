"""How a point of the source is named in the target, and back."""

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass
from functools import cached_property

from vecferry.model import Image, Point
from vecferry.ports import Ref


@dataclass(frozen=True)
class Mapping:
    """The names of one collection on both sides.

    Attributes:
        source: The collection in the source.
        target: The collection in the target; keys keep the source's name.
        vectors: Pairs of names, source and target, of the vectors that move; none
            at all says that every vector moves under its own name.
    """

    source: Ref
    target: Ref
    vectors: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _names(self) -> dict[str, str]:
        return dict(self.vectors)

    @cached_property
    def _renames(self) -> bool:
        return any(ours != theirs for ours, theirs in self.vectors)

    def apply(self, point: Point) -> Point:
        """Return the point as the target names its vectors; the key is unchanged.

        A vector that the mapping does not know is left out: it was acknowledged
        as dropped.
        """
        names, vectors = self._names, point.image.vectors
        if not names or (not self._renames and names.keys() >= vectors.keys()):
            return point
        kept = {names[name]: vector for name, vector in vectors.items() if name in names}
        return Point(point.key, Image(kept, point.image.payload))

    def rename(self, values: AnyMapping[str, float]) -> dict[str, float]:
        """Return what is said of vectors by their source's names, by their target's."""
        return {self._names.get(name, name): value for name, value in values.items()}

    def back(self, point: Point) -> Point:
        """Return a point of the target as the source names its vectors."""
        if not self._renames:
            return point
        names = {theirs: ours for ours, theirs in self.vectors}
        vectors = {names.get(name, name): vector for name, vector in point.image.vectors.items()}
        return Point(point.key, Image(vectors, point.image.payload))
