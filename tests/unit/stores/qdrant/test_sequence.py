from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.errors import ConfigError
from vecferry.ports import Bounds
from vecferry.stores.qdrant.sequence import cut, following, place, read_edge

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDS = st.integers(0, 2**64 - 1) | st.uuids()
LAST = UUID(int=2**128 - 1)


def inside(identifier, bounds: Bounds) -> bool:
    low, high = read_edge(bounds.low), read_edge(bounds.high)
    after = low is None or place(low) <= place(identifier)
    return after and (high is None or place(identifier) < place(high))


@SETTINGS
@given(st.lists(IDS, max_size=40), st.integers(1, 12), IDS)
def test_every_id_that_will_ever_be_is_in_exactly_one_part(sample, parts, later):
    bounds = cut(sample, parts)
    for identifier in [*sample, later, 0, 2**64 - 1, UUID(int=0), LAST]:
        assert sum(inside(identifier, part) for part in bounds) == 1


@SETTINGS
@given(st.sets(IDS, min_size=1, max_size=60), st.integers(1, 8))
def test_parts_are_of_about_equal_shares(sample, parts):
    sizes = [sum(inside(one, part) for one in sample) for part in cut(list(sample), parts)]
    assert max(sizes) <= len(sample) // parts + 1


def test_an_empty_sample_gives_one_part():
    assert cut([], 5) == [Bounds()]


def test_integers_come_before_uuids():
    assert place(2**64 - 1) < place(UUID(int=0))


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [(0, 1), (2**64 - 1, UUID(int=0)), (UUID(int=4), UUID(int=5)), (LAST, None)],
)
def test_the_following_id_leaves_none_out(identifier, expected):
    assert following(identifier) == expected


@pytest.mark.parametrize("text", ["", "x5", "s5", "u5", "5"])
def test_bounds_of_another_store_are_refused(text):
    with pytest.raises(ConfigError, match="not a bound"):
        read_edge(text)
