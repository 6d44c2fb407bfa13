"""Payload index parameters: JSON to the engine's."""

from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.fields import Fields
from vecferry.testing.qdrant_server.refusals import BadInputError, NotImplementedHereError
from vecferry.testing.qdrant_server.schema import Config, named

_COMMON = ("on_disk", "enable_hnsw")
_TYPES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "keyword": (edge.KeywordIndexParams, ("is_tenant", *_COMMON)),
    "integer": (edge.IntegerIndexParams, ("lookup", "range", "is_principal", *_COMMON)),
    "float": (edge.FloatIndexParams, ("is_principal", *_COMMON)),
    "geo": (edge.GeoIndexParams, _COMMON),
    "text": (
        edge.TextIndexParams,
        (
            *("tokenizer", "min_token_len", "max_token_len", "lowercase"),
            *("ascii_folding", "phrase_matching", *_COMMON),
        ),
    ),
    "bool": (edge.BoolIndexParams, _COMMON),
    "datetime": (edge.DatetimeIndexParams, ("is_principal", *_COMMON)),
    "uuid": (edge.UuidIndexParams, ("is_tenant", *_COMMON)),
}
_TOKENIZERS = {
    name.lower(): getattr(edge.TokenizerType, name)
    for name in ("Prefix", "Whitespace", "Word", "Multilingual")
}


def index_of(body: object) -> tuple[Config, Any]:
    """Read ``field_schema``: a type's name, or an object with ``type`` and parameters.

    Returns:
        What to show for it, and the engine's parameters.

    Raises:
        BadInputError: It says nothing or too much.
        NotImplementedHereError: Its type or a parameter is not implemented.
    """
    if body is None:
        raise NotImplementedHereError("an index without `field_schema` is not implemented")
    fields = Fields({"type": body} if isinstance(body, str) else body, "field_schema")
    kind, names = named(_TYPES, fields.need("type"), "type")
    shown = {"type": body if isinstance(body, str) else body["type"]}  # type: ignore[index]
    fields.refuse("memory", "nested", "prefix", "stopwords", "stemmer", "scoring")
    given = fields.only(*names)
    shown |= given
    if "tokenizer" in given:
        given["tokenizer"] = named(_TOKENIZERS, given["tokenizer"], "tokenizer")
    try:
        return shown, kind(**given)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"not an index: {error}") from error
