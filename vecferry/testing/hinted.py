"""A prepared migration on a real Kafka, and what feeds wrote to its hints."""

import time

from confluent_kafka import TopicPartition

from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.record import Hint
from vecferry.testing.logs import Log, fresh_log


def prepared_log(*collections: str) -> Log:
    """Make a migration's topics, and say in ``control`` what moves: ``docs_<its name>`` by default."""
    log = fresh_log("kafka")
    prepare(log, *(collections or (f"docs_{log.topics.migration}",)))
    return log


def prepare(log: Log, *collections: str) -> None:
    """Say in ``control`` what moves."""
    control = Control(log.connection, log.topics, SingleObjectCodec())
    moves = [[name, name] for name in collections]
    body = {"collections": moves, "partitions": log.settings.partitions}
    control.append("migration", log.topics.migration, body)
    control.close()


def hints_of(log: Log) -> list[Hint]:
    """Return everything in the hints topic, a partition after the other."""
    consumer = log.connection.consumer(f"{log.topics.hints}.look", auto_offset_reset="earliest")
    parts = [TopicPartition(log.topics.hints, n, 0) for n in range(log.settings.partitions)]
    ends = [consumer.get_watermark_offsets(part, timeout=30)[1] for part in parts]
    consumer.assign(parts)
    found: list[tuple[int, int, Hint]] = []
    deadline = time.monotonic() + 60
    while len(found) < sum(ends):
        assert time.monotonic() < deadline, "the hints cannot be read"
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            hint = SingleObjectCodec().decode_hint(message.value())
            found.append((message.partition(), message.offset(), hint))
    consumer.close()
    return [hint for _, _, hint in sorted(found, key=lambda each: each[:2])]
