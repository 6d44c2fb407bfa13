"""A source and a target that cost nothing: what is left is Vecferry's own time.

``null://any?points=50000&dim=768`` scans as a collection of so many points whose
vectors come from a small pool of seeded ones, and accepts every write without
keeping it. Each process has its own; a benchmark compares throughput, not points.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Event, Lock
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from vecferry.errors import ConfigError
from vecferry.model import Collection, Dense, Image, Key, Point, Vector, VectorSpec
from vecferry.ports import Bounds, Failure, Hit, Ref, Write
from vecferry.settings import StoreSettings
from vecferry.stores.memory import CAPABILITIES

_POOL_VECTORS = 1_024
_PAGE_POINTS = 1_000


def connect(settings: StoreSettings) -> "NullStore":
    """Open the store that ``settings.url`` describes.

    Raises:
        ConfigError: A number of the URL is not one, or is not known.
    """
    numbers = {"points": 0, "dim": 768, "batch_ms": 0}
    for name, text in parse_qsl(urlsplit(settings.url).query):
        if name not in numbers or not text.isdigit():
            raise ConfigError(
                f"url = {settings.url!r}: {name}={text} is not one of {list(numbers)}"
            )
        numbers[name] = int(text)
    return NullStore(numbers["points"], numbers["dim"], batch_ms=numbers["batch_ms"])


class NullStore:
    """Scans synthetic points and forgets what is written.

    Args:
        points: How many points its collections show to a scan; ids 0 to ``points`` - 1.
        dim: Of the one float32 vector, unnamed, cosine.
        batch_ms: What each write request takes, as a target over a network would.
    """

    def __init__(self, points: int = 0, dim: int = 768, *, batch_ms: int = 0) -> None:
        self.capabilities = CAPABILITIES
        self.written = 0
        self.requests: Counter[int] = Counter()
        """Requests by their number of points."""
        self._points = points
        self._batch_s = batch_ms / 1_000
        self._spec = VectorSpec("", dim=dim, metric="cosine")
        self._created: dict[str, Collection] = {}
        self._images = _pool(dim) if points else []
        self._lock = Lock()

    def version(self) -> str:
        """See the port."""
        return "null 1"

    def collections(self) -> list[str]:
        """Return what was created, and ``docs`` where there are points; any other name has them, too."""
        return sorted({*self._created, *(["docs"] if self._points else [])})

    def describe(self, name: str) -> Collection:
        """Return the schema that was created, or the synthetic one.

        Raises:
            ConfigError: It shows no points and nothing of that name was created.
        """
        if name not in self._created and not self._points:
            raise ConfigError(
                f"there is no collection {name!r}: a null target has what was created"
            )
        return self._created.get(name) or Collection(name, (self._spec,))

    def create(self, collection: Collection) -> None:
        """Remember the schema."""
        self._created[collection.name] = collection

    def drop(self, name: str) -> None:
        """Forget the schema."""
        self._created.pop(name, None)

    def count(self, name: str) -> int:
        """Return the number of synthetic points; written ones are not kept."""
        return self._points

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the range of ids."""
        cuts = [str(at) for at in range(points, self._points, points)]
        return [
            Bounds("", low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True)
        ]

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the synthetic points of one part, 1,000 a page."""
        low = int(bounds.low or 0) if after is None else int(str(after.id)) + 1
        high = self._points if bounds.high is None else int(bounds.high)
        for start in range(low, high, _PAGE_POINTS):
            yield [
                Point(Key(ref.logical, "", at), self._images[at % _POOL_VECTORS])
                for at in range(start, min(start + _PAGE_POINTS, high))
            ]

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the synthetic points; nothing that was written is there."""
        return [
            Point(key, self._images[key.id % _POOL_VECTORS])
            if isinstance(key.id, int) and 0 <= key.id < self._points
            else None
            for key in keys
        ]

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Count the writes."""
        if self._batch_s:
            Event().wait(self._batch_s)
        with self._lock:
            self.written += len(writes)
            self.requests[len(writes)] += 1
        return []

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Find nothing."""
        return [[] for _ in queries]

    def close(self) -> None:
        """Nothing to give back."""


def _pool(dim: int) -> list[Image]:
    rows = np.random.default_rng(1).standard_normal((_POOL_VECTORS, dim)).astype("<f4")
    return [
        Image({"": Dense("float32", dim, row.tobytes())}, b'{"n":%d,"text":"synthetic"}' % at)
        for at, row in enumerate(rows)
    ]
