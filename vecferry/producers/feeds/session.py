"""What a feeding process holds on to: its place in the log, its registration, its lease.

A session belongs to one process: after a fork the child opens its own.
"""

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, cast

from vecferry.errors import ConfigError, HaltError, RecordError, TransientError, VecferryError
from vecferry.log.codec import Codec
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.hints import HintWriter
from vecferry.log.members import Member
from vecferry.log.names import Topics
from vecferry.log.publish import Publisher
from vecferry.log.registry import open_codec
from vecferry.model import Id, Key, key_bytes
from vecferry.producers.feeds.identity import ANY, source_id
from vecferry.producers.feeds.options import HEARTBEAT_S, LEASE_S, Options
from vecferry.record import Hint, HintKind

ROLE = "feed"
_ANSWER_S = 5.0  # how long Kafka may take to answer a process that begins
_APPEND_S = 10.0
_CLOSE_S = 5.0
_BRIEF_S = 0.5
_PASSED_BY_MAX = 20


class LogUnavailable(TransientError):  # noqa: N818 - the name says what is known
    """Kafka does not answer, so the write was refused before it was sent: try again later."""


class Membership(Protocol):
    """The part of :class:`~vecferry.log.members.Member` that a session needs."""

    name: str
    renewed_at: float

    def abandon(self) -> bool:
        """Stop the heartbeats without a word; tell whether they have ended."""
        ...

    def close(self) -> None:
        """Deregister."""
        ...


class Links(NamedTuple):
    """What a session is made of.

    Attributes:
        topics: The migration's.
        codec: Encodes hints.
        publisher: Of hints.
        control: Tails ``control``.
        register: Registers this process; gets what each heartbeat tells.
    """

    topics: Topics
    codec: Codec
    publisher: Publisher
    control: Control
    register: Callable[[Callable[[], Mapping[str, object]]], Membership]


def connect(
    migration: str, bootstrap_servers: str, options: Options, timeout_s: float = _ANSWER_S
) -> Links:
    """Reach the migration's log.

    Raises:
        LogUnavailable: Kafka does not answer in ``timeout_s``.
        ConfigError: It refuses this client, or an option cannot be used.
    """
    settings = options.log_settings(bootstrap_servers)
    topics = Topics(migration)
    connection = Connection(settings)
    try:
        connection.require(timeout_s)
    except TransientError as error:
        raise LogUnavailable(f"no write goes out: {error}") from error
    codec = open_codec(settings, topics)
    # a write waits for its INTENT: nothing is gained by waiting for more of them
    publisher = Publisher(connection, linger_ms=0)
    control = Control(connection, topics, codec)

    def register(tell: Callable[[], Mapping[str, object]]) -> Membership:
        return Member(control, ROLE, HEARTBEAT_S, tell)

    return Links(topics, codec, publisher, control, register)


class Session:
    """An open session: registered, with ``control`` read through the own record.

    Attributes:
        collections: The source's names that move.
        in_flight: Writes between their beginning and their end.
    """

    def __init__(self, links: Links, options: Options) -> None:
        """Register, then learn what moves.

        Raises:
            ConfigError: The migration was never prepared.
            LogUnavailable: Kafka does not answer.
        """
        self._links, self._options = links, options
        self._failed: VecferryError | None = None
        self._is_closed = False
        self._down_since = float("-inf")
        self._numbers = itertools.count()
        self._prefix = uuid.uuid4().hex[:16]
        self._lock = threading.Condition()
        self._inside = 0  # threads that use the publisher now
        self._passed_by: set[str] = set()
        self.in_flight = 0
        self._member: Membership | None = None
        try:
            self._member = links.register(self._tell)
            body = _migration(links)
        except TransientError as error:
            self.close(in_order=False)
            raise LogUnavailable(f"no write goes out: {error}") from error
        except VecferryError:
            self.close()
            raise
        names = [str(source) for source, _ in body["collections"]]
        self.collections = frozenset(names)
        self._id_types = dict(zip(names, body.get("id_types", ()), strict=False))
        self._writer = HintWriter(
            links.publisher,
            links.codec,
            links.topics,
            int(body["partitions"]),
            timeout_s=options.intent_max_s,
        )
        links.publisher.prepare(links.topics.hints)

    @property
    def name(self) -> str:
        """This process's name in ``control``."""
        return cast("Membership", self._member).name

    @property
    def failed(self) -> bool:
        """Whether it can never write again, so that another one must be opened."""
        return self._failed is not None

    @property
    def lets_through(self) -> bool:
        """Whether writes go out untold while the log is away."""
        return self._options.on_log_down == "rescan"

    def request(self) -> str:
        """Return a name that no other request has."""
        return f"{self._prefix}-{next(self._numbers)}"

    def key(self, collection: str, namespace: str, given: Id) -> bytes:
        """Return the bytes of a point's key.

        Raises:
            RecordError: No point of the collection can have this id.
        """
        identifier = source_id(given, self._id_types.get(collection, ANY))
        return key_bytes(Key(collection, namespace, identifier))

    def require_log(self) -> None:
        """Go on if a hint has good prospects of being written at once.

        Raises:
            LogUnavailable: The last one was not, and no heartbeat has come back
                since; or the lease lapsed.
        """
        renewed_at = cast("Membership", self._member).renewed_at
        if self._failed is not None:
            raise LogUnavailable(f"no write goes out: {self._failed}") from self._failed
        if renewed_at <= self._down_since:
            raise LogUnavailable("no write goes out: Kafka does not acknowledge hints")
        if time.monotonic() - renewed_at > LEASE_S:
            raise LogUnavailable(
                f"no write goes out: the heartbeats of this process have not come back from Kafka "
                f"for {LEASE_S:g} s"
            )

    def write(self, hint: Hint) -> None:
        """Write a hint and wait until it is durable in every partition that it concerns.

        Raises:
            LogUnavailable: It is not, in ``intent_max_s``.
            RecordError: A key is larger than the broker accepts.
        """
        kind, keys = hint.kind, hint.keys
        try:
            with self._using():
                if kind in (HintKind.INTENT, HintKind.DONE):
                    self._writer.append(kind, keys, request=hint.request, verb=hint.verb)
                else:
                    self._writer.append_filter(
                        kind, keys, request=hint.request, verb=hint.verb, scope=hint.scope
                    )
        except (RecordError, LogUnavailable):
            raise
        except TransientError as error:
            self._down_since = time.monotonic()
            raise LogUnavailable(f"no write goes out: {error}") from error
        except VecferryError as error:
            self._failed = error
            raise LogUnavailable(f"no write goes out: {error}") from error

    def end(self, hint: Hint) -> None:
        """Queue the hint that ends a write; not waited for.

        If it is lost, what began the write is swept in its place.
        """
        try:
            with self._using():
                self._writer.queue(hint)
        except LogUnavailable:
            return  # the feed was closed
        except VecferryError as error:
            self._failed = self._failed or error

    def rescan(self, collection: str, reason: str) -> None:
        """Ask for a collection to be read again; durable in ``control`` when it returns.

        Raises:
            LogUnavailable: It could not be written.
        """
        name = f"{self.name}/{uuid.uuid4().hex}"
        body = {"scope": collection, "reason": reason, "done": False}
        try:
            with self._using():
                self._links.control.append("rescan", name, body, timeout_s=_APPEND_S)
        except LogUnavailable:
            raise
        except TransientError as error:
            self._down_since = time.monotonic()
            raise LogUnavailable(
                f"the rescan of {collection!r} is not on record: {error}"
            ) from error
        except VecferryError as error:
            self._failed = error
            raise LogUnavailable(
                f"the rescan of {collection!r} is not on record: {error}"
            ) from error

    def pass_by(self, collection: str) -> None:
        """Note a name that was written and does not move: perhaps an alias, or misspelt."""
        if len(self._passed_by) < _PASSED_BY_MAX:
            self._passed_by.add(collection)

    def count(self, change: int) -> None:
        """Count a write that begins (1) or ends (-1)."""
        with self._lock:
            self.in_flight += change

    def close(self, *, in_order: bool = True) -> None:
        """Deliver what is queued and deregister; never waits long.

        Args:
            in_order: Without it the process does not deregister: others see it
                fall silent, which means a rescan where writes may have gone out untold.
        """
        self._is_closed = True
        member = self._member
        is_sound = not self.failed and (member is None or member.renewed_at > self._down_since)
        with self._lock:
            is_unused = self._lock.wait_for(lambda: not self._inside, _CLOSE_S)
        if is_unused:  # a client that is closed under a thread's feet may take the process down
            _quietly(lambda: self._links.publisher.close(_CLOSE_S if is_sound else _BRIEF_S))
        if member is not None and in_order and is_sound:
            _quietly(member.close)
        elif member is not None and not member.abandon():
            return
        _quietly(lambda: self._links.control.close(_CLOSE_S if is_sound else _BRIEF_S))

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock:
            if self._is_closed:
                raise LogUnavailable("no write goes out: the feed was closed")
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._is_closed:
                    self._lock.notify_all()

    def _tell(self) -> Mapping[str, object]:
        return {
            "writer": self._options.name,
            "in_flight": self.in_flight,
            "passed_by": sorted(self._passed_by.copy()),
            "on_log_down": self._options.on_log_down,
            "lease_s": LEASE_S,
        }


def _quietly(close: Callable[[], object]) -> None:
    # what cannot be delivered now is what a lost process leaves behind: swept, or read again
    with contextlib.suppress(TransientError, HaltError, ConfigError):
        close()


def _migration(links: Links) -> Mapping[str, Any]:
    record = links.control.latest("migration").get(links.topics.migration)
    if record is None:
        raise ConfigError(
            f"the migration {links.topics.migration!r} was never prepared: run `vecferry init` "
            "before its application captures"
        )
    return cast("Mapping[str, Any]", record.body)
