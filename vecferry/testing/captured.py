"""A migration whose source a test writes to, with a capture worker and the feed's role in threads."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TopicPartition

from vecferry.cli.feeding import run_feed
from vecferry.cli.roles import Shift
from vecferry.fold import Fold, coalesce
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.control import Control
from vecferry.log.members import Member
from vecferry.log.publish import Publisher
from vecferry.mapping.names import Mapping
from vecferry.model import Collection, Dense, Image, Key, VectorSpec, key_bytes
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Write
from vecferry.producers.capture import CaptureWorker
from vecferry.producers.event_log import EventLog
from vecferry.settings import Settings
from vecferry.stores import open_store
from vecferry.testing.logs import Log
from vecferry.testing.waiting import wait_until

REF = Ref("docs", "docs")
CODEC = SingleObjectCodec()


class Captured:
    """A source that is captured into a log.

    Attributes:
        log: The migration's.
        settings: Its settings.
        store: The source.
        vector: The name of its vector.
    """

    def __init__(self, log: Log, settings: Settings) -> None:
        """Make the source's collection, and the migration's record."""
        self.log, self.settings = log, settings
        self.store: Any = open_store(settings.source)
        self.store.version()
        self.vector = self.store.capabilities.unnamed_vector
        self.store.create(Collection("docs", (VectorSpec(self.vector, dim=1, metric="l2"),)))
        self.control = Control(log.connection, log.topics, CODEC)
        body = {"collections": [["docs", "docs"]], "partitions": log.settings.partitions}
        self.control.append("migration", log.topics.migration, body)
        self.control.read_to_end()
        topic, partitions = log.topics.events, range(log.settings.partitions)
        self._reader = log.connection.consumer(f"{topic}.look", auto_offset_reset="earliest")
        self._reader.assign([TopicPartition(topic, number, 0) for number in partitions])
        self._folds = [Fold(1_000_000) for _ in partitions]
        self._taken: list[list[Any]] = [[] for _ in partitions]

    def put(self, *ids: Any, **payload: Any) -> None:
        """Write points with this payload."""
        vector = Dense("float32", 1, b"\0\0\0\0")
        image = Image({self.vector: vector}, encode_payload(payload))
        self.store.write(REF, [Write(Key("docs", "", one), image) for one in ids])

    def delete(self, *ids: Any) -> None:
        """Delete points."""
        self.store.write(REF, [Write(Key("docs", "", one), None) for one in ids])

    def held(self) -> dict[bytes, Image]:
        """Return what the source holds."""
        parts = self.store.plan_chunks("docs", 1_000)
        pages = [page for part in parts for page in self.store.scan(REF, part)]
        return {key_bytes(point.key): point.image for page in pages for point in page}

    def folded(self) -> dict[bytes, Image]:
        """Return what the log says that the source holds, as far as it comes without a pause.

        The end that the embedded broker tells may be too low, so none is asked for.
        """
        while (message := self._reader.poll(0.5)) is not None:
            if message.error() is None:
                number, at = message.partition(), message.offset()
                event = self._folds[number].take(at, CODEC.decode_event(message.value()))
                if event is not None:
                    self._taken[number].append((at, event))
        images: dict[bytes, Image] = {}
        for taken in self._taken:
            newest = coalesce(taken)
            images |= {key: one.image for key, (_, one) in newest.items() if one.image is not None}
        return images

    def close(self) -> None:
        """Give the connections back."""
        self._reader.close()
        self.control.close()

    def await_equal(self) -> None:
        """Wait until the log says what the source holds."""
        wait_until(lambda: self.folded() == self.held())

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Run a capture worker meanwhile."""
        publisher = Publisher(self.log.connection)
        count = self.log.settings.partitions
        log = EventLog(publisher, self.log.topics, CODEC, count, self.control)
        worker = CaptureWorker(self.settings.capture, self.store, ["docs"], log)
        with running(lambda stop: worker.run(self.log.connection, stop)):
            yield
        publisher.close()

    @contextlib.contextmanager
    def feeding(self) -> Iterator[None]:
        """Run the feed's role meanwhile."""
        migration: Any = SimpleNamespace(
            settings=self.settings,
            connection=self.log.connection,
            topics=self.log.topics,
            codec=CODEC,
        )
        member = Member(self.control, "feed", 0.2)

        def run(stop: threading.Event) -> None:
            mappings = [Mapping(REF, REF, ())]
            run_feed(Shift(migration, self.control, member, mappings, stop, once=False))

        with running(run):
            yield
        member.close()


@contextlib.contextmanager
def running(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do some work in a thread until the context ends.

    Raises:
        AssertionError: It failed, or did not stop.
    """
    stop = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # whoever leaves the context is told
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert not failed, failed
