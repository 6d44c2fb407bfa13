import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from confluent_kafka import TopicPartition

from vecferry.errors import VecferryError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.embedded import EmbeddedBroker
from vecferry.log.members import Member
from vecferry.log.publish import Publisher
from vecferry.log.topics import Topics, create_topics
from vecferry.testing.logs import Log, log_at
from vecferry.testing.waiting import wait_until

Opened = Callable[[Log], Control]


@pytest.fixture
def opened() -> Iterator[Opened]:
    with ExitStack() as stack:

        def opened(log: Log) -> Control:
            control = Control(log.connection, log.topics, SingleObjectCodec())
            stack.callback(control.close)
            return control

        yield opened


def test_what_one_process_wrote_another_has_read_after_read_to_end(
    log: Log, opened: Opened
) -> None:
    writer, reader = opened(log), opened(log)
    for number in range(20):
        offset = writer.append("claim", f"events/{number}", {"worker": "a"})
        reader.read_to_end()
        record = reader.latest("claim")[f"events/{number}"]
        assert (record.offset, record.body) == (offset, {"worker": "a"})


def test_a_newcomer_reads_all_that_was_written_before_it(log: Log, opened: Opened) -> None:
    first = opened(log)
    for number in range(50):
        first.append("certificate", f"docs/{number}", {"rows": number})
    newcomer = opened(log)
    newcomer.read_to_end()
    assert newcomer.history("certificate") == sorted(
        newcomer.latest("certificate").values(), key=lambda record: record.offset
    )
    assert [record.body["rows"] for record in newcomer.history("certificate")] == list(range(50))
    assert newcomer.history("nothing of this kind") == []


def test_what_a_migration_has_on_record_is_no_other_migrations(log: Log, opened: Opened) -> None:
    beside = Log(log.connection, Topics(f"{log.topics.migration}-2"), log.settings)
    create_topics(beside.connection, beside.topics, beside.settings)
    ours, theirs = opened(log), opened(beside)
    kept = ours.append("certificate", "docs/0", {"rows": 7})
    theirs.append("certificate", "docs/0", {"rows": 0})
    theirs.append("certificate", "docs/1", {"rows": 1})
    ours.read_to_end()
    (record,) = ours.history("certificate")
    assert (record.offset, record.body) == (kept, {"rows": 7})


def test_a_record_replaces_its_name_within_its_term_and_never_in_a_higher_one(
    log: Log, opened: Opened
) -> None:
    control = opened(log)
    control.append("route", "docs", {"to": "target"}, term=7)
    control.append("route", "docs", {"to": "source"}, term=7)
    control.append("route", "docs", {"to": "stale"}, term=3)
    control.append("route", "other", {"to": "x"})
    control.read_to_end()
    assert {name: record.body["to"] for name, record in control.latest("route").items()} == {
        "docs": "source",
        "other": "x",
    }
    assert [record.body["to"] for record in control.history("route")] == ["source", "stale", "x"]


def test_the_key_holds_the_term_so_that_compaction_keeps_every_term(
    log: Log, opened: Opened
) -> None:
    offset = opened(log).append("route", "docs/1", {}, term=12)
    consumer = log.connection.consumer("reads-raw")
    consumer.assign([TopicPartition(log.topics.control, 0, offset)])
    found = consumer.poll(60)
    assert found is not None
    assert found.key() == b"route/12/docs/1"
    consumer.close()


def test_a_waiter_hears_of_a_change_that_came_before_it_waited(log: Log, opened: Opened) -> None:
    writer, watcher = opened(log), opened(log)
    watcher.read_to_end()
    seen = watcher.changes
    watcher.wait_change(0.0)
    writer.append("pause", "all", {"paused": True})
    watcher.wait_change(60.0, since=seen)
    assert watcher.latest("pause")["all"].body == {"paused": True}


def test_a_record_that_cannot_be_read_ends_the_tail_and_says_so(log: Log, opened: Opened) -> None:
    control = opened(log)
    control.append("pause", "all", {})
    publisher = Publisher(log.connection)
    publisher.publish_acked(log.topics.control, b"not a record", key=b"k", partition=0)
    publisher.close()
    with pytest.raises(VecferryError, match=r"the tail of .*control has ended"):
        control.read_through(10, timeout_s=60)
    for call in (
        lambda: control.latest("pause"),
        lambda: control.append("pause", "all", {}),
        lambda: control.wait_change(0.0),
        control.read_to_end,
    ):
        with pytest.raises(VecferryError, match="has ended"):
            call()


def test_members_see_each_other_and_who_left(log: Log, opened: Opened) -> None:
    here, there = opened(log), opened(log)
    one = Member(here, "apply", 0.1)
    other = Member(there, "snapshot", 0.1)
    assert one.name.startswith("apply/")
    here.read_to_end()
    assert one.alive(one.name)
    assert one.alive(other.name)
    assert not one.alive("apply/nobody")
    body = here.latest("process")[other.name].body
    assert (body["role"], body["pid"]) == ("snapshot", os.getpid())
    other.close()
    here.read_to_end()
    assert not one.alive(other.name)
    assert here.latest("process")[other.name].body["left"] is True
    one.close()


def test_a_silent_member_is_dead_after_a_while_and_a_beating_one_is_not(
    log: Log, opened: Opened
) -> None:
    control = opened(log)
    observer, steady = Member(control, "check", 0.1), Member(control, "apply", 0.1)
    silent = Member(control, "apply", 0.1)
    assert observer.alive(silent.name)
    silent._leaving.set()  # as if it had been killed: no word of leaving
    wait_until(lambda: not observer.alive(silent.name))
    assert observer.alive(steady.name)
    steady.close()
    observer.close()


def test_nobody_looks_dead_because_the_broker_was_away() -> None:
    with EmbeddedBroker() as broker:
        log = log_at(broker.bootstrap_servers, embedded=True)
        create_topics(log.connection, log.topics, log.settings)
        control = Control(log.connection, log.topics, SingleObjectCodec())
        observer, other = Member(control, "check", 0.05), Member(control, "apply", 0.05)
        verdicts: list[bool] = []
        done = threading.Event()

        def observe() -> None:
            while not done.wait(0.01):
                verdicts.append(observer.alive(other.name))

        thread = threading.Thread(target=observe)
        thread.start()
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            # many times longer than a silence that would count, were the log there
            wait_until(lambda: len(verdicts) > 200)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        control.read_to_end()
        wait_until(lambda: bool(control.latest("process")[other.name].body.get("beat")))
        done.set()
        thread.join()
        assert all(verdicts)
        other.close()
        observer.close()
        control.close()
