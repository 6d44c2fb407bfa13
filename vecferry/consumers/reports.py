"""How far each partition is, for ``status``: one record each in ``control``, at most once a second."""

import threading
import time
from collections.abc import Mapping

from vecferry.errors import TransientError, VecferryError
from vecferry.log.control import Control

_EVERY_S = 1.0


class Reporter:
    """Publishes the newest report of each partition from a thread of its own.

    An acknowledgement from ``control`` takes as long as it takes; the loop that
    applies must not wait for one that nothing depends on.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._reports: dict[int, Mapping[str, object]] = {}
        self._failure: VecferryError | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="apply-reports", daemon=True)
        self._thread.start()

    def put(self, partition: int, report: Mapping[str, object]) -> None:
        """Publish this soon, unless a newer one comes first.

        Raises:
            VecferryError: ``control`` could not be written, for good.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._reports[partition] = report

    def put_now(self, partition: int, report: Mapping[str, object]) -> None:
        """Publish this and return when it is acknowledged."""
        with self._lock:
            self._reports.pop(partition, None)
        self._control.append("progress", f"apply/{partition}", report)

    def close(self, timeout_s: float = 5.0) -> None:
        """Publish what is left and end the thread."""
        self._wake.set()
        self._thread.join(timeout_s)

    def _work(self) -> None:
        closing = False
        while not closing:
            closing = self._wake.wait(_EVERY_S)
            with self._lock:
                reports, self._reports = self._reports, {}
            try:
                for partition, report in reports.items():
                    self._control.append("progress", f"apply/{partition}", report)
            except TransientError:
                time.sleep(0)  # the next second's report says the same and more
            except VecferryError as error:
                self._failure = error
                return
