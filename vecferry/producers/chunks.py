"""The chunks of a snapshot, shared by any number of workers through ``control``.

Bounds are persisted before the first read and never computed again: a resumed
run that samples its ranges anew loses what lies between the old and the new.
A claim only avoids double work. Two workers that read the same chunk each have
a window of their own, and the fold keeps both right.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from vecferry.log.control import Control
from vecferry.ports import Bounds
from vecferry.record import ControlRecord


class Chunk(NamedTuple):
    """A part of a collection that is read in one window.

    Attributes:
        id: ``<collection>/<number>``.
        collection: The source's name.
        bounds: What the store's ``scan`` reads.
    """

    id: str
    collection: str
    bounds: Bounds


class Certificate(NamedTuple):
    """The proof that a chunk lies in the log, whole.

    Attributes:
        chunk: Its id.
        rows: How many rows its window holds.
        digest: Sum modulo 2**128 of their digests, in hexadecimal.
        dead: Points that went to the dead-letter topic instead.
        closed: The offset of its CLOSE in each partition: an applier past it has the rows.
    """

    chunk: str
    rows: int
    digest: str
    dead: int
    closed: tuple[int, ...]


class ChunkBoard:
    """Which chunks there are, who reads them, and which are done."""

    def __init__(self, control: Control, worker: str, is_alive: Callable[[str], bool]) -> None:
        """Look at ``control`` as ``worker``; ``is_alive`` judges the other ones."""
        self._control = control
        self._worker = worker
        self._is_alive = is_alive

    def bounds(self, collection: str, plan: Callable[[], Sequence[Bounds]]) -> list[Chunk]:
        """Return the collection's chunks, cut by the first worker that came.

        Guarantees: every worker gets the same ones, whoever cuts at the same
        time: the first record in ``control`` is the one that counts.
        """
        found = persisted_chunks(self._control, [collection])
        if not found:
            body = {"collection": collection, "bounds": [list(bounds) for bounds in plan()]}
            self._control.append("chunks", f"{collection}/{uuid.uuid4().hex}", body)
            self._control.read_to_end()
            found = persisted_chunks(self._control, [collection])
        return found

    def take(self, chunks: Sequence[Chunk]) -> Chunk | None:
        """Claim a chunk that has no certificate and no living reader, or return None.

        The earliest claim of a living worker holds the chunk.
        """
        self._control.read_to_end()
        certified, held = self._control.latest("certificate"), self._holders()
        for chunk in chunks:
            if chunk.id in certified or held.get(chunk.id, self._worker) != self._worker:
                continue
            self._control.append(
                "claim",
                f"snapshot/{chunk.id}/{uuid.uuid4().hex}",
                {"chunk": chunk.id, "worker": self._worker},
            )
            self._control.read_to_end()
            if self._holders().get(chunk.id) == self._worker:
                return chunk
        return None

    def is_complete(self, chunks: Sequence[Chunk]) -> bool:
        """Tell whether every chunk has its certificate."""
        certified = self._control.latest("certificate")
        return all(chunk.id in certified for chunk in chunks)

    def certify(self, certificate: Certificate) -> None:
        """Put a chunk's certificate on record."""
        body = {**certificate._asdict(), "worker": self._worker}
        self._control.append("certificate", certificate.chunk, body)

    def _holders(self) -> dict[str, str]:
        holders: dict[str, str] = {}
        for record in self._control.history("claim"):
            if not record.name.startswith("snapshot/"):
                continue
            chunk, worker = str(record.body["chunk"]), str(record.body["worker"])
            if chunk not in holders and (worker == self._worker or self._is_alive(worker)):
                holders[chunk] = worker
        return holders


def persisted_chunks(control: Control, collections: Iterable[str]) -> list[Chunk]:
    """Return the chunks of these collections that ``control`` holds."""
    first: dict[str, ControlRecord] = {}
    for record in control.history("chunks"):
        first.setdefault(str(record.body["collection"]), record)
    return [
        Chunk(f"{name}/{number}", name, Bounds(*bounds))
        for name in collections
        if name in first
        for number, bounds in enumerate(cast("list[list[Any]]", first[name].body["bounds"]))
    ]


def certificates(control: Control) -> dict[str, Certificate]:
    """Return the certificates that ``control`` holds, by chunk."""
    found = {}
    for name, record in control.latest("certificate").items():
        body = cast("dict[str, Any]", record.body)
        found[name] = Certificate(
            name, body["rows"], body["digest"], body["dead"], tuple(body["closed"])
        )
    return found
