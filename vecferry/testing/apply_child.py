"""An applier in a process of its own, to be killed or stopped: ``python -m vecferry.testing.apply_child``.

Its one argument is JSON: ``document`` (the settings), ``bootstrap_servers``,
``latency_s`` of each write, and ``holds``, to stop for ever between the first
acknowledged write and its commit. It prints a line for each write that the
target has acknowledged, and ends in order on SIGTERM.
"""

import json
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from vecferry.consumers.apply import Applier, ApplyLog, Target
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.publish import Publisher
from vecferry.log.topics import Topics
from vecferry.ports import Failure, Ref, Store, Write
from vecferry.settings import parse_settings
from vecferry.stores import open_store


class TellingStore:
    """Answers slowly and tells each write once it is acknowledged."""

    def __init__(self, store: Store, latency_s: float, *, holds: bool) -> None:
        self._store, self._latency_s, self._holds = store, latency_s, holds
        self._never = threading.Event()

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """See the port."""
        refused = self._store.write(ref, writes)
        # the answer is slow, not the request: one that is late cannot be fenced
        self._never.wait(self._latency_s)
        print(f"wrote {len(writes)}", flush=True)
        if self._holds:
            self._never.wait()
        return refused


def main(argument: str) -> None:
    """Apply until SIGTERM."""
    given: dict[str, Any] = json.loads(argument)
    settings = parse_settings(given["document"], {})
    connection = Connection(settings.log, given["bootstrap_servers"])
    topics, codec = Topics(settings.name), SingleObjectCodec()
    control, publisher = Control(connection, topics, codec), Publisher(connection)
    store = open_store(settings.target)
    told = TellingStore(store, given["latency_s"], holds=given["holds"])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log = ApplyLog(connection, topics, codec, control, publisher)
    try:
        Applier(settings, log, {"docs": Target(told, Ref(settings.name, "docs"))}).run(stop)
    finally:
        control.close()
        publisher.close()
        store.close()
    print("left", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
