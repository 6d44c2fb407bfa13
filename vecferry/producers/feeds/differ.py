"""Comparing a pass over the source with what the passes before it saw.

The order is the argument:

1. A page of the source is compared with what is known.
2. The keys that differ are hinted, and the hints acknowledged.
3. Only then what was seen is put down: a crash in between hints again.
4. What vanished is hinted after a *complete* pass alone. A part that was not
   read says nothing of its keys.
"""

from collections.abc import Iterable, Mapping, Sequence

from vecferry.digest import DIGEST_BYTES, digest
from vecferry.model import Key, Point, key_bytes
from vecferry.producers.feeds.known import Held, Known, Seen, State
from vecferry.producers.feeds.teller import Teller

_PAGE_KEYS = 5_000


class Differ:
    """The comparison of one collection."""

    def __init__(self, known: Known, teller: Teller) -> None:
        """Compare with ``known``, and tell ``teller``."""
        self._known, self._teller = known, teller

    @property
    def known(self) -> Known:
        """What is known of the collection."""
        return self._known

    def begin(self) -> None:
        """Begin a pass that may leave keys out: what it does not see has not vanished."""
        self._known.begin()

    def begin_complete(self) -> bool:
        """Begin a pass over everything, once the hints of the passes before are resolved.

        Waiting for that keeps a feed from running away from a capture worker
        that is down, and makes the second hint of a changed key a look at a
        time when the first one is over.

        Returns:
            Whether it began; False when stopped.
        """
        if not self._teller.await_resolved(self._known.marks()):
            return False
        self._known.begin()
        return True

    def take(self, points: Sequence[Point], *, again: bool = True) -> int:
        """Compare a page of points; return how many keys were hinted.

        Args:
            points: As a scan gave them.
            again: Hint once more what the pass before hinted.
        """
        digests = {
            key_bytes(point.key): digest(point).to_bytes(DIGEST_BYTES, "little") for point in points
        }
        known = self._known.look(list(digests))
        seen = [_seen(key, found, known.get(key), again) for key, found in digests.items()]
        return self._say(seen, known)

    def take_keys(self, keys: Iterable[Key]) -> int:
        """Compare a page of keys, of whose points nothing was read; return how many were hinted."""
        spelled = list(dict.fromkeys(map(key_bytes, keys)))
        known = self._known.look(spelled)
        seen = []
        for key in spelled:
            held = known.get(key)
            # its digest alone cannot be trusted after it was gone
            kept = b"" if held is None or held.state is State.GONE else held.digest
            seen.append(_seen(key, kept, held, True))
        return self._say(seen, known)

    def end_complete(self) -> int:
        """Hint what a pass over everything has not seen; return how many keys. Only after all was read."""
        told, last = 0, b""
        while page := self._known.unseen(last, _PAGE_KEYS):
            keys = list(page)
            marks = self._teller.tell(keys)
            gone = [key for key, held in page.items() if held.state is not State.GONE]
            forgotten = [key for key, held in page.items() if held.state is State.GONE]
            self._known.bury(gone, forgotten, marks)
            told, last = told + len(keys), keys[-1]
        return told

    def _say(self, seen: list[Seen], known: Mapping[bytes, Held]) -> int:
        if not seen:
            return 0
        changed = [one.key for one in seen if _is_news(one, known.get(one.key))]
        marks = self._teller.tell(changed)
        self._known.record(seen, marks)
        return len(changed)


def _seen(key: bytes, found: bytes, held: Held | None, again: bool) -> Seen:
    if held is None or held.state is State.GONE or held.digest != found:
        return Seen(key, found, State.HINTED)
    return Seen(key, found, State.SETTLED if again else held.state)


def _is_news(seen: Seen, held: Held | None) -> bool:
    """Tell whether a key must be hinted: it is new, differs, or was hinted only once."""
    if held is None or held.state is State.GONE or held.digest != seen.digest:
        return True
    return held.state is State.HINTED and seen.state is State.SETTLED
