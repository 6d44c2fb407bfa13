"""What is done to a collection's points between the log and the target, in the file's order.

Events hold the source's truth; transforms run where it is applied or compared,
and only there. The same function serves the applier and the parity check, so
that what was rounded is compared with what it was rounded to. They come before
the mapping gives the target's names: they speak of the source's.
"""

import difflib
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from vecferry.errors import ConfigError, RecordError
from vecferry.mapping.callables import Called, load_callable
from vecferry.mapping.fields import parse_path
from vecferry.mapping.names import Mapping
from vecferry.mapping.steps import Edits, Outcome, Step, edit_of
from vecferry.model import Collection, Point, VectorSpec
from vecferry.transform_settings import TransformSettings

__all__ = ["Outcome", "Step", "Transforms", "load_transforms", "passage", "transform_schema"]


@dataclass(frozen=True)
class Transforms:
    """The transforms of one collection, ready to run; without steps every point stays as it is.

    Attributes:
        settings: As the file has them.
        steps: What they do, in order.
    """

    settings: tuple[TransformSettings, ...] = ()
    steps: tuple[Step, ...] = ()

    def apply(self, points: Sequence[Point]) -> list[Outcome]:
        """Return, in order, each point with its image for the target, None, or why it has none.

        Keys are never changed. Without functions of the user's it is pure.

        Raises:
            TransientError: A function cannot answer for now; nothing is known of any point.
            HaltError, ConfigError, MemoryError: A function says that it is broken.
        """
        outcomes: list[Outcome] = list(points)
        for step in self.steps:
            at = [place for place, each in enumerate(outcomes) if isinstance(each, Point)]
            made = step([each for each in outcomes if isinstance(each, Point)])
            for place, outcome in zip(at, made, strict=True):
                outcomes[place] = outcome
        return outcomes

    def one(self, point: Point) -> Point | None:
        """Return what becomes of one point.

        Raises:
            RecordError: It can never be in the target.
            TransientError: See :meth:`apply`.
        """
        (outcome,) = self.apply([point])
        if isinstance(outcome, RecordError):
            raise outcome
        return outcome

    def tolerances(self) -> dict[str, float]:
        """Return, for each vector that a function makes inexactly, by its last name, the tolerance."""
        found: dict[str, float] = {}
        for each in self.settings:
            names = each.rename_vector or {}
            found = {names.get(name, name): value for name, value in found.items()}
            for name in each.drop_vector or ():
                found.pop(name, None)
            if each.tolerance:
                found |= {name: max(each.tolerance, found.get(name, 0.0)) for name in each.vectors}
        return found

    def words(self) -> list[dict[str, Any]]:
        """Return the settings as JSON values, to be held against those of another time."""
        return [each.model_dump(mode="json", exclude_unset=True) for each in self.settings]


def load_transforms(settings: Sequence[TransformSettings], folder: Path) -> Transforms:
    """Return a collection's transforms, its functions imported.

    Args:
        settings: In order.
        folder: Of the migration's file, in which modules are looked for, too.

    Raises:
        ConfigError: A function cannot be imported or does not take one argument.
    """
    steps: list[Step] = []
    for is_edit, group in groupby(settings, key=lambda each: each.function is None):
        if is_edit:  # neighbours share the decoding of the payload
            steps.append(Edits([edit_of(each) for each in group]))
        else:
            steps += [Called(each, load_callable(str(each.function), folder)) for each in group]
    return Transforms(tuple(settings), tuple(steps))


def passage(transforms: Transforms, mapping: Mapping) -> Step:
    """Return all that a point goes through on its way to the target: transforms, then names."""

    def pass_on(points: Sequence[Point]) -> list[Outcome]:
        return [
            mapping.apply(outcome) if isinstance(outcome, Point) else outcome
            for outcome in transforms.apply(points)
        ]

    return pass_on


class Preview:
    """What becomes of one point, for the plan's sample; points that can never be there are counted."""

    def __init__(self, transforms: Transforms, mapping: Mapping) -> None:
        self._pass_on = passage(transforms, mapping)
        self._reasons: list[str] = []

    def __call__(self, point: Point) -> Point | None:
        """Return the point as the target would be given it, None for one that it would not.

        Raises:
            TransientError: See :meth:`Transforms.apply`.
        """
        (outcome,) = self._pass_on([point])
        if isinstance(outcome, RecordError):
            self._reasons.append(f"{point.key}: {outcome}")
            return None
        return outcome

    def warnings(self) -> tuple[str, ...]:
        """Return what to say of points that would be dead letters, if there were any."""
        if not self._reasons:
            return ()
        return (
            f"the transforms fail for {len(self._reasons)} of the sampled points, which would be dead "
            f"letters; the first is {self._reasons[0]}",
        )


def transform_schema(collection: Collection, settings: Sequence[TransformSettings]) -> Collection:
    """Return the schema of what the transforms make of a collection's points.

    Guarantees: every image that :meth:`Transforms.apply` returns for a point of
    ``collection`` has vectors of this schema and no others.

    Raises:
        ConfigError: A transform names a vector that is not there at its turn
            (the nearest is given), or that cannot be changed in that way.
    """
    for number, each in enumerate(settings):
        try:
            collection = _SCHEMAS.get(each.operation, _same)(collection, each)
        except ConfigError as error:
            raise ConfigError(
                f"collections.transforms.{number}.{each.operation} of {collection.name!r}: {error}"
            ) from None
    return collection


_Schema = Callable[[Collection, TransformSettings], Collection]


def _same(collection: Collection, settings: TransformSettings) -> Collection:
    return collection


def _require_vectors(collection: Collection, names: Sequence[str]) -> None:
    known = [spec.name for spec in collection.vectors]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            has = ", ".join(map(repr, known)) or "none"
            hint = f"did you mean {near[0]!r}?" if near else f"it has {has}"
            raise ConfigError(f"there is no vector {name!r} here: {hint}")


def _rename_vector(collection: Collection, settings: TransformSettings) -> Collection:
    names = settings.rename_vector or {}
    _require_vectors(collection, list(names))
    vectors = tuple(
        replace(spec, name=names.get(spec.name, spec.name)) for spec in collection.vectors
    )
    made = [spec.name for spec in vectors]
    for name in made:
        if made.count(name) > 1:
            raise ConfigError(f"two vectors would have the name {name!r}")
    return replace(collection, vectors=vectors)


def _drop_vector(collection: Collection, settings: TransformSettings) -> Collection:
    dropped = settings.drop_vector or ()
    _require_vectors(collection, dropped)
    return replace(
        collection, vectors=tuple(spec for spec in collection.vectors if spec.name not in dropped)
    )


def _normalise(collection: Collection, settings: TransformSettings) -> Collection:
    names = settings.normalise or ()
    _require_vectors(collection, names)
    for spec in collection.vectors:
        if spec.name in names and (
            spec.kind == "sparse" or spec.dtype in ("int8", "uint8", "binary")
        ):
            what = "sparse" if spec.kind == "sparse" else spec.dtype
            raise ConfigError(
                f"vector {spec.name!r} is {what}, and only floats can have the length 1"
            )
    return collection


def _cast_vector(collection: Collection, settings: TransformSettings) -> Collection:
    types = settings.cast_vector or {}
    _require_vectors(collection, list(types))
    for spec in collection.vectors:
        if spec.name in types and (spec.kind == "sparse" or spec.dtype == "binary"):
            what = "sparse" if spec.kind == "sparse" else "binary"
            raise ConfigError(
                f"vector {spec.name!r} is {what}, and its components have one type only"
            )
    return replace(
        collection,
        vectors=tuple(
            replace(spec, dtype=types.get(spec.name, spec.dtype)) for spec in collection.vectors
        ),
    )


def _make_vectors(collection: Collection, settings: TransformSettings) -> Collection:
    made = {
        name: _made(collection.vector(name) or VectorSpec(name), settings, name)
        for name in settings.vectors
    }
    there = tuple(made.pop(spec.name, spec) for spec in collection.vectors)
    return replace(collection, vectors=(*there, *made.values()))


def _made(before: VectorSpec, settings: TransformSettings, name: str) -> VectorSpec:
    words = settings.vectors[name]
    dtype = "float32" if words.kind == "sparse" else words.dtype
    index = before.index if before.kind == words.kind else {}
    metric = words.metric or before.metric
    return VectorSpec(name, words.kind, dtype, words.dim, metric, index)


def _move_fields(collection: Collection, settings: TransformSettings) -> Collection:
    """Take the payload fields that are changed out of the vendors' own words.

    What a database said of a field in its schema holds no longer for the field
    that it becomes: it is an ordinary one of the payload then.
    """
    if settings.keep is not None:
        kept = {parse_path(path)[0] for path in settings.keep}
        return replace(collection, options=_words(collection.options, lambda name: name in kept))
    moved = settings.rename or {}
    given = (moved, moved.values(), settings.drop or (), settings.cast or {}, settings.set or {})
    names = {parse_path(path)[0] for paths in given for path in paths}
    return replace(collection, options=_words(collection.options, lambda name: name not in names))


def _words(options: AnyMapping[str, object], stays: Callable[[str], bool]) -> dict[str, object]:
    """Return a vendor's options with the payload fields that stay.

    Qdrant lists indexes by path, Milvus and Postgres columns by name, each vendor below a
    key of its own.
    """
    made: dict[str, object] = {}
    for word, value in options.items():
        if word == "payload_schema" and isinstance(value, AnyMapping):
            made[word] = {path: each for path, each in value.items() if stays(parse_path(path)[0])}
        elif word in ("fields", "columns") and isinstance(value, list | tuple):
            made[word] = [each for each in value if stays(str(each["name"]))]
        elif word == "partition_key" and not stays(str(value)):
            continue
        elif word in ("milvus", "pgvector") and isinstance(value, AnyMapping):
            made[word] = _words(value, stays)
        else:
            made[word] = value
    return made


_SCHEMAS: AnyMapping[str, _Schema] = {
    "rename": _move_fields,
    "drop": _move_fields,
    "keep": _move_fields,
    "cast": _move_fields,
    "set": _move_fields,
    "rename_vector": _rename_vector,
    "drop_vector": _drop_vector,
    "normalise": _normalise,
    "cast_vector": _cast_vector,
    "transform": _make_vectors,
    "transform_batch": _make_vectors,
}
