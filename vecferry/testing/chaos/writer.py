"""An application that writes to the source, in a process that can be killed anywhere.

Its threads share a feed and race on a few hot keys and on many others: whole
points, partial payloads, single vectors, deletes, and writes that name a
filter. It is told where to die: at a *place* of a write, so that every gap
between INTENT, request, reply and DONE is met.
"""

import collections
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from vecferry.errors import VecferryError
from vecferry.producers.feeds.feed import Feed
from vecferry.producers.feeds.session import LogUnavailable
from vecferry.producers.feeds.writes import OpenWrite
from vecferry.testing.chaos.requests import Requests, UncertainError, point

PLACES = ("announced", "sent", "written", "done", "resolving", "resolved")
"""Where it can be told to die: after INTENT; with a request out; after its reply; with DONE
queued; within a filter's resolving; after it."""

GROUPS = 6
LATE = "a request was under way for longer than it may be"


class Writer:
    """One writing process.

    Args:
        document: ``url``, ``collection``, ``migration``, ``bootstrap_servers``,
            ``seed``, ``threads``, ``hot`` and ``many`` (how many keys),
            ``pause_ms`` (between a thread's writes), ``timeout_s``,
            ``request_max_s``, ``intent_max_s``, and ``die``: None, or
            ``[place, nth]`` to die when it is there for the nth time.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._told = document
        self._stop = threading.Event()
        self._passes: collections.Counter[str] = collections.Counter()
        self._ends: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        self._failed: list[BaseException] = []

    def run(self) -> None:
        """Write until SIGTERM, then finish what is under way, and close the feed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        told = self._told
        feed = Feed(
            told["migration"],
            told["bootstrap_servers"],
            request_max_s=told["request_max_s"],
            intent_max_s=told["intent_max_s"],
        )
        threads = [
            threading.Thread(target=self._guarded, args=(feed, number))
            for number in range(told["threads"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)  # in slices, so that a signal is seen
        feed.close()
        print(f"ends: {dict(self._ends)}", flush=True)
        if self._failed:
            raise self._failed[0]

    def place(self, name: str) -> None:
        """Be at a place; die here if it is the one."""
        die = self._told["die"]
        if die is None or die[0] != name:
            return
        with self._lock:
            self._passes[name] += 1
            is_last = self._passes[name] >= die[1]
        if is_last:
            print(f"dies: {name}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    def _guarded(self, feed: Feed, number: int) -> None:
        try:
            self._write_on(feed, number)
        except BaseException as error:  # raised by the main thread
            self._failed.append(error)
            self._stop.set()

    def _write_on(self, feed: Feed, number: int) -> None:
        told = self._told
        requests = Requests(told["url"], told["collection"], told["timeout_s"])
        work = _Work(self, feed, requests, random.Random(f"{told['seed']}/{number}"))
        while not self._stop.is_set():
            end = work.one()
            with self._lock:
                self._ends[end] += 1
            self._stop.wait(work.pause_s() if end == "done" else 0.2)
        requests.close()

    @property
    def told(self) -> dict[str, Any]:
        """What it was told."""
        return self._told


class _Work:
    """One thread's writes, drawn by its own dice."""

    def __init__(self, writer: Writer, feed: Feed, requests: Requests, dice: random.Random) -> None:
        self._writer, self._feed, self._requests, self._dice = writer, feed, requests, dice
        self._collection = str(writer.told["collection"])

    def pause_s(self) -> float:
        return self._dice.uniform(0, 2 * self._writer.told["pause_ms"]) / 1000

    def one(self) -> str:
        """Do one write; return how it ended."""
        kinds = (self._upsert, self._set, self._overwrite, self._vector, self._delete, self._filter)
        (kind,) = self._dice.choices(kinds, (30, 15, 5, 12, 12, 6))
        try:
            kind()
        except UncertainError:
            return "uncertain"
        except LogUnavailable:
            return "refused"
        except VecferryError as error:
            raise AssertionError(f"a write failed on {error!r}") from error
        return "done"

    # --- the writes ---

    def _upsert(self) -> None:
        ids = self._ids(20)
        points = [point(each, self._numbers(12), self._payload()) for each in ids]
        self._keyed("upsert", ids, "PUT", "/points", {"points": points})

    def _set(self) -> None:
        ids = self._ids(6)
        body = {"payload": {f"x{self._dice.randrange(3)}": self._dice.random()}, "points": ids}
        self._keyed("unknown", ids, "POST", "/points/payload", body)

    def _overwrite(self) -> None:
        ids = self._ids(6)
        body = {"payload": self._payload(), "points": ids}
        self._keyed("unknown", ids, "PUT", "/points/payload", body)

    def _vector(self) -> None:
        ids = self._ids(1)
        body = {"points": [{"id": each, "vector": {"w": self._numbers(4)}} for each in ids]}
        self._keyed("unknown", ids, "PUT", "/points/vectors", body)

    def _delete(self) -> None:
        ids = self._ids(8)
        self._keyed("delete", ids, "POST", "/points/delete", {"points": ids})

    def _filter(self) -> None:
        condition = {"must": [{"key": "g", "match": {"value": self._dice.randrange(GROUPS)}}]}
        if self._dice.random() < 0.6:
            self._filtered("delete", "/points/delete", condition, {})
        else:
            payload = {"f": self._dice.random()}
            self._filtered("unknown", "/points/payload", condition, {"payload": payload})

    # --- how a write goes out ---

    def _keyed(self, verb: str, ids: list[int], method: str, path: str, body: object) -> None:
        with self._feed.writing(self._collection, ids, verb=verb):
            began = time.monotonic()
            self._writer.place("announced")
            self._sent(began, lambda sent: self._requests.change(method, path, body, sent))
            self._writer.place("written")
        self._writer.place("done")

    def _filtered(self, verb: str, path: str, condition: object, more: dict[str, object]) -> None:
        def resolve() -> list[tuple[str, int]]:
            found = list(self._requests.matching(condition))
            self._writer.place("resolving")
            return found

        write = self._feed.begin_filter(self._collection, verb=verb, resolve=resolve)
        self._writer.place("resolved")
        write.fresh()
        try:
            self._send_filter(write, path, {"filter": condition, **more})
        except UncertainError:
            write.unknown()
            raise
        write.done()
        self._writer.place("done")

    def _send_filter(self, write: OpenWrite, path: str, body: object) -> None:
        assert write.tracked
        began = time.monotonic()
        self._sent(began, lambda sent: self._requests.change("POST", path, body, sent))
        self._writer.place("written")

    def _sent(self, began: float, send: Callable[[Callable[[], None]], object]) -> None:
        try:
            send(lambda: self._writer.place("sent"))
        finally:
            if time.monotonic() - began > self._writer.told["request_max_s"]:
                print(LATE, flush=True)

    # --- dice ---

    def _ids(self, most: int) -> list[int]:
        told = self._writer.told
        if self._dice.random() < 0.5:
            return [self._dice.randrange(told["hot"])]
        count = min(self._dice.randint(1, most), told["many"])
        return self._dice.sample(range(told["many"]), count)

    def _numbers(self, count: int) -> list[float]:
        return [round(self._dice.uniform(-1, 1), 6) for _ in range(count)]

    def _payload(self) -> dict[str, object]:
        return {"g": self._dice.randrange(GROUPS), "n": self._dice.randrange(10**9)}
