import os
import signal
import threading
from typing import Any

import pytest

from vecferry.errors import HaltError, RecordError, UnknownOutcome
from vecferry.log.embedded import EmbeddedBroker
from vecferry.log.publish import Publisher
from vecferry.log.topics import create_topics
from vecferry.testing.logs import Log, fresh_log, log_at
from vecferry.testing.waiting import wait_until


def test_acknowledged_records_lie_in_the_order_in_which_they_were_given(log: Log) -> None:
    publisher, got = Publisher(log.connection), list[tuple[int, int]]()
    for number in range(300):
        publisher.publish(
            log.topics.events,
            b"%d" % number,
            partition=number % 3,
            acked=lambda offset, number=number: got.append((number, offset)),  # type: ignore[misc]
        )
    publisher.flush()
    assert sorted(got) == [(number, number // 3) for number in range(300)]
    assert publisher.in_flight == 0
    assert publisher.publish_acked(log.topics.events, b"last", key=b"k", partition=0) == 100
    publisher.close()


def test_a_record_that_is_too_large_is_refused_at_once_and_those_around_it_go_on(log: Log) -> None:
    publisher = Publisher(log.connection)
    publisher.publish(log.topics.events, b"before", partition=0)
    with pytest.raises(RecordError, match=r"16500000 bytes.*max\.message\.bytes.*\[log\.kafka\]"):
        publisher.publish(log.topics.events, bytes(16_500_000), partition=0)
    assert publisher.publish_acked(log.topics.events, b"after", partition=0) == 1
    publisher.close()


def test_the_limit_is_the_topics_own_where_it_is_lower(broker: Any) -> None:
    made = fresh_log(broker, kafka={"message.max.bytes": 50_000})
    roomier = log_at(
        made.connection.bootstrap_servers, embedded=made.connection.embedded
    ).connection
    publisher = Publisher(roomier)
    with pytest.raises(RecordError, match="60000 bytes"):
        publisher.publish(made.topics.events, bytes(60_000), partition=0)
    publisher.publish_acked(made.topics.events, bytes(40_000), partition=0)
    publisher.close()


@pytest.mark.kafka
def test_what_only_the_broker_refuses_is_an_error_of_its_record_or_stops_the_publisher() -> None:
    made = fresh_log("kafka", kafka={"message.max.bytes": 50_000})
    publisher = Publisher(log_at(made.connection.bootstrap_servers).connection)
    publisher._bytes_max[made.topics.events] = 1_000_000  # as if its settings could not be read
    with pytest.raises(RecordError, match=r"60000 bytes.*Raise"):
        publisher.publish_acked(made.topics.events, bytes(60_000), partition=0)
    publisher.publish(made.topics.events, bytes(60_000), partition=0)
    with pytest.raises(HaltError, match="not delivered"):
        publisher.flush()
    with pytest.raises(HaltError, match="not delivered"):
        publisher.publish(made.topics.events, b"x", partition=0)
    with pytest.raises(HaltError, match="not delivered"):
        publisher.close()


def test_a_publisher_waits_while_too_much_is_in_flight_and_goes_on() -> None:
    with EmbeddedBroker() as broker:
        log = log_at(broker.bootstrap_servers, embedded=True)
        create_topics(log.connection, log.topics, log.settings)
        publisher, sent = Publisher(log.connection, in_flight_bytes_max=1_000_000), list[int]()
        publisher.publish_acked(log.topics.events, b"first", partition=0)

        def fill() -> None:
            for number in range(100):
                publisher.publish(log.topics.events, bytes(50_000), partition=0)
                sent.append(number)

        thread = threading.Thread(target=fill)
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            thread.start()
            wait_until(lambda: len(sent) >= 15)
            thread.join(0.5)
            # 20 of them fit
            assert len(sent) <= 25
            assert thread.is_alive()
            with pytest.raises(UnknownOutcome, match="not acknowledged"):
                publisher.flush(0.2)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        thread.join(60)
        publisher.flush()
        assert publisher.publish_acked(log.topics.events, b"last", partition=0) == 101
        publisher.close()
