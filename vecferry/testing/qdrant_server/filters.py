"""Filters: JSON to the engine's, refusing every condition that is not known."""

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge

from vecferry.testing.qdrant_server.fields import Fields, listed
from vecferry.testing.qdrant_server.refusals import BadInputError
from vecferry.testing.qdrant_server.values import point_id


def filter_of(body: object) -> Any:
    """Read a filter; None stays None.

    Raises:
        BadInputError: Something in it is unknown or wrong.
    """
    if body is None:
        return None
    fields = Fields(body, "a filter")
    must, should = fields.take("must"), fields.take("should")
    must_not, min_should = fields.take("must_not"), fields.take("min_should")
    fields.close()
    try:
        return edge.Filter(
            must=_conditions(must),
            should=_conditions(should),
            must_not=_conditions(must_not),
            min_should=None if min_should is None else _min_should(min_should),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(f"not a filter: {error}") from error


def _conditions(body: object) -> list[Any] | None:
    if body is None:
        return None
    return [condition(item) for item in (body if isinstance(body, list) else [body])]


def _min_should(body: object) -> Any:
    fields = Fields(body, "min_should")
    conditions, least = fields.need("conditions"), fields.need("min_count")
    fields.close()
    return edge.MinShould(_conditions(conditions) or [], least)


def condition(body: object) -> Any:
    """Read one condition of a filter."""
    if not isinstance(body, dict) or not body:
        raise BadInputError("a condition must be an object with one condition in it")
    special = _SPECIAL.keys() & body.keys()
    if "key" in body:
        return _field(body)
    if not special:
        return filter_of(body)
    if len(body) > 1:
        raise BadInputError(f"a condition cannot combine {', '.join(sorted(body))}")
    name = special.pop()
    return _SPECIAL[name](body[name])


def _keyed(kind: Any) -> Callable[[Any], Any]:
    def read(body: Any) -> Any:
        fields = Fields(body, "a condition")
        key = fields.need("key")
        fields.close()
        return kind(key)

    return read


def _nested(body: Any) -> Any:
    fields = Fields(body, "nested")
    key, inner = fields.need("key"), fields.need("filter")
    fields.close()
    return edge.NestedCondition(key, filter_of(inner))


def _slice(body: Any) -> Any:
    fields = Fields(body, "slice")
    total, index = fields.need("total"), fields.take("index", 0)
    fields.close()
    if not 0 <= index < total:
        raise BadInputError(f"slice {index} of {total} does not exist")
    return edge.SliceCondition(total, index)  # type: ignore[attr-defined]


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "has_id": lambda ids: edge.HasIdCondition({point_id(one) for one in listed(ids, "has_id")}),
    "is_empty": _keyed(edge.IsEmptyCondition),
    "is_null": _keyed(edge.IsNullCondition),
    "has_vector": edge.HasVectorCondition,
    "nested": _nested,
    "slice": _slice,
}


def _field(body: object) -> Any:
    fields = Fields(body, "a field condition")
    key = fields.need("key")
    readers: dict[str, Callable[[Any], Any]] = {
        "match": _match,
        "range": _range,
        "values_count": _values_count,
        "geo_bounding_box": _geo_box,
        "geo_radius": _geo_radius,
        "geo_polygon": _geo_polygon,
        "is_empty": bool,
        "is_null": bool,
    }
    found = {}
    for name, read in readers.items():
        value = fields.take(name)
        if value is not None:
            found[name] = read(value)
    fields.close()
    if not found:
        raise BadInputError(f"the condition on `{key}` says nothing")
    return edge.FieldCondition(key, **found)


_MATCHES: dict[str, Any] = {
    "value": edge.MatchValue,
    "any": edge.MatchAny,
    "except": edge.MatchExcept,
    "text": edge.MatchText,
    "text_any": edge.MatchTextAny,
    "phrase": edge.MatchPhrase,
    "prefix": edge.MatchPrefix,
    "substring": edge.MatchSubstring,
}


def _match(body: Any) -> Any:
    given = Fields(body, "match").only(*_MATCHES)
    if len(given) != 1:
        raise BadInputError(f"match takes one of {', '.join(_MATCHES)}")
    ((name, value),) = given.items()
    return _MATCHES[name](value)


_BOUNDS = ("gte", "gt", "lte", "lt")


def _range(body: Any) -> Any:
    bounds = Fields(body, "range").only(*_BOUNDS)
    dates = {isinstance(value, str) for value in bounds.values()}
    if len(dates) > 1:
        raise BadInputError("a range is of numbers or of dates")
    return edge.RangeDateTime(**bounds) if True in dates else edge.RangeFloat(**bounds)


def _values_count(body: Any) -> Any:
    return edge.ValuesCount(**Fields(body, "values_count").only(*_BOUNDS))


def geo_point(body: Any) -> Any:
    """Read ``{"lon", "lat"}``."""
    fields = Fields(body, "a geo point")
    lon, lat = fields.take("lon", 0.0), fields.take("lat", 0.0)
    fields.close()
    return edge.GeoPoint(lon, lat)


def _geo_box(body: Any) -> Any:
    fields = Fields(body, "geo_bounding_box")
    corners = geo_point(fields.need("top_left")), geo_point(fields.need("bottom_right"))
    fields.close()
    return edge.GeoBoundingBox(*corners)


def _geo_radius(body: Any) -> Any:
    fields = Fields(body, "geo_radius")
    center, radius = geo_point(fields.need("center")), fields.need("radius")
    fields.close()
    return edge.GeoRadius(center, radius)


def _geo_polygon(body: Any) -> Any:
    fields = Fields(body, "geo_polygon")
    exterior, interiors = _ring(fields.need("exterior")), fields.take("interiors", [])
    fields.close()
    return edge.GeoPolygon(exterior, [_ring(ring) for ring in interiors])


def _ring(body: Any) -> list[Any]:
    fields = Fields(body, "a line string")
    points = [geo_point(one) for one in listed(fields.need("points"), "points")]
    fields.close()
    return points
