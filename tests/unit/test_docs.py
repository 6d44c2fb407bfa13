"""The pages say what is so: settings, commands, targets, links, examples."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import configuration
import pytest
from pydantic import BaseModel

from vecferry.errors import ConfigError
from vecferry.settings import Settings, parse_settings
from vecferry.testing.command_lines import program, wrong_words

ROOT = Path(__file__).resolve().parents[2]
# the seed of the target ids' namespace
NOT_COMMANDS = {"target ids"}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def spoken_commands(text: str) -> Iterator[str]:
    """Yield what stands after `vecferry` in inline code and in shell blocks."""
    yield from (one for one in re.findall(r"`vecferry ([^`]+)`", text) if one not in NOT_COMMANDS)
    for block in re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            found = re.match(r"\s*(?:\$ )?(?:tools/)?vecferry (.*)", line)
            if found:
                yield found.group(1).partition(" #")[0]


@pytest.fixture(scope="module")
def root() -> Any:
    return program()


def test_the_tables_of_the_settings_are_fresh() -> None:
    page = configuration.PAGE.read_text()
    assert page == configuration.replaced(page), "run `make docs` to write them anew"


def test_every_setting_has_a_row() -> None:
    page = configuration.PAGE.read_text()
    for _, model in configuration.sections():
        for name in model.model_fields:
            assert f"`{name}`" in page or f"[{name}]" in page, f"{model.__name__}.{name}"


def test_a_setting_without_a_reason_is_seen() -> None:
    class Silent(BaseModel):
        """Says nothing of its field."""

        points: int = 1

    with pytest.raises(configuration.UnexplainedError, match=r"Silent\.points"):
        configuration.table(Silent)


def test_a_table_shows_default_limits_and_reason() -> None:
    (row,) = [
        line for line in configuration.render().splitlines() if line.startswith("| `partitions`")
    ]
    partitions = Settings.model_fields["log"].get_default().partitions
    assert f"`{partitions}`" in row
    assert "≤ 1_024" in row
    assert "fixed" in row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_is_a_file_that_can_be_used(page: Path) -> None:
    for example in blocks(page, "toml"):
        parse_settings(tomllib.loads(example), {}, page.name)


def test_every_variable_that_a_page_exports_is_a_setting() -> None:
    found = [
        re.fullmatch(r"export (VECFERRY_\w+)=(.*)", line.strip())
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
    ]
    environ = {one.group(1): shlex.split(one.group(2))[0] for one in found if one}
    assert environ
    (example, *_) = blocks(configuration.PAGE, "toml")
    settings = parse_settings(tomllib.loads(example), environ)
    assert settings.target.secret() == environ["VECFERRY_TARGET__API_KEY"]
    assert "ssl.ca.location" in str(settings.log.kafka)


def test_an_example_that_cannot_be_used_is_seen() -> None:
    with pytest.raises(ConfigError):
        parse_settings(tomllib.loads("name = 'docs'\n[sauce]\ntype = 'milvus'"), {}, "x")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page: Path, root: Any) -> None:
    for line in spoken_commands(page.read_text()):
        assert not wrong_words(root, shlex.split(line)), line


@pytest.mark.parametrize(
    "text",
    ["`vecferry sail`", "`vecferry dlq sing`", "```sh\nvecferry up --rôle apply\n```\n"],
)
def test_a_command_that_does_not_exist_is_seen(text: str, root: Any) -> None:
    (line,) = spoken_commands(text)
    assert wrong_words(root, shlex.split(line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = page.read_text()
    for name in re.findall(r"(?:^|`)make ([a-z]+(?:-[a-z]+)*)", text, re.M):
        assert name in targets, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_named_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not link.startswith(("http://", "https://")):
            assert (page.parent / link).exists(), link
    for name in re.findall(r"`((?:docs|tools|tests|vecferry|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_decisions_are_numbered_without_a_gap_and_say_what_was_decided() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04d}-"), page.name
        text = page.read_text()
        assert text.startswith(f"# {number}. "), page.name
        assert "**Decision.**" in text, page.name
        assert "**Why.**" in text, page.name


def part_of(names: tuple[str, ...]) -> str:
    match names:
        case ("consumers", *_):
            return "apply"
        case ("producers", *rest):
            return "capture" if {"capture", "feeds"} & set(rest) else "snapshot"
        case ("stores", store, *_):
            return store
    return names[0]


def halting_parts() -> set[str]:
    """Return the parts of the package that raise a HaltError, by the name the page gives them."""
    parts = set()
    for file in (ROOT / "vecferry").rglob("*.py"):
        names = file.relative_to(ROOT / "vecferry").with_suffix("").parts
        if names[0] in ("testing", "cli") or "memory" in names:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HaltError":
                parts.add(part_of(names))
    return parts


def test_the_operator_finds_every_part_that_halts() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.partition("## When a worker halts")[2].partition("\n## ")[0]
    told = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert halting_parts() <= told, halting_parts() - told
