"""The suite sees what is wrong with a store: each broken one fails the test it should."""

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vecferry.model import Dense, Image, Key, Point
from vecferry.ports import Bounds, Failure, Ref, Write
from vecferry.stores.memory import Database, MemoryStore
from vecferry.testing.subjects import create, plain


class NamespacesForgotten(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        flat = [write._replace(key=write.key._replace(namespace="")) for write in writes]
        return super().write(ref, flat)

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        found = super().read(ref, [key._replace(namespace="") for key in keys])
        return [p and p._replace(key=key) for p, key in zip(found, keys, strict=True)]


class IdsCastToText(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        cast = [write._replace(key=write.key._replace(id=str(write.key.id))) for write in writes]
        return super().write(ref, cast)

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        return super().read(ref, [key._replace(id=str(key.id)) for key in keys])


class PayloadsMerged(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        merged = []
        for write, old in zip(writes, self.read(ref, [w.key for w in writes]), strict=True):
            image = write.image
            if image and old:
                fields = json.loads(old.image.payload) | json.loads(image.payload)
                image = image._replace(payload=json.dumps(fields).encode())
            merged.append(write._replace(image=image))
        return super().write(ref, merged)


class NumbersAsDoubles(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        return super().write(ref, [w._replace(image=w.image and rounded(w.image)) for w in writes])


def rounded(image: Image) -> Image:
    fields = json.loads(image.payload, parse_int=float)
    return image._replace(payload=json.dumps(fields, separators=(",", ":")).encode())


class NullsDropped(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        kept = [w._replace(image=w.image and without_nulls(w.image)) for w in writes]
        return super().write(ref, kept)


def without_nulls(image: Image) -> Image:
    fields = {name: v for name, v in json.loads(image.payload).items() if v is not None}
    return image._replace(payload=json.dumps(fields, separators=(",", ":")).encode())


class UnitLengthUnsaid(MemoryStore):
    """Adds a hair to every float32 vector."""

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        return super().write(ref, [w._replace(image=w.image and touched(w.image)) for w in writes])


def touched(image: Image) -> Image:
    vectors = {
        name: v._replace(data=v.data[:-4] + bytes([v.data[-4] ^ 1]) + v.data[-3:])
        if isinstance(v, Dense) and v.dtype == "float32"
        else v
        for name, v in image.vectors.items()
    }
    return image._replace(vectors=vectors)


class BatchRefusedWhole(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        trial = MemoryStore(Database())
        trial.create(self.describe(ref.name))
        return trial.write(ref, writes) or super().write(ref, writes)


class BoundsAtTheEnds(MemoryStore):
    """Begins at the first key there is and ends at the last."""

    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        bounds = super().plan_chunks(name, points)
        places = self._database.held(name).places()
        if places:
            bounds[0] = bounds[0]._replace(low=json.dumps(places[0]))
        return bounds


class BoundsOverlap(MemoryStore):
    def plan_chunks(self, name: str, points: int) -> list[Bounds]:
        bounds = super().plan_chunks(name, points)
        lows = [None, *(part.low for part in bounds[:-1])]
        return [part._replace(low=low) for part, low in zip(bounds, lows, strict=True)]


class PagesByOffset(MemoryStore):
    """Counts its way forward in a collection that changes."""

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        at = 0
        while True:
            found = [point for page in super().scan(ref, bounds, after=after) for point in page]
            if not found[at : at + 100]:
                return
            yield found[at : at + 100]
            at += 100


class AfterIgnored(MemoryStore):
    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        return super().scan(ref, bounds)


class ReadInItsOwnOrder(MemoryStore):
    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        return super().read(ref, sorted(keys, key=str))


class DeletesIgnored(MemoryStore):
    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        return super().write(ref, [write for write in writes if write.image])


class CountOfWrites(MemoryStore):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.written = 0

    def write(self, ref: Ref, writes: Sequence[Write]) -> list[Failure]:
        self.written += len(writes)
        return super().write(ref, writes)

    def count(self, name: str) -> int:
        return self.written


class WorstFirst(MemoryStore):
    def search(self, *args: Any, **options: Any) -> Any:
        return [hits[::-1] for hits in super().search(*args, **options)]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


POINTS, SCAN = load("test_points"), load("test_scan")

BROKEN: list[tuple[Callable[..., None], type[MemoryStore]]] = [
    (POINTS.test_the_same_id_in_two_namespaces_is_two_points, NamespacesForgotten),
    (POINTS.test_ids_of_every_type_are_distinct_and_come_back_with_their_type, IdsCastToText),
    (POINTS.test_an_image_replaces_the_whole_point, PayloadsMerged),
    (POINTS.test_a_payload_comes_back_as_it_was, NumbersAsDoubles),
    (POINTS.test_each_awkward_payload_field_comes_back_alone, NullsDropped),
    (POINTS.test_every_kind_of_vector_is_described_and_comes_back_bit_for_bit, UnitLengthUnsaid),
    (POINTS.test_cosine_keeps_the_bits_or_at_least_the_direction, UnitLengthUnsaid),
    (POINTS.test_a_vector_of_another_dimension_is_refused_alone, BatchRefusedWhole),
    (POINTS.test_points_are_read_in_the_order_that_was_asked_for, ReadInItsOwnOrder),
    (POINTS.test_a_delete_removes_the_point_and_an_absent_one_is_fine, DeletesIgnored),
    (POINTS.test_one_request_can_hold_upserts_and_deletes, DeletesIgnored),
    (SCAN.test_keys_that_come_after_planning_lie_in_exactly_one_chunk, BoundsAtTheEnds),
    (SCAN.test_chunks_return_every_key_exactly_once, BoundsOverlap),
    (SCAN.test_a_key_that_exists_throughout_is_found_among_writes, PagesByOffset),
    (SCAN.test_a_scan_goes_on_behind_a_key, AfterIgnored),
    (SCAN.test_a_count_is_exact, CountOfWrites),
    (SCAN.test_every_metric_is_read_back_and_searched_in_its_exact_order, WorstFirst),
]


@pytest.mark.parametrize(
    ("check", "broken"), BROKEN, ids=[f"{b.__name__}-{c.__name__}" for c, b in BROKEN]
)
def test_a_broken_store_is_seen(check: Callable[..., None], broken: type[MemoryStore]) -> None:
    run(check, MemoryStore(Database()))
    with pytest.raises(AssertionError):
        run(check, broken(Database()))


def run(check: Callable[..., None], store: MemoryStore) -> None:
    subject = create(store, plain(store.capabilities))
    given = {"store": store, "shared": subject, "alone": subject}
    wanted = check.__code__.co_varnames[: check.__code__.co_argcount]
    check(**{name: given[name] for name in wanted})
