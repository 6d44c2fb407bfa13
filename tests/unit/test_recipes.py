"""Each recipe is a whole migration: a file that is taken, in settings that belong together."""

import re
import tomllib
from pathlib import Path

import pytest

from vecferry.mapping.access import sight_of
from vecferry.mapping.transforms import load_transforms
from vecferry.settings import Settings, parse_settings
from vecferry.stores import TYPES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "recipes"
INDEX = FOLDER / "README.md"
RECIPES = sorted(page for page in FOLDER.glob("*.md") if page != INDEX)
each_recipe = pytest.mark.parametrize("page", RECIPES, ids=lambda page: page.stem)


def files_of(text: str) -> list[Settings]:
    found = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    return [parse_settings(tomllib.loads(one), {}) for one in found]


def doubts(settings: Settings) -> list[str]:
    """Return what would not work, or would lose changes, though each setting is right by itself."""
    found = []
    sides = {settings.source.type, settings.target.type}
    found += [f"there is no {kind}" for kind in sides if kind not in TYPES]
    feeds, _ = sight_of(settings.source.type, [])
    if settings.feed.type != "none" and settings.feed.type not in feeds.feeds:
        found.append(f"{settings.source.type} has no feed {settings.feed.type}")
    if settings.feed.type == "none" and not settings.capture.expected_writers:
        found.append("nobody would be missed who writes past the feeds")
    if settings.log.embedded:
        found.append("the embedded broker is for trying things")
    if settings.snapshot.mode == "seeded" and any(e.allow_not_empty for e in settings.collections):
        found.append("what only a seeded target has would stay")
    if settings.source == settings.target and any(
        (each.target or each.source) == each.source for each in settings.collections
    ):
        found.append("a collection would move onto itself")
    return found


@each_recipe
def test_a_recipe_is_a_file_whose_settings_belong_together(page: Path) -> None:
    files = files_of(page.read_text())
    assert files
    for settings in files:
        assert doubts(settings) == []
        for entry in settings.collections:
            load_transforms(entry.transforms, FOLDER)


@each_recipe
def test_a_recipe_leads_to_what_to_look_at_before_the_switch(page: Path) -> None:
    assert re.search(r"\(README\.md#(the-way|before-the-switch)\)", page.read_text())
    assert f"({page.name})" in INDEX.read_text(), "the index does not lead there"


def test_no_two_recipes_share_a_migrations_name() -> None:
    names = [settings.name for page in RECIPES for settings in files_of(page.read_text())]
    assert len(set(names)) == len(names)


SOUND = """
name = "docs"
source = { type = "qdrant", url = "http://a:6333" }
target = { type = "milvus", url = "http://b:19530" }
collections = [{ source = "docs" }]
capture = { expected_writers = { api = 1 } }
log = { bootstrap_servers = "kafka:9092" }
"""


@pytest.mark.parametrize(
    ("old", "new", "doubt"),
    [
        ('type = "milvus"', 'type = "faiss"', "there is no faiss"),
        ("capture =", 'feed = { type = "logical" }\ncapture =', "qdrant has no feed logical"),
        ("api = 1", "", "nobody would be missed who writes past the feeds"),
        ('"kafka:9092"', '"embedded"', "the embedded broker is for trying things"),
        (
            'collections = [{ source = "docs" }]',
            'snapshot = { mode = "seeded" }\n'
            'collections = [{ source = "docs", allow_not_empty = true }]',
            "what only a seeded target has would stay",
        ),
        (
            'type = "milvus", url = "http://b:19530"',
            'type = "qdrant", url = "http://a:6333"',
            "a collection would move onto itself",
        ),
    ],
)
def test_settings_that_do_not_belong_together_are_seen(old: str, new: str, doubt: str) -> None:
    assert doubts(parse_settings(tomllib.loads(SOUND), {})) == []
    assert old in SOUND
    assert doubts(parse_settings(tomllib.loads(SOUND.replace(old, new)), {})) == [doubt]
