"""What each role needs, and what no feed sees."""

from pathlib import Path

import pytest

import vecferry
from vecferry.log.names import Topics
from vecferry.mapping.access import (
    ROLES,
    acl_lines,
    database_rights,
    kafka_grants,
    missing_rights,
    sight_of,
)
from vecferry.model import Collection
from vecferry.stores import TYPES

TOPICS = Topics("m")


def operations(role: str, name: str) -> set[str]:
    return {
        each
        for grant in kafka_grants(TOPICS)
        if (grant.role, grant.name) == (role, name)
        for each in grant.operations
    }


def test_only_init_makes_topics_and_only_appliers_read_events() -> None:
    for role in ROLES:
        creates = any(
            "Create" in grant.operations for grant in kafka_grants(TOPICS) if grant.role == role
        )
        assert creates == (role == "init")
        assert {"Read", "Write"} <= operations(role, TOPICS.control), role
    readers = {role for role in ROLES if "Read" in operations(role, TOPICS.events)}
    assert readers == {"init", "apply", "operator"}
    writers = {role for role in ROLES if "Write" in operations(role, TOPICS.events)}
    assert writers == {"snapshot", "capture"}, "one log is written by producers alone"


def test_an_application_can_do_no_more_than_hint() -> None:
    assert operations("feed", TOPICS.events) == set()
    assert operations("feed", TOPICS.dead) == set()
    assert operations("feed", TOPICS.group("capture")) == {"Describe"}


def test_each_grant_is_a_line_for_kafka_acls() -> None:
    lines = list(acl_lines(kafka_grants(TOPICS), "k:9092", "User:vf-ROLE"))
    assert len(lines) == len(kafka_grants(TOPICS))
    assert (
        "kafka-acls --bootstrap-server k:9092 --add --allow-principal User:vf-apply "
        "--operation Describe --operation Read --group vecferry.m.forward.apply"
    ) in lines
    assert any(
        line.endswith("--operation Create --operation DescribeConfigs --cluster") for line in lines
    )


def test_every_store_says_which_rights_it_needs() -> None:
    unknown = database_rights("my.adapter")
    for kind in TYPES:
        assert database_rights(kind) != unknown, kind


def test_rows_that_expire_are_told_with_a_way_on() -> None:
    options = {"milvus": {"properties": {"collection.ttl.seconds": "3600"}}}
    sight, warned = sight_of("milvus", [Collection("docs", (), options=options)])
    assert "wrapped client" in sight.feeds
    assert "3600" in warned[0]
    assert "vecferry rescan docs" in warned[0]
    assert sight_of("milvus", [Collection("docs", ())])[1] == ()


def test_what_a_client_lacks_is_told_by_role() -> None:
    everything = {"Describe", "DescribeConfigs", "Read", "Write", "Create"}
    grants = kafka_grants(TOPICS)
    allowed = {TOPICS.events: everything - {"Write", "Create"}, TOPICS.control: everything}
    lacking = missing_rights(grants, allowed)
    assert [(grant.role, grant.name, which) for grant, which in lacking] == [
        ("snapshot", TOPICS.events, ("Write",)),
        ("capture", TOPICS.events, ("Write",)),
    ]
    assert missing_rights(grants, {}) == []


@pytest.mark.parametrize("kind", TYPES)
def test_the_feeds_that_the_plan_lists_are_there(kind: str) -> None:
    feeds, _ = sight_of(kind, [])
    package = Path(vecferry.__file__).parent
    wrapper = package / "producers" / "feeds" / "clients" / f"{kind}.py"
    store = package / "stores" / kind / "store.py"
    assert "wrapped client" not in feeds.feeds or wrapper.exists()
    assert ("logical" in feeds.feeds) == (
        store.exists() and "def keeps_changes(" in store.read_text()
    )
