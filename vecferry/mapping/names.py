"""How a point of the source is named in the target, and back."""

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
        vectors: Pairs of names, source and target.
    """

    source: Ref
    target: Ref
    vectors: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _forth(self) -> dict[str, str] | None:
        changed = {ours: theirs for ours, theirs in self.vectors if ours != theirs}
        return dict(self.vectors) if changed else None

    def apply(self, point: Point) -> Point:
        """Return the point as the target names its vectors; the key is unchanged.

        A vector that the mapping does not know is left out: it was acknowledged
        as dropped.
        """
        names = self._forth
        if names is None:
            return point
        vectors = {
            names[name]: vector for name, vector in point.image.vectors.items() if name in names
        }
        return Point(point.key, Image(vectors, point.image.payload))

    def back(self, point: Point) -> Point:
        """Return a point of the target as the source names its vectors."""
        if self._forth is None:
            return point
        names = {theirs: ours for ours, theirs in self.vectors}
        vectors = {names.get(name, name): vector for name, vector in point.image.vectors.items()}
        return Point(point.key, Image(vectors, point.image.payload))
