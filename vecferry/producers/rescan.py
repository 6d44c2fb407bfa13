"""Carrying out rescans: the chunks again, then the extras, then a record that it is done."""

import logging
from collections.abc import Callable, Sequence
from threading import Event as Flag

from vecferry.errors import TransientError
from vecferry.log.beats import reports
from vecferry.log.control import Control
from vecferry.producers.chunks import Certificate, Chunk, ChunkBoard, certificates
from vecferry.producers.passes import (
    Rescan,
    extras_chunk,
    finish,
    open_rescans,
    rescan_chunks,
)
from vecferry.producers.snapshot import SnapshotWorker

_log = logging.getLogger(__name__)

HintExtras = Callable[[Rescan], int]
"""Hints the extras of a rescan's scope; returns how many there were."""


class RescanWorker:
    """What a snapshot worker does once the first pass is complete, until it is stopped."""

    def __init__(
        self,
        control: Control,
        snapshot: SnapshotWorker,
        board: ChunkBoard,
        hint_extras: HintExtras,
        stop: Flag,
    ) -> None:
        """Read chunks with ``snapshot``; any number of workers share them through ``board``."""
        self._control = control
        self._snapshot = snapshot
        self._board = board
        self._hint_extras = hint_extras
        self._stop = stop

    def run(self, collections: Sequence[str], *, once: bool = False) -> None:
        """Carry out every rescan that is asked for, until stopped; with ``once`` until none is open."""
        while not self._stop.is_set():
            waiting = open_rescans(self._control, collections)
            if once and not waiting:
                return
            if not any(self._advance(rescan) for rescan in waiting):
                self._stop.wait(0.5)

    def _advance(self, rescan: Rescan) -> bool:
        """Do one piece of it; return whether there was one to do.

        1. The chunks, so that every point that exists is a row.
        2. The appliers' commits behind them: what was captured before the rescan and
           is gone from the source lies in the target only now.
        3. The extras, after both: a point deleted meanwhile is found by one of the two.
        4. The record, once all is whole.
        """
        chunks = rescan_chunks(self._control, rescan)
        if not self._board.is_complete(chunks):
            return self._snapshot.read_one(chunks)
        extras = extras_chunk(rescan)
        if not self._board.is_complete([extras]):
            return self._has_applied(chunks) and self._find_extras(rescan)
        finish(self._control, rescan)
        _log.warning("the rescan of %r is done (%s)", rescan.scope, rescan.reason)
        self._control.read_to_end()
        return True

    def _has_applied(self, chunks: Sequence[Chunk]) -> bool:
        certified, applied = certificates(self._control), reports(self._control, "apply")
        return all(
            applied.get(number, {}).get("committed", -1) > closed
            for chunk in chunks
            for number, closed in enumerate(certified[chunk.id].closed)
        )

    def _find_extras(self, rescan: Rescan) -> bool:
        chunk = self._board.take([extras_chunk(rescan)])
        if chunk is None:
            return False
        try:
            found = self._hint_extras(rescan)
        except TransientError as error:
            _log.warning("looking for extras of %r is tried again: %s", rescan.scope, error)
            self._stop.wait(2.0)
            return True
        if not self._stop.is_set():  # else it was looked at in part
            self._board.certify(Certificate(chunk.id, found, "", 0, ()))
        return True
