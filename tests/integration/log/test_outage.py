import threading
from collections.abc import Iterator

import pytest

from vecferry.errors import UnknownOutcome
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.intake import Committed, Intake
from vecferry.log.members import Member
from vecferry.log.publish import Publisher
from vecferry.log.topics import create_topics
from vecferry.testing import kafka
from vecferry.testing.kafka import KafkaServer
from vecferry.testing.logs import log_at
from vecferry.testing.waiting import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def server() -> Iterator[KafkaServer]:
    reason = kafka.missing()
    if reason is not None:
        pytest.skip(reason)
    with KafkaServer() as server:
        yield server


def test_everything_rides_out_a_broker_that_is_away(server: KafkaServer) -> None:
    # the session is longer than the outage, else the group would begin anew from its commit
    log = log_at(server.bootstrap_servers, session_timeout_s=60.0)
    create_topics(log.connection, log.topics, log.settings)
    publisher = Publisher(log.connection)
    control = Control(log.connection, log.topics, SingleObjectCodec())
    member = Member(control, "apply", 0.2)
    taken: dict[int, list[int]] = {}

    def assigned(partitions: list[int]) -> None:
        taken.update((partition, []) for partition in partitions)

    intake = Intake(
        log.connection,
        log.topics.events,
        log.topics.group("apply"),
        assigned=assigned,
        revoked=lambda partitions: None,
        lost=lambda partitions: None,
    )

    def read() -> int:
        for record in intake.poll(100, 0.2):
            taken[record.partition].append(record.offset)
        return sum(len(offsets) for offsets in taken.values())

    for number in range(30):
        publisher.publish(log.topics.events, b"before", partition=number % 3)
    publisher.flush()
    wait_until(lambda: read() == 30)

    server.stop()
    for number in range(30):
        publisher.publish(log.topics.events, b"during", partition=number % 3)
    with pytest.raises(UnknownOutcome, match="30 records are not acknowledged"):
        publisher.flush(2.0)
    assert read() == 30
    claims: list[int] = []
    thread = threading.Thread(target=lambda: claims.append(control.append("claim", "x", {})))
    thread.start()
    server.start()

    publisher.flush()
    thread.join(60)
    control.read_to_end()
    assert [control.latest("claim")["x"].offset] == claims
    wait_until(lambda: read() == 60, 200.0)
    assert taken == {p: list(range(20)) for p in range(3)}  # none lost, none twice, in order
    intake.commit({0: Committed(20)})
    beats = member._beats
    wait_until(lambda: member._beats > beats)
    assert member.alive(member.name)
    intake.close()
    member.close()
    control.close()
    publisher.close()
