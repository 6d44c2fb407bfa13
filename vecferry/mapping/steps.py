"""What a step of the transforms is, and the operations of the file as steps."""

from collections.abc import Callable, Mapping, Sequence

from vecferry.errors import RecordError
from vecferry.mapping import components, fields
from vecferry.model import Image, Point, Vector
from vecferry.payload import decode_payload, encode_payload
from vecferry.transform_settings import Condition, TransformSettings

Outcome = Point | None | RecordError
"""What became of a point: itself or another image, left out, or why it can never be there."""

Step = Callable[[Sequence[Point]], list[Outcome]]
"""Points in, as many outcomes out."""


class Draft:
    """A point while it is edited; the payload is decoded at most once.

    Attributes:
        vectors: By name.
    """

    def __init__(self, point: Point) -> None:
        self._point = point
        self._payload: fields.Payload | None = None
        self.vectors: dict[str, Vector] = dict(point.image.vectors)

    @property
    def payload(self) -> fields.Payload:
        """The payload, decoded, to be changed in place."""
        if self._payload is None:
            self._payload = decode_payload(self._point.image.payload)
        return self._payload

    @payload.setter
    def payload(self, payload: fields.Payload) -> None:
        self._payload = payload

    def point(self) -> Point:
        """Return the point as it is now."""
        same = self._payload is None
        payload = self._point.image.payload if same else encode_payload(self.payload)
        return Point(self._point.key, Image(self.vectors, payload))


Edit = Callable[[Draft], bool]
"""Changes a draft; False leaves the point out."""


class Edits:
    """Operations of the file that stand behind each other, as one step."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits

    def __call__(self, points: Sequence[Point]) -> list[Outcome]:
        """Return what became of each point."""
        return [self._edited(point) for point in points]

    def _edited(self, point: Point) -> Outcome:
        draft = Draft(point)
        try:
            return draft.point() if all(edit(draft) for edit in self._edits) else None
        except RecordError as error:
            return error


def edit_of(settings: TransformSettings) -> Edit:
    """Return one operation of the file, other than a function, as an edit."""
    make = _MAKERS[settings.operation]
    return make(settings)


def _rename(settings: TransformSettings) -> Edit:
    names = {
        fields.parse_path(old): fields.parse_path(new)
        for old, new in (settings.rename or {}).items()
    }

    def edit(draft: Draft) -> bool:
        fields.rename(draft.payload, names)
        return True

    return edit


def _drop(settings: TransformSettings) -> Edit:
    paths = [fields.parse_path(path) for path in settings.drop or ()]

    def edit(draft: Draft) -> bool:
        fields.drop(draft.payload, paths)
        return True

    return edit


def _keep(settings: TransformSettings) -> Edit:
    paths = [fields.parse_path(path) for path in settings.keep or ()]

    def edit(draft: Draft) -> bool:
        draft.payload = fields.keep(draft.payload, paths)
        return True

    return edit


def _cast(settings: TransformSettings) -> Edit:
    types = [(fields.parse_path(path), wanted) for path, wanted in (settings.cast or {}).items()]

    def edit(draft: Draft) -> bool:
        for path, wanted in types:
            fields.cast(draft.payload, path, wanted)
        return True

    return edit


def _set(settings: TransformSettings) -> Edit:
    values = [(fields.parse_path(path), value) for path, value in (settings.set or {}).items()]

    def edit(draft: Draft) -> bool:
        for path, value in values:
            fields.put(draft.payload, path, fields.fresh(value))
        return True

    return edit


def _subset(conditions: Mapping[str, Condition], *, kept: bool) -> Edit:
    parsed = [(fields.parse_path(path), condition) for path, condition in conditions.items()]

    def edit(draft: Draft) -> bool:
        payload = draft.payload
        return kept == all(fields.matches(payload, path, each) for path, each in parsed)

    return edit


def _rename_vector(settings: TransformSettings) -> Edit:
    names = settings.rename_vector or {}

    def edit(draft: Draft) -> bool:
        draft.vectors = {names.get(name, name): vector for name, vector in draft.vectors.items()}
        return True

    return edit


def _drop_vector(settings: TransformSettings) -> Edit:
    dropped = frozenset(settings.drop_vector or ())

    def edit(draft: Draft) -> bool:
        draft.vectors = {name: each for name, each in draft.vectors.items() if name not in dropped}
        return True

    return edit


def _normalise(settings: TransformSettings) -> Edit:
    names = settings.normalise or ()

    def edit(draft: Draft) -> bool:
        for name in names:
            if name in draft.vectors:
                draft.vectors[name] = components.normalise(name, draft.vectors[name])
        return True

    return edit


def _cast_vector(settings: TransformSettings) -> Edit:
    types, scale = settings.cast_vector or {}, settings.scale

    def edit(draft: Draft) -> bool:
        for name, dtype in types.items():
            if name in draft.vectors:
                draft.vectors[name] = components.cast(name, draft.vectors[name], dtype, scale)
        return True

    return edit


_MAKERS: Mapping[str, Callable[[TransformSettings], Edit]] = {
    "rename": _rename,
    "drop": _drop,
    "keep": _keep,
    "cast": _cast,
    "set": _set,
    "where": lambda settings: _subset(settings.where or {}, kept=True),
    "where_not": lambda settings: _subset(settings.where_not or {}, kept=False),
    "rename_vector": _rename_vector,
    "drop_vector": _drop_vector,
    "normalise": _normalise,
    "cast_vector": _cast_vector,
}
