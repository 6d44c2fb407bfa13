import asyncio

import pytest

from vecferry.producers.feeds.proxy.aliases import Destination, find_destination, find_scope
from vecferry.producers.feeds.proxy.refusals import RefusalError, Why

MOVED = frozenset({"docs"})


class Look:
    def __init__(self) -> None:
        self.asked = 0

    async def aliases(self) -> dict[str, str]:
        self.asked += 1
        return {"now": "docs", "then": "other"}

    async def collections(self) -> frozenset[str]:
        self.asked += 1
        return frozenset({"docs", "other"})


def test_a_name_that_moves_is_not_looked_up() -> None:
    look = Look()
    assert asyncio.run(find_destination("docs", MOVED, look)) == Destination("docs", True)
    assert look.asked == 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("now", Destination("docs", True, True)),
        ("then", Destination("other", False, True)),
        ("other", Destination("other", False)),
    ],
)
def test_another_name_is_looked_up(name: str, found: Destination) -> None:
    assert asyncio.run(find_destination(name, MOVED, Look())) == found


def test_a_name_that_these_credentials_do_not_see_is_refused_because_it_may_be_an_alias() -> None:
    with pytest.raises(RefusalError) as refused:
        asyncio.run(find_destination("secret", MOVED, Look()))
    assert refused.value.why is Why.NOT_FOUND


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("docs", Destination("docs", True)),
        ("now", Destination("docs", True)),
        ("gone", Destination("gone", False)),
    ],
)
def test_what_concerns_a_whole_collection_keeps_the_name_that_it_used(
    name: str, found: Destination
) -> None:
    assert asyncio.run(find_scope(name, MOVED, Look())) == found
