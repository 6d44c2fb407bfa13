"""The file that keeps a plan: canonical, and every deviation has a name."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError
from vecferry.mapping.decided import (
    decide,
    fingerprint,
    first_difference,
    load_decided,
    require_decided,
    write_decided,
)
from vecferry.mapping.plan import FieldRating, Plan, Side, plan_mapping
from vecferry.model import Collection, VectorSpec
from vecferry.settings import CollectionSettings
from vecferry.stores.memory import CAPABILITIES

KINDS = ("memory", "memory")
SCHEMA = Collection("docs", (VectorSpec("e", dim=3, metric="l2", index={"type": "hnsw", "m": 8}),))


def a_plan(schema: Collection = SCHEMA, existing: Collection | None = None, **more: Any) -> Plan:
    settings = CollectionSettings.model_validate({"source": "docs", **more})
    return plan_mapping(Side(schema, CAPABILITIES), CAPABILITIES, settings, existing)


def a_document(**more: Any) -> dict[str, Any]:
    return decide("docs", KINDS, [a_plan(**more)])


def with_rating(document: dict[str, Any], field: str, rating: str) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["collections"]["docs"]["ratings"][field] = rating
    return changed


def test_what_was_written_is_read_and_is_no_deviation(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_decided(a_document(), path)
    assert load_decided(path) == json.loads(json.dumps(a_document()))
    require_decided(path, a_document())


def test_the_same_plan_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_decided(a_document(), first)
    write_decided(dict(reversed(a_document().items())), second)
    assert first.read_bytes() == second.read_bytes()


def test_a_target_that_was_made_since_is_no_deviation() -> None:
    made = Collection("docs", SCHEMA.vectors, id_types=frozenset({"int"}), options={"shards": 2})
    assert first_difference(a_document(), a_document(existing=made)) is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"target": "other"}, "collections.docs.target"),
        ({"vectors": {"e": "x"}}, "collections.docs.index.x is new"),
        ({"index": {"m": 9}}, "collections.docs.index.e.m is 9 now and was 8"),
        ({"acknowledge": ["id"]}, "collections.docs.acknowledged"),
        (
            {"schema": replace(SCHEMA, vectors=(VectorSpec("e", dim=4, metric="l2"),))},
            "collections.docs.index.e.m is no longer there",
        ),
    ],
)
def test_a_deviation_is_named(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    path = tmp_path / "kept.json"
    write_decided(a_document(), path)
    with pytest.raises(ConfigError) as error:
        require_decided(path, a_document(**changed))
    assert "`vecferry plan --out" in str(error.value)
    differing = first_difference(a_document(), a_document(**changed))
    assert differing is not None
    assert differing in str(error.value)
    assert told.split(" is ")[0].rsplit(".", 1)[0] in differing or told in differing


def test_only_a_worse_rating_is_a_deviation() -> None:
    kept = with_rating(a_document(), "payload.a", "carried")
    assert first_difference(kept, with_rating(kept, "payload.a", "exact")) is None
    assert first_difference(kept, a_document()) is None, "the sample is another one"
    assert first_difference(kept, with_rating(kept, "payload.b", "carried")) is None
    worse = first_difference(kept, with_rating(kept, "payload.a", "lossy"))
    assert worse == "collections.docs.ratings.payload.a is lossy now and was carried"
    new = first_difference(kept, with_rating(kept, "payload.b", "dropped"))
    assert new == "collections.docs.ratings.payload.b is dropped now and was not there"


def test_ratings_of_the_sample_are_kept() -> None:
    plan = a_plan()
    shown = replace(plan, fields=(*plan.fields, FieldRating("payload.a", "carried", "", "")))
    assert (
        decide("docs", KINDS, [shown])["collections"]["docs"]["ratings"]["payload.a"] == "carried"
    )


def test_a_new_namespace_is_the_same_schema_and_another_vector_is_not() -> None:
    assert fingerprint(replace(SCHEMA, namespaces=("a",))) == fingerprint(SCHEMA)
    other = replace(SCHEMA, vectors=(*SCHEMA.vectors, VectorSpec("f", dim=3, metric="l2")))
    assert fingerprint(other) != fingerprint(SCHEMA)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ('{"version": 9}', "this version"),
        ("[]", "this version"),
    ],
)
def test_a_file_that_holds_no_plan_is_an_error(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "kept.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_decided(path)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_decided(a_document(), tmp_path / "no" / "kept.json")
