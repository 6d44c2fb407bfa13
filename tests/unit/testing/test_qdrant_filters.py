"""A filter is read whole or refused."""

from typing import Any

import pytest

from vecferry.testing.qdrant_server.filters import filter_of
from vecferry.testing.qdrant_server.refusals import BadInputError, RefusalError

UUID = "936da01f-9abd-4d9d-80c7-02af85c822a8"

GOOD: list[dict[str, Any]] = [
    {},
    {"must": {"key": "a", "match": {"value": "x"}}},
    {"should": [{"key": "a", "match": {"any": [1, 2]}}, {"has_id": [1, UUID]}]},
    {"must_not": [{"key": "a", "range": {"gt": 1, "lte": 2.5}}]},
    {"must": [{"key": "a", "range": {"gte": "2026-01-01T00:00:00Z"}}]},
    {"min_should": {"conditions": [{"is_null": {"key": "a"}}], "min_count": 1}},
    {"must": [{"nested": {"key": "a", "filter": {"must": [{"is_empty": {"key": "b"}}]}}}]},
    {"must": [{"slice": {"total": 4, "index": 3}}, {"has_vector": "v"}]},
    {"must": [{"must": [{"key": "a", "values_count": {"gte": 1}}]}]},
]
BAD: list[tuple[Any, str]] = [
    ([], "must be an object"),
    ({"mast": []}, "unknown field `mast`"),
    ({"must": [{}]}, "one condition"),
    ({"must": [{"key": "a"}]}, "says nothing"),
    ({"must": [{"key": "a", "match": {}}]}, "match takes one"),
    ({"must": [{"key": "a", "match": {"value": 1, "text": "x"}}]}, "match takes one"),
    ({"must": [{"key": "a", "match": {"like": "x"}}]}, "unknown field `like`"),
    ({"must": [{"key": "a", "match": {"value": [1]}}]}, "not a filter|Match"),
    ({"must": [{"key": "a", "range": {"gte": 1, "lt": "2026-01-01"}}]}, "numbers or of dates"),
    ({"must": [{"key": "a", "range": {"ge": 1}}]}, "unknown field `ge`"),
    ({"must": [{"key": "a", "near": {}}]}, "unknown field `near`"),
    ({"must": [{"has_id": [-1]}]}, "not a valid point ID"),
    ({"must": [{"has_id": ["x"]}]}, "not a valid point ID"),
    ({"must": [{"has_id": 1}]}, "must be a list"),
    ({"must": [{"has_id": [1], "is_null": {"key": "a"}}]}, "cannot combine"),
    ({"must": [{"slice": {"total": 2, "index": 2}}]}, "does not exist"),
    ({"must": [{"nested": {"key": "a"}}]}, "missing field `filter`"),
]


@pytest.mark.parametrize("body", GOOD, ids=str)
def test_a_filter_that_is_known_is_read(body: dict[str, Any]) -> None:
    assert filter_of(body) is not None


def test_no_filter_stays_none() -> None:
    assert filter_of(None) is None


@pytest.mark.parametrize(("body", "reason"), BAD, ids=lambda one: str(one)[:50])
def test_a_filter_with_anything_unknown_in_it_is_refused(body: Any, reason: str) -> None:
    with pytest.raises(RefusalError, match=reason) as caught:
        filter_of(body)
    assert isinstance(caught.value, BadInputError)
