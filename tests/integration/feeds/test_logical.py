"""The source's own log of changes: PostgreSQL's, read through a replication slot."""

import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest

from vecferry.errors import ConfigError
from vecferry.model import Key, key_bytes
from vecferry.producers.feeds.logical import LogicalFeed
from vecferry.producers.feeds.teller import Teller
from vecferry.producers.passes import rescans
from vecferry.settings import StoreSettings, parse_settings
from vecferry.stores.pgvector import PgvectorStore, connect
from vecferry.stores.pgvector import changes as slots
from vecferry.testing import engines
from vecferry.testing.captured import Captured
from vecferry.testing.logs import fresh_log
from vecferry.testing.tables import run


@pytest.fixture
def database() -> Iterator[str]:
    """A database of one test: a slot keeps the log of one database."""
    url, name = engines.pgvector(), f"log_{uuid.uuid4().hex[:12]}"
    run(url, f"CREATE DATABASE {name}")
    own = f"{url.rpartition('/')[0]}/{name}"
    run(own, "CREATE EXTENSION vector")
    yield own
    for row in run(
        own, "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
    ):
        run(own, f"SELECT pg_drop_replication_slot('{row[0]}')")
    run(url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def captured(database: str) -> Iterator[Captured]:
    log = fresh_log("embedded")
    document = {
        "name": log.topics.migration,
        "source": {"type": "pgvector", "url": database},
        "target": {"type": "memory", "url": "memory://never"},
        "collections": [{"source": "docs"}],
        "log": {"partitions": log.settings.partitions},
        "capture": {"request_max_s": 2.0, "intent_max_s": 2.0, "vanished_max": 5},
        "feed": {"type": "logical", "every_s": 0.1},
    }
    made = Captured(log, parse_settings(cast("Any", document), {}))
    yield made
    made.close()
    made.store.close()


def test_a_source_s_own_log_is_followed(captured: Captured, database: str) -> None:
    feed = Turns(captured)
    feed.turn()  # the slot is there before the first write
    captured.put(*range(50), n=0)
    with captured.capturing(), captured.feeding():
        captured.await_equal()
        captured.put(1, "new", n=1)
        captured.delete(*range(10, 30))  # more than the brake allows, and each a known delete
        run(database, "UPDATE docs SET _vf_key = 'i777' WHERE _vf_key = 'i5'")
        captured.await_equal()


class Turns:
    """The feed, turn by turn; keeps what it hinted."""

    def __init__(self, captured: Captured) -> None:
        import threading

        self.captured = captured
        self.told: dict[bytes, str] = {}
        self.fails = False
        teller = Teller(self, threading.Event())
        self.feed = LogicalFeed(
            captured.settings.name, captured.store, captured.control, teller, threading.Event()
        )

    def append(
        self, kind: Any, keys: Any, *, request: str, verb: str = "unknown"
    ) -> dict[int, int]:
        if self.fails:
            raise ConfigError("the process dies here")
        self.told |= dict.fromkeys(keys, verb)
        return {}

    def turn(self) -> dict[int, str]:
        """Take one turn; return the verbs by id."""
        self.told.clear()
        self.feed.turn(["docs"])
        known = {key_bytes(Key("docs", "", one)): one for one in range(10_000)}
        return {known[key]: verb for key, verb in self.told.items()}

    def rescans(self) -> list[str]:
        self.captured.control.read_to_end()
        return [one.reason for one in rescans(self.captured.control)]


def test_keys_come_again_until_their_hints_are_durable(captured: Captured) -> None:
    feed = Turns(captured)
    assert feed.turn() == {}
    captured.put(1, 2, n=0)
    captured.delete(2)
    feed.fails = True
    with pytest.raises(ConfigError):
        feed.turn()
    feed.fails = False
    assert feed.turn() == {1: "unknown", 2: "delete"}
    assert feed.turn() == {}
    captured.put(1, n=1)
    assert Turns(captured).turn() == {1: "unknown"}


def test_a_log_that_is_new_or_was_lost_has_what_came_before_read_again(
    captured: Captured, database: str
) -> None:
    feed = Turns(captured)
    feed.turn()
    assert feed.rescans() == [], "nothing was read before it began"
    captured.control.append("chunks", "docs/1", {"collection": "docs", "bounds": []})
    feed.turn()
    assert feed.rescans() == []
    slot = slots.slot_name(captured.settings.name)
    run(database, f"SELECT pg_drop_replication_slot('{slot}')")
    captured.put(1, n=0)
    assert feed.turn() == {}
    assert ["new" in reason for reason in feed.rescans()] == [True]
    captured.put(2, n=0)
    assert feed.turn() == {2: "unknown"}


def test_a_feed_that_died_before_its_rescan_was_on_record_asks_for_it_later(
    captured: Captured,
) -> None:
    captured.control.append("chunks", "docs/1", {"collection": "docs", "bounds": []})
    captured.store.keep_changes(captured.settings.name, ["docs"])  # and there it ended
    feed = Turns(captured)
    feed.turn()
    assert len(feed.rescans()) == 1


def test_a_truncated_table_and_a_huge_transaction_are_read_again(
    captured: Captured, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Turns(captured)
    feed.turn()
    captured.put(1, 2, n=0)
    run(database, "TRUNCATE docs")
    assert feed.turn() == {}
    assert len(feed.rescans()) == 1
    monkeypatch.setattr(slots, "_KEYS_MAX", 10)
    captured.put(*range(11), n=0)
    assert feed.turn() == {}
    captured.put(*range(10), n=0)
    assert len(feed.turn()) == 10


def test_only_keys_are_in_what_is_published(captured: Captured, database: str) -> None:
    if int(run(database, "SHOW server_version_num")[0][0]) < 150_000:
        pytest.skip("this server publishes whole rows")
    Turns(captured).turn()
    captured.put(1, n="a payload that stays at home")
    slot = slots.slot_name(captured.settings.name)
    rows = run(
        database,
        f"SELECT data FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, "
        f"'proto_version', '1', 'publication_names', '{slot}')",
    )
    sent = b"".join(row["data"] for row in rows)
    assert b"i1" in sent
    assert b"payload" not in sent


@pytest.fixture
def store(database: str) -> Iterator[PgvectorStore]:
    opened = connect(StoreSettings(type="pgvector", url=database))
    yield opened
    opened.close()


@pytest.mark.parametrize("full", [False, True])
def test_a_table_of_the_user_s_own_is_followed_with_any_identity_that_names_its_rows(
    store: PgvectorStore, database: str, full: bool
) -> None:
    run(database, "CREATE TABLE docs (k uuid PRIMARY KEY, embedding vector(3), n int)")
    if full:
        run(database, "ALTER TABLE docs REPLICA IDENTITY FULL")
    store.keep_changes("m", ["docs"])
    assert store.keeps_changes("m", ["docs"])
    assert not store.keeps_changes("other", ["docs"])
    one, two, three = (uuid.UUID(int=n) for n in (1, 2, 3))
    run(
        database,
        f"INSERT INTO docs (k) VALUES ('{one}'), ('{two}'), ('{three}')",
        f"UPDATE docs SET n = 5 WHERE k = '{one}'",
        f"DELETE FROM docs WHERE k = '{two}'",
    )
    found = store.changes("m", ["docs"], 100)
    assert set(found.written) == {Key("docs", "", one), Key("docs", "", three)}
    assert found.deleted == (Key("docs", "", two),)
    assert store.changes("m", ["docs"], 100) == found
    store.forget_changes("m", found.position)
    assert store.changes("m", ["docs"], 100).position in ("", found.position)
    store.drop_changes("m")
    store.drop_changes("m")
    assert not store.keeps_changes("m", ["docs"])


def test_a_table_whose_log_names_no_row_is_refused_before_it_is_published(
    store: PgvectorStore, database: str
) -> None:
    run(
        database,
        "CREATE TABLE docs (k int PRIMARY KEY, embedding vector(3))",
        "ALTER TABLE docs REPLICA IDENTITY NOTHING",
    )
    with pytest.raises(ConfigError, match="REPLICA IDENTITY DEFAULT"):
        store.keep_changes("m", ["docs"])
    run(database, "INSERT INTO docs (k) VALUES (1)", "DELETE FROM docs")


def test_a_hashed_id_is_known_only_where_the_whole_row_is_logged(
    store: PgvectorStore, database: str
) -> None:
    run(database, "CREATE TABLE docs (id uuid PRIMARY KEY, _vf_id text, embedding vector(3))")
    with pytest.raises(ConfigError, match="REPLICA IDENTITY FULL"):
        store.keep_changes("m", ["docs"])


def test_a_source_without_a_log_of_its_own_says_so(captured: Captured) -> None:
    from types import SimpleNamespace

    other: Any = SimpleNamespace()
    with pytest.raises(ConfigError, match="logical"):
        LogicalFeed("m", other, captured.control, cast("Any", None), cast("Any", None))
