"""What the requests and the replies say, as models: they check, and they are the OpenAPI document."""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from vecferry.model import Id

IDS_MAX = 10_000
BODY_BYTES_MAX = 8_000_000


class BodyError(Exception):
    """A request says something that is not understood; what, and where."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class UuidId(_Body):
    """An id that the source holds as a UUID."""

    uuid: UUID


TypedId = StrictInt | Annotated[StrictStr, Field(max_length=65_535)] | UuidId
Ids = Annotated[list[TypedId], Field(max_length=IDS_MAX)]
Namespace = Annotated[str, Field(description="The partition or tenant, where the source has them.")]


class Begin(_Body):
    """A write is about to be sent."""

    collection: str = Field(description="Its name in the source, never an alias.")
    namespace: Namespace = ""
    ids: Ids = Field(default_factory=list, description="The ids that the write names.")
    filter: bool = Field(
        False, description="It names a filter: tell the ids that match now with `found`."
    )
    verb: Literal["upsert", "delete", "unknown"] = "unknown"


class Found(_Body):
    """Ids that a filter matches, before the write is sent; as often as there are pages of them."""

    ticket: str
    namespace: Namespace = ""
    ids: Ids


class Renew(_Body):
    """The write was not sent yet, and its time to be sent is over."""

    ticket: str


class End(_Body):
    """The write is over."""

    ticket: str
    outcome: Literal["done", "unknown"] = Field(
        description="`done`: the source answered, with a success or a definite refusal. `unknown`: a "
        "timeout, a broken connection."
    )
    namespace: Namespace = ""
    ids: Ids = Field(default_factory=list, description="Ids that only the reply told.")
    position: str = Field("", description="What the source says to read after, where it does.")


class Opened(BaseModel):
    """The log has the announcement: send the write now."""

    ticket: str
    send_within_s: float = Field(
        description="Send it within so many seconds, or renew the ticket first."
    )
    request_max_s: float = Field(
        description="The longest timeout that the write's own request may have."
    )


class Accepted(BaseModel):
    """It is on record."""


class Refusal(BaseModel):
    """It was refused."""

    error: str


class Health(BaseModel):
    """The log answers."""

    collections: list[str]
    tickets: int


_B = TypeVar("_B", bound=_Body)


def parse(model: type[_B], raw: bytes) -> _B:
    """Read a request's body.

    Raises:
        BodyError: It is not one.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        told = [
            f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}"
            for one in problems[:5]
        ]
        raise BodyError("; ".join(told)) from None


def typed(ids: Iterable[int | str | UuidId], *, texts_are_uuids: bool) -> list[Id]:
    """Return the ids as the source types them.

    Args:
        ids: As the request spells them.
        texts_are_uuids: Whether the source has no ids of text, so that one can
            only be the spelling of a UUID, as Qdrant's own clients write it.

    Raises:
        BodyError: Such a text is none.
    """
    return [one.uuid if isinstance(one, UuidId) else _of_text(one, texts_are_uuids) for one in ids]


def _of_text(one: int | str, texts_are_uuids: bool) -> Id:
    if not texts_are_uuids or isinstance(one, int):
        return one
    try:
        return UUID(one)
    except ValueError:
        raise BodyError(
            f"ids: {one[:80]!r} is not a UUID, and this source has no ids of text"
        ) from None
