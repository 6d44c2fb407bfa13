"""Schemas that change in mid-flight: what is new is fine, what is different is told."""

import json
from dataclasses import replace

import pytest

from vecferry.mapping.decided import decide, schema_words
from vecferry.mapping.drift import changes, first_change, planned_schemas
from vecferry.mapping.plan import Side, plan_mapping
from vecferry.model import Collection, VectorSpec
from vecferry.settings import CollectionSettings
from vecferry.stores.memory import CAPABILITIES

SPEC = VectorSpec("e", dim=3, metric="l2")
SCHEMA = Collection("docs", (SPEC,), id_types=frozenset({"int"}))
KEPT = json.loads(json.dumps(schema_words(SCHEMA)))


@pytest.mark.parametrize(
    "now",
    [
        SCHEMA,
        replace(SCHEMA, namespaces=("new",)),
        replace(SCHEMA, options={"fields": ["a new one"]}),
        replace(SCHEMA, vectors=(replace(SPEC, index={"type": "hnsw", "m": 99}),)),
    ],
    ids=["same", "namespace", "payload", "index"],
)
def test_what_is_new_or_only_the_sources_own_is_no_change(now: Collection) -> None:
    assert changes(KEPT, now) is None


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (replace(SCHEMA, vectors=(replace(SPEC, dim=4),)), "vectors.e.dim is 4 now and was 3"),
        (replace(SCHEMA, vectors=(replace(SPEC, metric="dot"),)), "vectors.e.metric is 'dot' now"),
        (replace(SCHEMA, vectors=(SPEC, replace(SPEC, name="f"))), "vectors.f is new"),
        (replace(SCHEMA, vectors=()), "vectors.e is no longer there"),
        (replace(SCHEMA, id_types=frozenset({"str"})), "id_types is ['str'] now"),
    ],
)
def test_what_is_different_is_told_with_the_commands_to_go_on(now: Collection, told: str) -> None:
    assert told in str(changes(KEPT, now))
    message = first_change({"docs": KEPT}, [now])
    assert message is not None
    assert told in message
    assert "`vecferry plan`" in message


def test_a_metric_that_becomes_known_is_no_change() -> None:
    kept = schema_words(replace(SCHEMA, vectors=(replace(SPEC, metric=None),)))
    assert changes(kept, SCHEMA) is None


def test_a_collection_that_was_not_planned_is_nobodys_concern() -> None:
    assert first_change({}, [SCHEMA]) is None


def test_the_schemas_come_from_what_was_decided() -> None:
    plan = plan_mapping(Side(SCHEMA, CAPABILITIES), CAPABILITIES, CollectionSettings(source="docs"))
    assert planned_schemas(decide("m", ("memory", "memory"), [plan])) == {"docs": KEPT}
    assert planned_schemas(None) == {}
