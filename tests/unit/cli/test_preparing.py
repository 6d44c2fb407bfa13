"""A migration keeps the transforms that it was prepared with."""

import uuid
from pathlib import Path
from typing import Any, cast

import pytest

from vecferry.cli.migration import Both, Migration
from vecferry.cli.preparing import prepared_transforms
from vecferry.errors import ConfigError
from vecferry.mapping.transforms import Transforms
from vecferry.model import Collection, VectorSpec
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing.log import MemoryControl
from vecferry.testing.runs import to_toml

SUBSET = {"where": {"lang": {"equals": "en"}}}


def a_migration(folder: Path, *transforms: Any, source: str = "docs_*") -> Migration:
    place = f"memory://{uuid.uuid4().hex}"
    path = folder / f"{uuid.uuid4().hex}.toml"
    document = {
        "name": "m",
        "source": {"type": "memory", "url": place},
        "target": {"type": "memory", "url": f"{place}-target?normalises"},
        "collections": [{"source": source, "target": "*", "transforms": list(transforms)}],
    }
    path.write_text(to_toml(document))
    return Migration(path)


def recorded(transforms: Transforms) -> Any:
    control = MemoryControl()
    body = {"collections": [["docs_a", "docs_a"]], "transforms": [transforms.words()]}
    control.append("migration", "m", body)
    return cast("Any", control)


def of_file(migration: Migration) -> Transforms:
    return Transforms(migration.settings.collections[0].transforms)


def test_a_collection_of_a_pattern_finds_its_transforms(tmp_path: Path) -> None:
    migration = a_migration(tmp_path, SUBSET, {"drop": ["lang"]})
    found = prepared_transforms(migration, recorded(of_file(migration)))
    assert [each.operation for each in found["docs_a"].settings] == ["where", "drop"]
    assert len(found["docs_a"].steps) == 1


@pytest.mark.parametrize("now", [(), (SUBSET, SUBSET), ({"where_not": SUBSET["where"]},)])
def test_changed_transforms_are_refused(now: Any, tmp_path: Path) -> None:
    control = recorded(of_file(a_migration(tmp_path, SUBSET)))
    with pytest.raises(ConfigError, match="not those that 'm' was prepared with"):
        prepared_transforms(a_migration(tmp_path, *now), control)


def test_a_collection_that_left_the_file_is_told(tmp_path: Path) -> None:
    migration = a_migration(tmp_path, SUBSET, source="other")
    with pytest.raises(ConfigError, match="no entry for 'docs_a' any more"):
        prepared_transforms(migration, recorded(of_file(migration)))


def test_a_function_that_is_not_there_stops_the_role(tmp_path: Path) -> None:
    migration = a_migration(tmp_path, {"transform": "not_there_at_all:f"})
    with pytest.raises(ConfigError, match="no such module") as refused:
        prepared_transforms(migration, recorded(of_file(migration)))
    assert str(tmp_path) in str(refused.value)


def test_the_plan_is_of_what_the_transforms_make_and_the_larger_tolerance_holds(
    tmp_path: Path,
) -> None:
    name = f"module_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f(image): return image\n")
    made = {"dim": 3, "metric": "cosine"}
    migration = a_migration(
        tmp_path,
        {"rename_vector": {"": "text"}},
        {"transform": f"{name}:f", "tolerance": 0.01, "vectors": {"other": made}},
    )
    source = open_store(StoreSettings(type="memory", url=migration.settings.source.url))
    source.create(Collection("docs_a", (VectorSpec("", dim=2, metric="cosine"),)))
    with migration.stores() as both:
        (plan,) = both.plans
        assert [(spec.name, spec.dim) for spec in plan.collection.vectors] == [
            ("text", 2),
            ("other", 3),
        ]
        assert plan.source.vectors[0].name == ""  # as the source has it
        tolerances = both.pairs(1e-6)[0].tolerances
        assert tolerances == {"text": 1e-6, "other": 0.01}
        assert Both.pairs(both, 0.5)[0].tolerances == {"text": 0.5, "other": 0.5}
