"""Real points against the target's own packing: the worst rating, an example, a share."""

import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vecferry.errors import ConfigError
from vecferry.mapping.plan import Plan, Side, plan_mapping
from vecferry.mapping.sample import (
    Sample,
    measure_sizes,
    rate_sample,
    record_bytes,
    require_known,
    take_sample,
    try_sample,
)
from vecferry.model import Collection, Dense, Id, Image, Key, Point, Sparse, VectorSpec
from vecferry.ports import Bounds, Fit, Ref, Write
from vecferry.settings import CollectionSettings
from vecferry.stores.memory import CAPABILITIES, Database, MemoryStore

DOCS = CollectionSettings(source="docs")
SCHEMA = Collection("docs", (VectorSpec("e", dim=2, metric="l2"),))
REF = Ref("docs", "docs")


def a_point(at: Id, payload: bytes = b"{}", **vectors: Dense) -> Point:
    return Point(Key("docs", "", at), Image(vectors or {"e": dense(1.0, 0.0)}, payload))


def dense(*values: float) -> Dense:
    return Dense("float32", len(values), struct.pack(f"<{len(values)}f", *values))


def a_plan(acknowledge: tuple[str, ...] = (), schema: Collection = SCHEMA) -> Plan:
    settings = DOCS.model_copy(update={"acknowledge": acknowledge})
    return plan_mapping(Side(schema, CAPABILITIES), CAPABILITIES, settings)


def row(plan: Plan, field: str) -> tuple[str, str, float]:
    (found,) = [rated for rated in plan.fields if rated.field == field]
    return found.rating, found.example, found.share


def big_is_lossy(_collection: Collection, point: Point) -> list[Fit]:
    fits = []
    if point.key.id == 2:
        fits = [Fit("payload.big", "carried", "it is large")]
    if point.key.id == 3:
        fits = [Fit("payload.big", "lossy", "it is huge"), Fit("vectors.e", "widened", "wide")]
    return fits


def test_each_field_has_its_worst_rating_with_a_key_and_the_share() -> None:
    points = [a_point(at, b'{"big":1,"ok":"x"}') for at in range(1, 5)]
    plan = rate_sample(a_plan(), points, (big_is_lossy, CAPABILITIES))
    assert row(plan, "payload.big") == ("lossy", "docs/3", 0.5)
    assert row(plan, "payload.ok") == ("exact", "", 0.0)
    assert row(plan, "vectors.e") == ("widened", "docs/3", 0.25)
    assert plan.sampled == 4
    assert "payload.big is lossy: it is huge" in plan.refusals[0]


def test_what_is_acknowledged_by_name_is_no_refusal() -> None:
    points = [a_point(3, b'{"big":1}')]
    plan = rate_sample(a_plan(("payload.big",)), points, (big_is_lossy, CAPABILITIES))
    assert require_known(plan).refusals == ()


def test_no_value_of_a_point_is_in_the_plan() -> None:
    points = [a_point(3, b'{"big":"a secret word"}')]
    plan = rate_sample(a_plan(), points, (big_is_lossy, CAPABILITIES))
    assert "secret" not in repr(plan)


def test_ids_that_are_hashed_are_seen_in_the_sample() -> None:
    target = replace(CAPABILITIES, int_min=0)
    plan = rate_sample(a_plan(), [a_point(-1), a_point(1)], (big_is_lossy, target))
    assert row(plan, "id") == ("carried", "docs/-1", 0.5)


def test_a_vector_that_is_called_otherwise_there_is_rated_under_the_sources_name() -> None:
    settings = DOCS.model_copy(update={"vectors": {"e": "x"}})
    plan = plan_mapping(Side(SCHEMA, CAPABILITIES), CAPABILITIES, settings)

    def fit(_collection: Collection, point: Point) -> list[Fit]:
        return [Fit(f"vectors.{name}", "lossy", "so") for name in point.image.vectors]

    rated = rate_sample(plan, [a_point(1)], (fit, CAPABILITIES))
    assert row(rated, "vectors.e") == ("lossy", "docs/1", 1.0)


@pytest.mark.parametrize("name", ["payload.bug", "vectors.f", "ids"])
def test_an_acknowledgement_of_no_field_is_an_error_with_the_nearest(name: str) -> None:
    plan = rate_sample(a_plan((name,)), [a_point(1, b'{"big":1}')], (big_is_lossy, CAPABILITIES))
    with pytest.raises(ConfigError, match=r"the nearest is '(payload\.big|vectors\.e|id)'"):
        require_known(plan)


def test_a_rare_payload_field_may_be_acknowledged_and_is_told() -> None:
    plan = rate_sample(
        a_plan(("payload.seldom",)), [a_point(1, b'{"big":1}')], (big_is_lossy, CAPABILITIES)
    )
    assert "payload.seldom" in require_known(plan).warnings[-1]


def a_store(points: int) -> MemoryStore:
    store = MemoryStore(Database())
    store.create(SCHEMA)
    store.write(REF, [Write(*a_point(at)) for at in range(points)])
    return store


class Paged(MemoryStore):
    """Remembers what was scanned, and whether each scan was ended."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.pages = 0

    def scan(self, ref: Ref, bounds: Bounds, *, after: Key | None = None) -> Iterator[list[Point]]:
        for page in super().scan(ref, bounds, after=after):
            self.pages += 1
            yield page


def test_a_sample_comes_from_all_over_the_collection_and_reads_first_pages_only() -> None:
    database = Database()
    store = Paged(database)
    store.create(SCHEMA)
    store.write(REF, [Write(*a_point(at)) for at in range(20_000)])
    sample = take_sample(store, REF, 16)
    ids = [int(str(point.key.id)) for point in sample.points]
    assert len(ids) == 16
    assert min(ids) < 2_500
    assert max(ids) > 17_000
    assert store.pages == 8
    assert sample.read_points == 8_000
    assert sample.points_per_s > 0


def test_a_small_or_empty_collection_is_sampled_whole() -> None:
    assert len(take_sample(a_store(5), REF, 100).points) == 5
    assert take_sample(a_store(0), REF, 100).points == ()
    assert take_sample(a_store(5), REF, 0) == Sample(())


def test_the_targets_own_word_is_asked_for() -> None:
    target = MemoryStore(Database(), replace(CAPABILITIES, normalises=True))
    schema = Collection("docs", (VectorSpec("e", dim=2, metric="cosine"),))
    points = (a_point(1, e=dense(1.0, 0.0)), a_point(2, e=dense(3.0, 4.0)))
    plan = try_sample(a_plan(schema=schema), target, Sample(points))
    assert row(plan, "vectors.e") == ("lossy", "docs/2", 0.5)


class Plain:
    """A target that tells no more than its limits."""

    capabilities = replace(CAPABILITIES, payload_bytes_max=10)


def test_a_target_that_cannot_judge_is_held_to_its_limits() -> None:
    points = (a_point(1), a_point(2, b'{"long":"0123456789"}'))
    plan = try_sample(a_plan(), Plain(), Sample(points))  # type: ignore[arg-type]
    assert row(plan, "payload") == ("dropped", "docs/2", 0.5)


def test_a_record_is_weighed_with_all_that_it_holds() -> None:
    small = a_point(1)
    large = Point(
        Key("docs", "", 2),
        Image(
            {"e": dense(1.0, 0.0), "s": Sparse(b"\0" * 400, b"\0" * 400)},
            b'{"t":"%s"}' % (b"x" * 500),
        ),
    )
    assert 1_300 < record_bytes(large) - record_bytes(small) < 1_400
    sizes = measure_sizes([small, large])
    assert (sizes.largest, sizes.largest_key) == (record_bytes(large), "docs/2")
    assert sizes.mean == (record_bytes(small) + record_bytes(large)) / 2
    assert measure_sizes([]).mean == 0
