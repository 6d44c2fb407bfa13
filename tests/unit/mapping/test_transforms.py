"""Transforms in their order, the schema that they make, and a target that follows them."""

import json
import struct
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.consumers.progress import Entry
from vecferry.consumers.targets import Target, write_entries
from vecferry.errors import ConfigError, RecordError, TransientError
from vecferry.mapping.names import Mapping
from vecferry.mapping.steps import _MAKERS
from vecferry.mapping.transforms import (
    Preview,
    Transforms,
    load_transforms,
    passage,
    transform_schema,
)
from vecferry.model import Collection, Dense, Image, Key, Multi, Point, Sparse, VectorSpec
from vecferry.payload import encode_payload
from vecferry.ports import Ref
from vecferry.record import Event, EventKind
from vecferry.settings import Settings, parse_settings
from vecferry.testing.applying import REF, MemoryLog, Rig, image_of, key_of, new_store
from vecferry.transform_settings import OPERATIONS, TransformSettings

FOLDER = Path("/nowhere")
SPECS = (
    VectorSpec("a", dim=2, metric="dot", index={"type": "hnsw"}),
    VectorSpec("b", "multi", "float16", 2, "cosine"),
    VectorSpec("s", "sparse", metric="dot"),
)
DOCS = Collection("docs", SPECS)


def parsed(transforms: list[dict[str, Any]]) -> Settings:
    store = {"type": "memory", "url": "memory://x"}
    return parse_settings(
        {
            "name": "m",
            "source": store,
            "target": store,
            "collections": [{"source": "docs", "transforms": transforms}],
        },
        {},
        "the file",
    )


def listed(*transforms: dict[str, Any]) -> tuple[TransformSettings, ...]:
    return parsed(list(transforms)).collections[0].transforms


def loaded(*transforms: dict[str, Any]) -> Transforms:
    return load_transforms(listed(*transforms), FOLDER)


def point(payload: dict[str, Any], **vectors: Any) -> Point:
    return Point(Key("docs", "", 1), Image(vectors, encode_payload(payload)))


def made(payload: dict[str, Any], *transforms: dict[str, Any]) -> Any:
    outcome = loaded(*transforms).one(point(payload))
    return None if outcome is None else json.loads(outcome.image.payload)


# --- order ---


def test_the_order_is_that_of_the_file() -> None:
    put, move = {"set": {"a": 1}}, {"rename": {"a": "b"}}
    assert made({}, put, move) == {"b": 1}
    assert made({}, move, put) == {"a": 1}


def test_a_condition_looks_at_the_point_as_it_is_at_its_turn() -> None:
    put, subset = {"set": {"a": 1}}, {"where": {"a": {"equals": 1}}}
    assert made({}, put, subset) == {"a": 1}
    assert made({}, subset, put) is None


def test_where_not_leaves_out_what_fulfils_all_its_conditions() -> None:
    subset = {"where_not": {"a": {"equals": 1}, "b": {"exists": True}}}
    assert made({"a": 1, "b": 0}, subset) is None
    assert made({"a": 1}, subset) == {"a": 1}
    assert made({"b": 0}, subset) == {"b": 0}


def test_a_failure_and_a_point_left_out_do_not_hold_up_the_others() -> None:
    transforms = loaded(
        {"where": {"n": {"exists": True}}}, {"cast": {"n": "int"}}, {"set": {"x": 1}}
    )
    outcomes = transforms.apply(
        [point({"n": "1"}), point({}), point({"n": "one"}), point({"n": 2})]
    )
    assert [type(each) for each in outcomes] == [Point, type(None), RecordError, Point]
    with pytest.raises(RecordError, match="'n' is a text"):
        transforms.one(point({"n": "one"}))


def test_without_transforms_a_point_is_the_same_object() -> None:
    before = point({"a": 1})
    assert Transforms().one(before) is before


def test_a_payload_that_is_not_looked_at_is_not_decoded() -> None:
    broken = Point(Key("docs", "", 1), Image({"a": Dense("float32", 1, b"\0" * 4)}, b"not JSON"))
    kept = loaded({"rename_vector": {"a": "z"}}).one(broken)
    assert kept is not None
    assert kept.image.payload == b"not JSON"
    assert list(kept.image.vectors) == ["z"]


def test_the_names_of_the_target_come_last() -> None:
    mapping = Mapping(Ref("docs", "docs"), Ref("there", "docs"), (("z", "v"),))
    vector = Dense("float32", 1, b"\0" * 4)
    pass_on = passage(loaded({"rename_vector": {"a": "z"}}), mapping)
    assert pass_on([point({}, a=vector)]) == [point({}, v=vector)]


def test_a_preview_counts_what_would_be_dead_letters() -> None:
    mapping = Mapping(Ref("docs", "docs"), Ref("docs", "docs"))
    preview = Preview(loaded({"cast": {"n": "int"}}), mapping)
    assert preview(point({"n": "1"})) == point({"n": 1})
    assert preview.warnings() == ()
    assert preview(point({"n": "secret"})) is None
    (warning,) = preview.warnings()
    assert "fail for 1 of the sampled points" in warning
    assert "secret" not in warning


# --- the file ---


@pytest.mark.parametrize(
    ("transform", "why"),
    [
        (
            {"renme": {"a": "b"}},
            r"'collections.0.transforms.0.renme' is not a setting: did you mean 'rename'",
        ),
        ({"where": {"a": {"equal": 1}}}, r"where.a.equal' is not a setting: did you mean 'equals'"),
        ({"where": {"equals": {"equal": 1}}}, r"did you mean 'equals'"),
        ({"transform": "m:f", "vectors": {"v": {"dims": 3}}}, "did you mean 'dim'"),
        ({}, "needs one operation of rename, drop, .* and has none"),
        ({"drop": ["a"], "keep": ["b"]}, "has drop and keep"),
        ({"drop": []}, "drop is empty"),
        ({"where_not": {}}, "where_not is empty"),
        ({"where": {"a": {}}}, "needs a condition"),
        ({"cast": {"a": "integer"}}, "'int', 'float', 'text' or 'bool'"),
        ({"cast_vector": {"a": "binary"}}, "float32"),
        ({"drop": ["a"], "scale": 2}, "scale belongs to cast_vector"),
        ({"drop": ["a"], "concurrent": True}, "concurrent belongs to transform or transform_batch"),
        ({"transform": "m:f", "tolerance": 0.1}, "name them in vectors"),
        ({"transform": "m:f", "vectors": {"v": {}}}, "every other one needs it"),
        ({"transform": "m:f", "vectors": {"v": {"kind": "sparse", "dim": 1}}}, "has no dim"),
        ({"set": {"a": date(2024, 1, 1)}}, "a date without quotes"),
        ({"set": {"a": float("nan")}}, "JSON"),
    ],
)
def test_a_wrong_transform_is_refused_with_what_it_should_be(transform: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parsed([transform])


def test_every_operation_has_a_step() -> None:

    assert set(_MAKERS) | {"transform", "transform_batch"} == set(OPERATIONS)


def test_words_are_the_same_for_the_same_file_and_others_for_another() -> None:
    one = {"where": {"a": {"equals": 1}}}
    assert loaded(one).words() == loaded(one).words() == [one]
    assert loaded(one).words() != loaded({"where": {"a": {"equals": 2}}}).words()


# --- the schema ---


@pytest.mark.parametrize(
    ("transform", "why"),
    [
        ({"rename_vector": {"aa": "b"}}, "no vector 'aa' here: did you mean 'a'"),
        ({"rename_vector": {"a": "b"}}, "two vectors would have the name 'b'"),
        ({"drop_vector": ["xyz"]}, "it has 'a', 'b', 's'"),
        ({"normalise": ["s"]}, "'s' is sparse"),
        ({"cast_vector": {"s": "float16"}}, "'s' is sparse"),
    ],
)
def test_a_transform_that_does_not_fit_the_schema_is_refused(transform: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        transform_schema(DOCS, listed({"drop": ["x"]}, transform))
    assert "collections.transforms.1." in str(refused.value)


def test_vectors_of_the_schema_are_renamed_swapped_dropped_cast_and_made() -> None:
    found = transform_schema(
        DOCS,
        listed(
            {"rename_vector": {"a": "b", "b": "a"}},
            {"cast_vector": {"b": "float16"}},
            {"drop_vector": ["s"]},
            {"transform": "m:f", "vectors": {"b": {"dim": 3}, "new": {"dim": 4, "metric": "l2"}}},
        ),
    )
    assert found.vectors == (
        VectorSpec("b", dim=3, metric="dot", index={"type": "hnsw"}),
        VectorSpec("a", "multi", "float16", 2, "cosine"),
        VectorSpec("new", dim=4, metric="l2"),
    )


def test_what_a_vendor_said_of_a_changed_payload_field_is_forgotten() -> None:
    options = {
        "payload_schema": {"a": 1, "b.c": 2, "d": 3},
        "milvus": {"fields": [{"name": "a"}, {"name": "d"}], "partition_key": "a", "shards": 2},
        "pgvector": {"columns": [{"name": "d"}, {"name": "b"}]},
    }
    collection = Collection("docs", SPECS, options=options)
    found = transform_schema(collection, listed({"rename": {"a": "x"}}, {"drop": ["b.c"]}))
    assert found.options == {
        "payload_schema": {"d": 3},
        "milvus": {"fields": [{"name": "d"}], "shards": 2},
        "pgvector": {"columns": [{"name": "d"}]},
    }
    assert transform_schema(collection, listed({"keep": ["d.e"]})).options == found.options
    assert transform_schema(collection, listed({"drop_vector": ["a"]})).options == options


def test_the_tolerance_of_a_function_follows_its_vector() -> None:
    one = {"transform": "m:f", "vectors": {"v": {"dim": 1}, "w": {"dim": 1}}, "tolerance": 0.01}
    found = Transforms(listed(one, {"rename_vector": {"v": "x"}}, {"drop_vector": ["w"]}))
    assert found.tolerances() == {"x": 0.01}


_VECTORS = {
    "a": Dense("float32", 2, struct.pack("<2f", 0.5, -0.25)),
    "b": Multi("float16", 2, 1, struct.pack("<2e", 0.5, 1)),
    "s": Sparse(struct.pack("<I", 1), struct.pack("<f", 1)),
}
_NAMES = st.sampled_from("abst")
_OPERATIONS = st.one_of(
    st.dictionaries(_NAMES, _NAMES, min_size=1).map(lambda names: {"rename_vector": names}),
    st.lists(_NAMES, min_size=1, max_size=2).map(lambda names: {"drop_vector": names}),
    st.lists(_NAMES, min_size=1, max_size=2).map(lambda names: {"normalise": names}),
    st.dictionaries(
        _NAMES, st.sampled_from(["float32", "float16", "bfloat16", "int8"]), min_size=1
    ).map(lambda types: {"cast_vector": types}),
)


@given(st.lists(_OPERATIONS, max_size=4))
def test_the_image_has_the_vectors_of_the_schema(operations: list[dict[str, Any]]) -> None:
    transforms = listed(*operations)
    try:
        schema = transform_schema(DOCS, transforms)
    except ConfigError:
        return
    outcome = load_transforms(transforms, FOLDER).one(point({}, **_VECTORS))
    assert outcome is not None
    found = {
        name: VectorSpec(
            name,
            type(vector).__name__.lower(),  # type: ignore[arg-type]
            "float32" if isinstance(vector, Sparse) else vector.dtype,
            0 if isinstance(vector, Sparse) else vector.dim,
        )
        for name, vector in outcome.image.vectors.items()
    }
    assert found == {
        spec.name: VectorSpec(spec.name, spec.kind, spec.dtype, spec.dim) for spec in schema.vectors
    }


# --- a target that follows ---

_CHANGES = st.lists(
    st.tuples(st.integers(0, 4), st.none() | st.tuples(st.integers(0, 3), st.booleans())),
    max_size=25,
)


def image(value: int, is_in: bool) -> Image:
    payload = {"n": value, "in": is_in} if value else {"n": "none"}
    return image_of(float(value))._replace(payload=encode_payload(payload))


def converge(changes: list[Any], transform: Any) -> tuple[MemoryLog, Rig]:
    """Write the changes to a log and let an applier follow, settling in the middle."""
    log = MemoryLog()
    log.put(Event(EventKind.EPOCH, term=1))
    rig = Rig(log, transform=transform, batch_points=3)
    for at, (number, state) in enumerate(changes):
        kind = EventKind.DELETE if state is None else EventKind.IMAGE
        there = None if state is None else image(*state)
        log.put(Event(kind, key_of(number), there, term=1, hint_offset=at))
        if at == len(changes) // 2:
            rig.settle()
    rig.settle()
    return log, rig


def held(rig: Rig) -> dict[Any, float | None]:
    return {n: shown for n in range(5) if (shown := rig.shown(n)) is not None}


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(_CHANGES)
def test_a_subset_and_its_deletes_converge_and_what_fails_is_marked(changes: list[Any]) -> None:
    transforms = loaded({"where_not": {"in": {"equals": False}}}, {"cast": {"n": "int"}})
    log, rig = converge(changes, transforms.apply)
    try:
        last = dict(changes)
        failed = {number for number, state in last.items() if state is not None and state[0] == 0}
        wanted = {
            n: float(state[0]) for n, state in last.items() if state and state[0] and state[1]
        }
        assert {n: shown for n, shown in held(rig).items() if n not in failed} == wanted
        assert log.diverged() == {key_of(number) for number in failed}
        assert {dead.key for dead in log.dead} >= log.diverged()
        assert all("'n' is a text that cannot become int" in dead.reason for dead in log.dead)
    finally:
        rig.close()


def test_a_point_that_stops_matching_stays_where_left_out_does_not_mean_deleted() -> None:
    """The guard removed: leaving a point out only skips its write."""
    transforms = loaded({"where_not": {"in": {"equals": False}}})
    changes = [(1, (1, True)), (2, (2, True)), (1, (3, False))]
    _, rig = converge(changes, transforms.apply)
    assert held(rig) == {2: 2.0}
    rig.close()

    def skip(points: Any) -> Any:
        return [each or RecordError("skipped") for each in transforms.apply(points)]

    _, rig = converge(changes, skip)
    assert held(rig) == {1: 1.0, 2: 2.0}  # 1 should be gone
    rig.close()


def test_an_outage_of_a_function_is_no_dead_letter_and_is_tried_again() -> None:

    tries = iter([TransientError("busy"), TransientError("busy")])

    def busy(points: Any) -> Any:
        for error in tries:
            raise error
        return list(points)

    log, rig = converge([(1, (1, True))], busy)
    assert held(rig) == {1: 1.0}
    assert log.dead == []
    rig.close()


def test_nothing_is_written_before_every_point_of_a_batch_is_transformed() -> None:

    def busy(points: Any) -> Any:
        raise TransientError("busy")

    stores = {"docs": new_store(), "other": new_store()}
    targets = {"docs": Target(stores["docs"], REF), "other": Target(stores["other"], REF, busy)}
    event = Event(EventKind.IMAGE, key_of(1), image_of(1.0), term=1)
    keys = [key_of(1), b"5:other0:i1"]
    with pytest.raises(TransientError):
        write_entries(targets, [(key, Entry(1, 1, event, 1)) for key in keys], lambda: True)
    assert not [call for call in stores["docs"].calls if call.operation == "write"]
