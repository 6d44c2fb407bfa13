"""Topics and groups of two migrations have nothing in common, whatever their names."""

import itertools

import pytest

from vecferry.errors import ConfigError
from vecferry.log.names import Topics
from vecferry.settings import parse_settings

NAMES = ("docs", "docs-2", "docs_", "Docs", "forward", "docs-forward", "control", "d")


def owned(migration: str) -> set[str]:
    both = (Topics(migration, direction) for direction in ("forward", "reverse"))
    return {
        name
        for topics in both
        for name in (
            *(topics.hints, topics.events, topics.dead, topics.control),
            *(topics.group("capture"), topics.group("apply")),
        )
    }


def test_no_two_migrations_share_a_topic_or_a_group() -> None:
    for one, other in itertools.combinations(NAMES, 2):
        assert not owned(one) & owned(other), (one, other)


@pytest.mark.parametrize("name", ["docs.forward", "docs.control", ".docs", "", "a/b", "d" * 64])
def test_a_name_cannot_reach_into_another_migration(name: str) -> None:
    document = {
        "name": name,
        "source": {"type": "memory"},
        "target": {"type": "memory"},
        "collections": [{"source": "docs"}],
    }
    with pytest.raises(ConfigError, match="name"):
        parse_settings(document, {})
    parse_settings(document | {"name": "docs"}, {})
