"""What is done to points on their way to the target: one operation for each table of the file."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from vecferry.errors import RecordError
from vecferry.model import Dtype, Metric, VectorKind
from vecferry.payload import encode_payload

JsonType = Literal["int", "float", "text", "bool"]
Component = Literal["float32", "float16", "bfloat16", "int8", "uint8"]


class VectorWords(BaseModel):
    """A vector that a callable makes, or makes anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: VectorKind = "dense"
    """dense, sparse or multi."""
    dtype: Dtype = "float32"
    """Of the components."""
    dim: int = Field(default=0, ge=0)
    """Components of one vector; 0 for a sparse one."""
    metric: Metric | None = None
    """How it is searched; that of the vector in whose place it stands when left out."""

    @model_validator(mode="after")
    def _dim_fits(self) -> Self:
        if (self.kind == "sparse") != (self.dim == 0):
            raise ValueError("a sparse vector has no dim, and every other one needs it")
        return self


class Condition(BaseModel):
    """What a payload field must be; every word that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    equals: Any = None
    """This value. Numbers are compared by value, 1 and true are two things."""
    one_of: tuple[Any, ...] | None = None
    """Any of these values."""
    contains: Any = None
    """A list that holds this value."""
    at_least: float | int | str | None = None
    """This or more: a number beside numbers, a text beside texts (by code points)."""
    above: float | int | str | None = None
    """More than this."""
    at_most: float | int | str | None = None
    """This or less."""
    below: float | int | str | None = None
    """Less than this."""
    exists: bool | None = None
    """Whether the field is there at all, be it null."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"needs a condition: one of {', '.join(Condition.model_fields)}")
        return self


class TransformSettings(BaseModel):
    r"""One operation. They run in the order of the file, before the names of the target are given.

    A payload field is named by its path: dots lead into objects, and ``\.`` is a dot of the name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rename: Mapping[str, str] | None = None
    """Payload fields, old path to new path, all at once."""
    drop: tuple[str, ...] | None = None
    """Payload fields that are left out."""
    keep: tuple[str, ...] | None = None
    """Payload fields that stay; all others are left out."""
    cast: Mapping[str, JsonType] | None = None
    """Payload fields and their new type. A value that would change is refused."""
    set: Mapping[str, Any] | None = None
    """Payload fields and the value that every point gets."""
    where: Mapping[str, Condition] | None = None
    """A subset: points for which all these conditions hold; the others are not in the target."""
    where_not: Mapping[str, Condition] | None = None
    """A subset: points for which not all of these conditions hold."""
    rename_vector: Mapping[str, str] | None = None
    """Vectors, old name to new name, all at once."""
    drop_vector: tuple[str, ...] | None = None
    """Vectors that are left out."""
    normalise: tuple[str, ...] | None = None
    """Vectors that get the length 1; in a multivector each row."""
    cast_vector: Mapping[str, Component] | None = None
    """Vectors and the new type of their components, rounded to the nearest, ties to even."""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """With ``cast_vector``: what each component is multiplied by before it is rounded (127 for int8)."""
    transform: str | None = None
    """A Python function, ``module:name``, that takes an Image and returns one, or None to leave it out."""
    transform_batch: str | None = None
    """The same for many: it takes a list of Points and returns as many Images or None."""
    vectors: Mapping[str, VectorWords] = Field(default_factory=dict)
    """With a function: the vectors that it makes or makes anew; the others keep their shape."""
    tolerance: float = Field(default=0.0, ge=0, lt=1)
    """With a function that does not return the same bits each time: the largest difference in
    direction of the vectors that it makes."""
    concurrent: bool = False
    """With a function: whether several threads may call it at the same time."""

    @property
    def operation(self) -> str:
        """The name of the one operation."""
        return next(name for name in OPERATIONS if getattr(self, name) is not None)

    @property
    def function(self) -> str | None:
        """The user's function, ``module:name``; None for the other operations."""
        return self.transform or self.transform_batch

    @field_validator("set")
    @classmethod
    def _is_json(cls, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        try:
            encode_payload(dict(value or {}))
        except RecordError as error:
            raise ValueError(
                f"holds what JSON cannot say, such as a date without quotes: {error}"
            ) from error
        return value

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in OPERATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) or "none"
            raise ValueError(f"needs one operation of {', '.join(OPERATIONS)}, and has {what}")
        if not getattr(self, given[0]) and given[0] != "keep":
            raise ValueError(f"{given[0]} is empty: it would do nothing, or everything")
        for setting, operations in _BELONGS_TO.items():
            if setting in self.model_fields_set and given[0] not in operations:
                raise ValueError(
                    f"{setting} belongs to {' or '.join(operations)}, not to {given[0]}"
                )
        if self.tolerance and not self.vectors:
            raise ValueError(
                "tolerance is of the vectors that the function makes: name them in vectors"
            )
        return self


_CALLABLES = ("transform", "transform_batch")
_BELONGS_TO = {
    "scale": ("cast_vector",),
    "vectors": _CALLABLES,
    "tolerance": _CALLABLES,
    "concurrent": _CALLABLES,
}
OPERATIONS = tuple(name for name in TransformSettings.model_fields if name not in _BELONGS_TO)
"""The names of all operations."""
