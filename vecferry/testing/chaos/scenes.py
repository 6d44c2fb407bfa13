"""Single stories on a live migration, in which one rule or one premise decides.

Each takes a :class:`Live` and keys of its own, and returns the key to look at
once everything has come to rest.
"""

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vecferry.log.beats import reports
from vecferry.log.partition import partition_of
from vecferry.log.publish import Publisher
from vecferry.model import Image, Key, key_bytes
from vecferry.ports import Ref
from vecferry.producers.chunks import certificates
from vecferry.producers.event_log import EventLog
from vecferry.producers.feeds.feed import Feed
from vecferry.producers.passes import Rescan, rescan_chunks, rescans
from vecferry.producers.readback import newest_claims
from vecferry.record import Event, EventKind
from vecferry.stores import open_store
from vecferry.testing.chaos.broken import SKIPPED
from vecferry.testing.chaos.pipeline import INTENT_MAX_S, REQUEST_MAX_S, Pipeline
from vecferry.testing.chaos.requests import Requests, point

ZOMBIE = "a zombie's token"
_ROLES = ("capture-0", "apply-0", "snapshot-0", "check-0")


class Live:
    """A migration of a collection of one point that goes on, and an application on it.

    Attributes:
        pipeline: Its processes.
        feed: Of the application.
    """

    def __init__(self, pipeline: Pipeline, stack: contextlib.ExitStack) -> None:
        """Start it; ``stack`` closes what was opened."""
        self.pipeline = pipeline
        server = pipeline.stage.source
        self._requests = Requests(server.url, pipeline.name, timeout_s=30.0)
        stack.callback(self._requests.close)
        self.put(SKIPPED, 1)
        pipeline.begin()
        for role in _ROLES:
            pipeline.start(role)
        pipeline.wait("capture", pipeline.is_captured)
        settings = pipeline.migration.settings
        self.feed = Feed(
            pipeline.name,
            settings.log.bootstrap_servers,
            request_max_s=REQUEST_MAX_S,
            intent_max_s=INTENT_MAX_S,
        )
        stack.callback(self.feed.close)
        publisher = stack.enter_context(
            contextlib.closing(Publisher(pipeline.migration.connection))
        )
        migration, partitions = pipeline.migration, settings.log.partitions
        self.log = EventLog(
            publisher, migration.topics, migration.codec, partitions, pipeline.control
        )
        self._source = stack.enter_context(contextlib.closing(open_store(settings.source)))
        self._keys = itertools.count(1_000)

    # --- the application ---

    def key(self) -> int:
        """Return an id that nobody used."""
        return next(self._keys)

    def put(self, identifier: int, number: int, group: int = -1) -> None:
        """Write a point past every feed."""
        numbers = [float(number)] * 12
        body = {"points": [point(identifier, numbers, {"n": number, "g": group})]}
        self._change("PUT", "/points", body)

    def write(self, identifier: int, number: int, group: int = -1) -> None:
        """Write a point as an application does that captures."""
        with self.feed.writing(self.pipeline.name, [identifier], verb="upsert"):
            self.put(identifier, number, group)

    def delete_group(self, group: int) -> None:
        """Delete by filter, past every feed."""
        body = {"filter": _group(group)}
        self._change("POST", "/points/delete", body)

    def found(self, group: int) -> list[tuple[str, int]]:
        """Return what the filter finds."""
        self._requests.close()
        return list(self._requests.matching(_group(group)))

    def _change(self, method: str, path: str, body: object) -> None:
        self._requests.close()  # one that idles is closed by the server, too
        assert self._requests.change(method, path, body)

    def arrived(self, identifier: int, number: int) -> None:
        """Wait until the target holds what was written."""
        held = self.pipeline.held
        self.pipeline.wait(
            f"{identifier} = {number}", lambda: (held(identifier) or {}).get("n") == number
        )

    def has_passed(self, token: str) -> bool:
        """Tell whether a token is the newest that the target has in some partition."""
        told = reports(self.pipeline.control, "apply")
        return any(report["token"] == token for report in told.values())

    # --- rescans ---

    @contextlib.contextmanager
    def without_applier(self) -> Iterator[None]:
        """End the applier in order, and start it again behind the context."""
        applier = self.pipeline.roles.pop("apply-0")
        applier.signal(signal.SIGTERM)
        assert applier.ended(120.0) == 0, applier.text
        yield
        self.pipeline.start("apply-0")

    def rescans(self) -> list[Rescan]:
        """Return the rescans that were asked for."""
        return rescans(self.pipeline.control)

    def has_read(self) -> bool:
        """Tell whether every rescan has got as far as it can without an applier."""
        if self.pipeline.broken:
            return not any(each.is_open for each in self.rescans())
        chunks = {
            chunk.id
            for each in self.rescans()
            for chunk in rescan_chunks(self.pipeline.control, each)
        }
        return chunks <= certificates(self.pipeline.control).keys()

    # --- zombies ---

    def image(self, identifier: int) -> Image:
        """Return the point as the source holds it now."""
        (found,) = self._source.read(Ref(*[self.pipeline.name] * 2), [self._key(identifier)])
        assert found is not None
        return found.image

    def publish(self, identifier: int, event: Event) -> None:
        """Write to ``events`` as a worker of a test's own, and wait for its acknowledgement."""
        self.log.publish(self.partition(identifier), event)
        self.log.publisher.flush()

    def partition(self, identifier: int) -> int:
        """Return the partition of a point."""
        return partition_of(self.bytes(identifier), self.log.partitions)

    def term(self, identifier: int) -> int:
        """Return the current term of a point's partition."""
        control = self.pipeline.control
        claims = [(record.name, record.offset) for record in control.history("claim")]
        return newest_claims(claims, "capture/forward/")[self.partition(identifier)]

    def bytes(self, identifier: int) -> bytes:
        """Return the canonical key."""
        return key_bytes(self._key(identifier))

    def _key(self, identifier: int) -> Key:
        return Key(self.pipeline.name, "", identifier)


def _group(group: int) -> dict[str, Any]:
    return {"must": [{"key": "g", "match": {"value": group}}]}


Scene = Callable[[Live], int]

# --- an application that announces, and ones that do not quite ---


def _dies_before_done(live: Live) -> int:
    key = live.key()
    write = live.feed.begin(live.pipeline.name, [key])
    write.fresh()
    live.put(key, 1)
    write.unknown()  # all that the log sees of a death
    return key


def _dies_before_done_without_intent(live: Live) -> int:
    key = live.key()
    live.put(key, 1)
    return key


def _done_after_the_write(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.pipeline.settle()
    return key


def _done_before_the_write(live: Live) -> int:
    key = live.key()
    write = live.feed.begin(live.pipeline.name, [key])
    write.done()
    live.write(live.key(), 1)  # its DONE is acknowledged behind it
    live.pipeline.settle()
    live.put(key, 1)
    return key


def _lands_before_the_sweep(live: Live) -> int:
    return _dies_before_done(live)


def _lands_after_the_sweep(live: Live) -> int:
    key = live.key()
    live.feed.begin(live.pipeline.name, [key]).unknown()
    live.pipeline.settle()
    live.put(key, 1)
    return key


def _slips_into_a_filter_delete(live: Live) -> int:
    key, other = live.key(), live.key()
    live.write(key, 1, group=key)
    write = live.feed.begin_filter(
        live.pipeline.name, verb="delete", resolve=lambda: live.found(key)
    )
    live.write(other, 1, group=key)
    live.arrived(other, 1)
    live.delete_group(key)
    write.done()
    return other


def _slips_into_a_filter_delete_that_names_only_what_it_resolved(live: Live) -> int:
    key, other = live.key(), live.key()
    live.write(key, 1, group=key)
    write = live.feed.begin_keys(live.pipeline.name, live.found(key), verb="delete")
    live.write(other, 1, group=key)
    live.arrived(other, 1)
    live.delete_group(key)
    write.done()
    return other


ANNOUNCED: Mapping[str, tuple[Scene, Scene]] = {
    "INTENT before the write": (_dies_before_done, _dies_before_done_without_intent),
    "DONE after the write": (_done_after_the_write, _done_before_the_write),
    "a request lands in time": (_lands_before_the_sweep, _lands_after_the_sweep),
    "a filter write is announced as one": (
        _slips_into_a_filter_delete,
        _slips_into_a_filter_delete_that_names_only_what_it_resolved,
    ),
}
"""What an application must do: with it, and without it."""


# --- zombies, and the rules against them ---


def _zombies_image(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.arrived(key, 1)
    old = live.image(key)
    live.write(key, 2)
    live.arrived(key, 2)
    term = live.term(key) - 1
    live.publish(key, Event(EventKind.BEAT, number=0, token=ZOMBIE, term=term))
    live.publish(key, Event(EventKind.IMAGE, live.bytes(key), old, term=term))
    return key


def _late_epoch(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.arrived(key, 1)
    live.publish(key, Event(EventKind.EPOCH, term=live.term(key) - 1))
    live.write(key, 2)
    return key


def _late_claim(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.arrived(key, 1)
    number = live.partition(key)
    term = live.log.control.append("claim", f"capture/forward/{number}/zombie", {})
    live.publish(key, Event(EventKind.EPOCH, term=term))
    live.write(key, 2)
    return key


def _second_attempt_at_a_chunk(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.arrived(key, 1)
    attempt = live.log.to_every_partition(lambda _: Event(EventKind.OPEN, chunk="twice"))
    old = live.image(key)
    live.write(key, 2)
    live.arrived(key, 2)
    live.log.to_every_partition(lambda _: Event(EventKind.OPEN, chunk="twice"))
    opened = attempt[live.partition(key)]
    live.publish(key, Event(EventKind.ROW, live.bytes(key), old, chunk="twice", opened=opened))
    return key


def _written_twice(live: Live) -> int:
    key = live.key()
    live.write(key, 1)
    live.arrived(key, 1)
    live.write(key, 2)
    return key


def _dies_in_a_filter_delete_while_the_target_lags(live: Live) -> int:
    key = live.key()
    # every partition sweeps it and asks for a rescan of its own
    wanted = len(live.rescans()) + live.log.partitions
    with live.without_applier():
        live.write(key, 1, group=key)
        live.pipeline.settle("capture")  # its image lies in the log, and not in the target
        write = live.feed.begin_filter(
            live.pipeline.name, verb="delete", resolve=lambda: live.found(key)
        )
        live.delete_group(key)
        write.unknown()
        live.pipeline.wait("its rescans", lambda: len(live.rescans()) >= wanted)
        live.pipeline.wait("its chunks", live.has_read)
    return key


def _there_from_the_start(live: Live) -> int:
    return SKIPPED


RULED: Mapping[str, Scene] = {
    "terms are not compared": _zombies_image,
    "the last epoch wins": _late_epoch,
    "capture does not look at claims": _late_claim,
    "a window is its chunk": _second_attempt_at_a_chunk,
    "reads are stale": _written_twice,
    "the scan skips a key": _there_from_the_start,
    "extras do not wait": _dies_in_a_filter_delete_while_the_target_lags,
}
"""The story that each rule of :mod:`vecferry.testing.chaos.broken` decides."""
