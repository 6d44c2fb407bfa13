"""A migration, opened."""

import uuid
from pathlib import Path

import pytest

from vecferry.cli.migration import Migration
from vecferry.errors import ConfigError
from vecferry.model import Collection, VectorSpec
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing.runs import to_toml


@pytest.mark.parametrize(("target", "is_refused"), [("", True), ("docs", True), ("moved", False)])
def test_a_collection_is_not_moved_onto_itself(
    tmp_path: Path, target: str, is_refused: bool
) -> None:
    database = {"type": "memory", "url": f"memory://{uuid.uuid4().hex}"}
    open_store(StoreSettings(**database)).create(
        Collection("docs", (VectorSpec("", dim=1, metric="l2"),))
    )
    path = tmp_path / "vecferry.toml"
    collection = {"source": "docs", "target": target, "allow_not_empty": True}
    sides = {"source": database, "target": database}
    path.write_text(to_toml({"name": "same", **sides, "collections": [collection]}))
    migration = Migration(path)
    if is_refused:
        with pytest.raises(ConfigError, match="onto itself"), migration.stores():
            pass
    else:
        with migration.stores() as both:
            assert both.plans[0].mapping.target.name == "moved"
