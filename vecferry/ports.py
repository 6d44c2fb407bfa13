"""The Protocols between Vecferry and what it moves data between.

A store adapts one database. It speaks :mod:`vecferry.model`, keeps a typed id
and a namespace it cannot hold natively in ``_vf_id`` and ``_vf_ns``, restores
both when it reads, and never shows another ``_vf_`` field.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from vecferry.model import Collection, Dtype, Image, Key, Metric, Point, Vector

Rating = Literal["exact", "widened", "carried", "lossy", "dropped"]
"""What becomes of a field: another type that holds every value is *widened*, what is kept in a
reserved ``_vf_`` field and restored on the way back is *carried*."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a database can hold and do; the mapping is planned from it.

    Attributes:
        id_types: The types of id it keeps natively: int, uuid, str.
        int_min, int_max: The range of its integer ids.
        id_text: The pattern that a whole string id matches; empty where any will do.
        namespaces: Whether it has a real container for a namespace.
        dtypes: Of dense vectors.
        metrics: Of dense vectors.
        sparse, multi, several_vectors: Whether a point can have such vectors.
        normalises: Whether vectors are changed to unit length under cosine.
        payload_bytes_max: The largest payload; 0 where it has no limit of its own.
        positions: Whether a read can be asked to be at or after a position.
        conditional_writes: Whether a write can name the version it must follow.
        embedded: Whether it serves this machine alone, for trying things.
        freshness_s: How long a write may stay invisible to the strongest read.
        unnamed_vector: What a collection's only vector is called when nobody named it.
        dim_max: Components of a dense vector at most; 0 where it has no limit.
        collection_name: The pattern that a collection's whole name matches, as a
            regular expression; empty where any will do.
        vector_name: The same for a vector's name.
        index_types: The types of dense index that ``create`` can make, in the words of
            :mod:`vecferry.mapping.index`; empty where the database chooses by itself.
        quantisations: The kinds of compression that an index can have, in those words:
            ``scalar``, or ``hnsw/scalar`` where one type of index alone has it.
    """

    id_types: frozenset[str]
    dtypes: frozenset[Dtype]
    metrics: frozenset[Metric]
    int_min: int = 0
    int_max: int = 2**64 - 1
    id_text: str = ""
    namespaces: bool = False
    sparse: bool = False
    multi: bool = False
    several_vectors: bool = False
    normalises: bool = False
    payload_bytes_max: int = 0
    positions: bool = False
    conditional_writes: bool = False
    embedded: bool = False
    unnamed_vector: str = ""
    freshness_s: float = 0.0
    dim_max: int = 0
    collection_name: str = ""
    vector_name: str = ""
    index_types: frozenset[str] = frozenset()
    quantisations: frozenset[str] = frozenset()


class Ref(NamedTuple):
    """A collection by the name it has in a store, and by the source's name for keys."""

    name: str
    logical: str


class Bounds(NamedTuple):
    """A part of a collection that one scan reads; a store makes and understands its own.

    Attributes:
        namespace: The container it lies in, ``""`` for the default one.
        low: Where it begins, inclusive, in the store's own spelling; None at the start.
        high: Where it ends, exclusive; None at the end.
    """

    namespace: str = ""
    low: str | None = None
    high: str | None = None


class Write(NamedTuple):
    """One point to write, or to delete where ``image`` is None.

    ``version`` is the event's offset, for stores with conditional writes.
    """

    key: Key
    image: Image | None
    version: int = -1


class Failure(NamedTuple):
    """A write that the database refused for what it holds, never for an outage."""

    key: Key
    reason: str


class Hit(NamedTuple):
    """A search's answer: the key and the score in the store's own scale."""

    key: Key
    score: float


@runtime_checkable
class SchemaPart(Protocol):
    """What a store says of its collections, and how it makes them."""

    capabilities: Capabilities

    def version(self) -> str:
        """Return product and version; the first request, so a wrong URL shows here.

        Raises:
            ConfigError: Nothing that speaks the protocol is there, or the
                credentials are refused.
        """

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""

    def describe(self, name: str) -> Collection:
        """Return the schema as the database reports it.

        Raises:
            ConfigError: There is no such collection; the nearest name is given.
        """

    def create(self, collection: Collection) -> None:
        """Create an empty collection and its indexes, or raise; never half a collection.

        Raises:
            ConfigError: It exists, or the database cannot hold that schema.
        """

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""

    def count(self, name: str) -> int:
        """Return the exact number of points, all namespaces together."""


@runtime_checkable
class ScanPart(Protocol):
    """Reading everything, in parts that run in parallel."""

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        """Cut the collection into parts of about ``points`` points.

        Guarantees: together the parts cover every key that exists or will
        exist, each key in exactly one part, so that the same bounds are good
        for a later pass.
        """

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        """Yield the points of one part in pages, in an order of the store's own.

        With ``after``, the last key of a page that an earlier scan yielded, the
        scan goes on behind it: how a reader goes on after a TransientError.

        Guarantees: a key that exists throughout the scan is returned, at least
        once; what is written meanwhile may be missed or seen. Vectors never
        become Python floats.
        """


class Since(NamedTuple):
    """The points whose payload holds a time at or after a moment.

    Attributes:
        field: Where the time is; dots lead into objects.
        number: The moment where the time is a number.
        moment: The same where it is a text of RFC 3339; in UTC.
    """

    field: str
    number: int
    moment: datetime


@runtime_checkable
class SelectiveScanPart(Protocol):
    """Reading less than everything. Optional: who asks does without where it is missing.

    ``bounds`` and ``after`` are those of :class:`ScanPart`.
    """

    def scan_since(
        self, ref: Ref, bounds: Bounds, since: Since, *, after: Key | None = None
    ) -> Iterator[list[Point]]:
        """Yield pages of the points of one part that may be at or after a moment.

        Guarantees: as ``scan``, for every point whose time is at or after it,
        and for those that have no such field. Others may be among them.
        """

    def scan_keys(
        self, ref: Ref, bounds: Bounds, *, after: Key | None = None
    ) -> Iterator[list[Key]]:
        """Yield pages of the keys of one part, without reading vectors.

        Guarantees: as ``scan``.
        """


class Changes(NamedTuple):
    """What a database's own log says was changed, in whole transactions.

    Attributes:
        written: Keys of points that are there now, by the source's names of their collections.
        deleted: Keys of points that are not.
        whole: Collections in which anything may have changed.
        position: Where the log is behind them; empty where there was nothing.
    """

    written: tuple[Key, ...]
    deleted: tuple[Key, ...]
    whole: frozenset[str]
    position: str


@runtime_checkable
class ChangesPart(Protocol):
    """Reading the database's own log of changes. Optional.

    ``name`` is the migration's; ``collections`` are always the same for one name.
    """

    def keeps_changes(self, name: str, collections: Sequence[str]) -> bool:
        """Whether every change since the last :meth:`keep_changes` is kept, or was forgotten on demand.

        Raises:
            ConfigError: What is kept under that name is somebody else's.
        """

    def keep_changes(self, name: str, collections: Sequence[str]) -> None:
        """Keep changes from now on; what was kept before is given up.

        Raises:
            ConfigError: The database, the rights or a collection do not allow it.
        """

    def changes(self, name: str, collections: Sequence[str], limit: int) -> Changes:
        """Return the oldest changes that are kept, those of about ``limit`` writes.

        Guarantees: they are committed, and come again until they are forgotten.
        """

    def forget_changes(self, name: str, position: str) -> None:
        """Give up what lies before a position that :meth:`changes` returned."""


class Fit(NamedTuple):
    """A field of an image that a database would not hold as it is.

    Attributes:
        field: ``vectors.NAME``, ``payload.NAME`` with dots into objects, ``payload`` for all
            of it, or ``id``.
        rating: Never exact.
        reason: Why, in a few words that name no value.
    """

    field: str
    rating: Rating
    reason: str


@runtime_checkable
class FitPart(Protocol):
    """Telling beforehand what a write would do to an image. Optional: without it all fits."""

    def fit(self, collection: Collection, key: Key, image: Image) -> list[Fit]:
        """Return what ``collection`` here would not hold of the image as it is.

        Guarantees: no request is sent; what is not listed comes back bit by bit
        when the point is written and read.
        """


@runtime_checkable
class ReadPart(Protocol):
    """Reading single points, as strongly as the database can."""

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        """Return the points in the order of ``keys``, None for an absent one.

        Guarantees: every write acknowledged before the call is seen, at or
        after ``position`` where the store has positions.
        """


@runtime_checkable
class WritePart(Protocol):
    """Writing, durably."""

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        """Upsert and delete; return only when durable, with what was refused.

        The keys are distinct. An image replaces the whole point.

        Guarantees: a request is over, landed or never, ``timeout_s`` after it
        was sent.

        Raises:
            UnknownOutcome: A request may have landed, or may yet.
            TransientError: Nothing was changed by the requests that failed.
            RecordError: The database refuses some record but does not say which.
        """


@runtime_checkable
class SearchPart(Protocol):
    """Nearest neighbours, for comparing two sides."""

    def search(
        self, ref: Ref, vector: str, queries: Sequence[Vector], k: int, *, exact: bool = True
    ) -> list[list[Hit]]:
        """Return the ``k`` best hits of each query, best first.

        ``exact`` asks for a search without the approximate index where the
        database has one.
        """


@runtime_checkable
class Store(SchemaPart, ScanPart, ReadPart, WritePart, SearchPart, Protocol):
    """An adapter to one database."""

    def close(self) -> None:
        """Give back connections and threads; a second call is fine."""
