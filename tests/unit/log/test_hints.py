"""Hints go to the partitions of their keys, and are durable when ``append`` returns."""

import threading

import pytest

from vecferry.errors import HaltError, UnknownOutcome
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.hints import HintWriter
from vecferry.log.names import Topics
from vecferry.log.partition import partition_of
from vecferry.model import Key, key_bytes
from vecferry.record import HintKind

CODEC = SingleObjectCodec()
TOPICS = Topics("docs")
KEYS = [key_bytes(Key("docs", "", number)) for number in range(1000)]


class Recorder:
    """A publisher that keeps its records and acknowledges them when it is polled."""

    def __init__(self, *, acknowledges=True):
        self.records = []
        self.failed = None
        self._acknowledges = acknowledges
        self._waiting = []
        self._lock = threading.Lock()

    def publish(self, topic, value, *, key=None, partition, acked=None):
        with self._lock:
            self.records.append((topic, key, partition, value))
            if acked is not None:
                self._waiting.append(acked)

    def poll(self):
        if self.failed is not None:
            raise self.failed
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for acked in waiting if self._acknowledges else ():
            acked(0)

    def hints(self):
        return [(partition, CODEC.decode_hint(value)) for _, _, partition, value in self.records]


@pytest.fixture
def publisher():
    return Recorder()


@pytest.fixture
def writer(publisher):
    return HintWriter(publisher, CODEC, TOPICS, 6)


def test_a_bulk_write_is_one_record_for_each_partition_with_exactly_its_keys(publisher, writer):
    writer.append(HintKind.INTENT, KEYS, request="r1", verb="upsert", position="17")
    hints = publisher.hints()
    assert sorted(partition for partition, _ in hints) == list(range(6))
    for partition, hint in hints:
        assert hint.keys == tuple(key for key in KEYS if partition_of(key, 6) == partition)
        assert (hint.kind, hint.request, hint.verb) == (HintKind.INTENT, "r1", "upsert")
        assert hint.position == "17"
        assert hint.at_ms > 0
    assert {(topic, key) for topic, key, _, _ in publisher.records} == {(TOPICS.hints, None)}


def test_a_repeated_key_is_written_once_and_no_keys_are_no_record(publisher, writer):
    writer.append(HintKind.DONE, [KEYS[0], KEYS[0]], request="r1")
    writer.append(HintKind.DONE, [], request="r2")
    assert [hint.keys for _, hint in publisher.hints()] == [(KEYS[0],)]


def test_append_returns_only_when_every_record_is_acknowledged():
    publisher = Recorder(acknowledges=False)
    writer = HintWriter(publisher, CODEC, TOPICS, 6, timeout_s=0.05)
    with pytest.raises(UnknownOutcome, match="'r1': 6 of 6 records were not acknowledged"):
        writer.append(HintKind.INTENT, KEYS, request="r1")


def test_a_failed_publisher_stops_the_wait(publisher, writer):
    publisher.failed = HaltError("a record was not delivered")
    with pytest.raises(HaltError):
        writer.append(HintKind.INTENT, KEYS, request="r1")


def test_too_many_keys_for_one_record_are_several_and_none_is_lost(publisher, writer):
    keys = [key_bytes(Key("docs", "", f"{number:08}" + "x" * 2000)) for number in range(2000)]
    writer.append(HintKind.INTENT, keys, request="r1")
    assert len(publisher.records) > 6
    assert max(len(value) for *_, value in publisher.records) < 1_000_000
    found = [key for _, hint in publisher.hints() for key in hint.keys]
    assert sorted(found) == sorted(keys)
    for partition, hint in publisher.hints():
        assert {partition_of(key, 6) for key in hint.keys} == {partition}


def test_one_key_larger_than_a_record_should_be_is_still_written(publisher, writer):
    key = key_bytes(Key("docs", "", "x" * 600_000))
    writer.append(HintKind.INTENT, [key, KEYS[0]], request="r1")
    assert sorted(k for _, hint in publisher.hints() for k in hint.keys) == sorted([key, KEYS[0]])


@pytest.mark.parametrize("kind", [HintKind.FILTER_INTENT, HintKind.FILTER_DONE])
def test_a_filters_begin_and_end_reach_every_partition_though_no_key_is_known(
    publisher, writer, kind
):
    writer.append_filter(kind, [], request="r1", verb="delete", scope="docs")
    assert sorted(partition for partition, _ in publisher.hints()) == list(range(6))
    assert {(hint.kind, hint.keys, hint.scope) for _, hint in publisher.hints()} == {
        (kind, (), "docs")
    }


def test_the_keys_that_a_filter_found_go_where_they_belong(publisher, writer):
    writer.append_filter(HintKind.FILTER_KEYS, KEYS[:2], request="r1", scope="docs")
    assert {(partition, key) for partition, hint in publisher.hints() for key in hint.keys} == {
        (partition_of(key, 6), key) for key in KEYS[:2]
    }


def test_a_beat_is_one_record_for_each_partition_and_is_not_waited_for():
    publisher = Recorder(acknowledges=False)
    HintWriter(publisher, CODEC, TOPICS, 3, timeout_s=0.01).beat(12, "token")
    assert [(p, h.kind, h.number, h.token) for p, h in publisher.hints()] == [
        (partition, HintKind.BEAT, 12, "token") for partition in range(3)
    ]


def test_threads_share_a_writer_and_each_waits_for_its_own(publisher, writer):
    failures = []

    def work(name):
        try:
            for turn in range(20):
                writer.append(HintKind.INTENT, KEYS[:50], request=f"{name}/{turn}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({hint.request for _, hint in publisher.hints()}) == 60
