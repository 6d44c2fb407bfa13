"""Reading hinted keys back from the source, in batches, and judging what is absent."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vecferry.errors import HaltError, RecordError, TransientError
from vecferry.model import Image, Key, parse_key
from vecferry.ports import Ref, Store
from vecferry.producers.pending import Due

_BATCH_KEYS = 256
_SURE_S = 2.0


class ReadBack(NamedTuple):
    """What one key is now.

    Attributes:
        due: The key and why it was read.
        image: Its full state; None when it is absent.
        error: Why the source's point cannot be held at all, else None.
    """

    due: Due
    image: Image | None
    error: RecordError | None = None


class Reader:
    """Reads keys of several collections, each in one batched call where it can."""

    def __init__(self, store: Store, collections: Sequence[str]) -> None:
        """Read the ``collections`` that the migration moves; others are not its business."""
        self._store = store
        self._filled: set[str] = set()
        self._refs = {name: Ref(name, name) for name in collections}

    def is_ours(self, key: bytes) -> bool:
        """Tell whether the key lies in a collection that moves.

        Raises:
            HaltError: It is no key: the feed is of another release.
        """
        try:
            return parse_key(key).collection in self._refs
        except ValueError as error:
            raise HaltError(
                f"a hint holds what is no key ({error}): a feed of another release writes here"
            ) from error

    def read(self, dues: Sequence[Due]) -> list[ReadBack]:
        """Read every key once; in no particular order.

        Raises:
            TransientError: The source does not answer; nothing was decided.
            HaltError: The source cannot be read any more.
        """
        groups: dict[tuple[str, str], list[tuple[Due, Key]]] = {}
        apart = self._store.capabilities.positions
        for due in dues:
            key = parse_key(due.key)
            # each namespace counts its own positions: one's number says nothing of another
            namespace = key.namespace if apart else ""
            groups.setdefault((key.collection, namespace), []).append((due, key))
        found: list[ReadBack] = []
        for (name, _), group in groups.items():
            for start in range(0, len(group), _BATCH_KEYS):
                batch = self._read_batch(self._refs[name], group[start : start + _BATCH_KEYS])
                if any(each.image is not None for each in batch):
                    self._filled.add(name)
                found += batch
        return found

    def is_emptied(self, collection: str, rows: int) -> bool:
        """Tell whether a collection has no points, and had some: read here, or ``rows`` of a snapshot.

        Raises:
            TransientError: The source does not answer.
        """
        return bool(rows or collection in self._filled) and self._store.count(collection) == 0

    def _read_batch(self, ref: Ref, group: list[tuple[Due, Key]]) -> list[ReadBack]:
        position = max((due.position for due, _ in group), key=_position_order)
        try:
            points = self._store.read(ref, [key for _, key in group], position)
        except RecordError as error:
            if len(group) == 1:
                return [ReadBack(group[0][0], None, error)]
            middle = len(group) // 2  # some point cannot be held: halve until it is alone
            return self._read_batch(ref, group[:middle]) + self._read_batch(ref, group[middle:])
        return [
            ReadBack(due, None if point is None else point.image)
            for (due, _), point in zip(group, points, strict=True)
        ]


def _position_order(position: str) -> tuple[int, str]:
    # positions are numbers in the sources that have them: the longer one is the later one
    return len(position), position


class Brake:
    """Stops the worker when points vanish that nobody deleted.

    A dropped collection, a cold tenant or a store that came up empty look like
    deletes of everything; nobody asked for those. What counts is different
    points that are absent, and for which no hint said ``delete``: a few keys that
    come and go all the time are an application at work. A collection that had
    points and has none, for a moment, stops it at the first one.
    """

    def __init__(
        self,
        vanished_max: int,
        window_s: float,
        clock: Callable[[], float],
        is_emptied: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Allow so many in ``window_s``; 0 allows any number.

        Args:
            vanished_max: Different points.
            window_s: In which they are counted.
            clock: Seconds that only grow.
            is_emptied: Whether a collection had points and has none; asked only
                where all that was read of it is absent.
        """
        self._vanished_max = vanished_max
        self._window_s = window_s
        self._clock = clock
        self._is_emptied = is_emptied
        self._since = clock()
        self._empty_since: float | None = None
        self._vanished: set[bytes] = set()
        self._deleted: set[bytes] = set()

    def check(self, read: Sequence[ReadBack]) -> None:
        """Count what vanished in this read, before anything of it is published.

        Raises:
            HaltError: It is too much.
            TransientError: A collection seems to be empty: it must be read again.
        """
        if not self._vanished_max:
            return
        now = self._clock()
        if now - self._since > self._window_s:
            self._since = now
            self._vanished.clear()
            self._deleted.clear()
        for each in read:
            if each.error is None:
                self._count(each.due, is_absent=each.image is None)
        vanished, deleted = len(self._vanished), len(self._deleted)
        if vanished <= 2 * deleted:
            return
        emptied = [name for name in self._all_absent(read) if self._is_emptied(name)]
        if not emptied:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        if emptied and now < (self._empty_since or now) + _SURE_S:
            # the delete of the last points may be announced, and not be read yet
            raise TransientError(f"collection {emptied[0]!r} is empty now; it is read again")
        if emptied or vanished > self._vanished_max:
            where = f"collection {emptied[0]!r}, which is empty now" if emptied else "the source"
            raise HaltError(
                f"{vanished} points vanished from {where}, within {self._window_s:g} s, and {deleted} were "
                f"deleted: a dropped collection, or a store that came up empty? Nothing of it was captured. "
                f"If they are gone on purpose, raise capture.vanished_max = {self._vanished_max} "
                f"(0 captures whatever vanishes) and start again"
            )

    def _all_absent(self, read: Sequence[ReadBack]) -> set[str]:
        """Return the collections of which keys vanished and none was found."""
        found = {parse_key(each.due.key).collection for each in read if each.image is not None}
        vanished = (each.due.key for each in read if each.due.key in self._vanished)
        return {parse_key(key).collection for key in vanished} - found

    def _count(self, due: Due, *, is_absent: bool) -> None:
        key = due.key
        if is_absent and due.verb != "delete" and key not in self._deleted:
            self._vanished.add(key)
            return
        self._vanished.discard(key)  # it is there, or it was deleted
        if is_absent:
            self._deleted.add(key)


def newest_claims(records: Sequence[tuple[str, int]], prefix: str) -> Mapping[int, int]:
    """Return the newest claim's offset of each partition.

    Args:
        records: Name and offset of every claim.
        prefix: Of the names, ``capture/<direction>/``; the partition follows.
    """
    newest: dict[int, int] = {}
    for name, offset in records:
        if name.startswith(prefix):
            partition = int(name.removeprefix(prefix).split("/", 1)[0])
            newest[partition] = max(offset, newest.get(partition, -1))
    return newest
