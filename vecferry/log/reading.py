"""Reading a whole topic, outside every group: for looking, not for working."""

import uuid
from collections.abc import Iterator

from confluent_kafka import KafkaError, TopicPartition

from vecferry.errors import ConfigError
from vecferry.log.connection import Connection
from vecferry.log.errors import translate
from vecferry.log.intake import Raw

_METADATA_S = 30.0


def read_topic(connection: Connection, topic: str) -> Iterator[Raw]:
    """Yield every record that a topic holds now, each partition in offset order.

    Raises:
        ConfigError: There is no such topic.
        TransientError: The broker does not answer.
    """
    admin = connection.require()
    found = admin.list_topics(timeout=_METADATA_S).topics.get(topic)
    if found is None or not found.partitions:
        raise ConfigError(f"the topic {topic} is not there: `vecferry init` makes it")
    consumer = connection.consumer(f"vecferry-look-{uuid.uuid4().hex}", enable_partition_eof=True)
    try:
        # the group is never joined and never committed to
        consumer.assign([TopicPartition(topic, partition, 0) for partition in found.partitions])
        unread = set(found.partitions)
        while unread:
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            if error is None:
                key, value = message.key(), message.value()
                at_ms = message.timestamp()[1]
                yield Raw(topic, message.partition(), message.offset(), key, value or b"", at_ms)
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                raise translate(error, f"reading {topic}")
    finally:
        consumer.close()
