"""``plan`` over two databases in memory: what it prints, keeps, and refuses to deviate from."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vecferry.cli.main import main
from vecferry.cli.migration import Migration
from vecferry.cli.planning import require_kept
from vecferry.errors import ConfigError
from vecferry.log.control import Control
from vecferry.mapping.decided import load_decided, require_decided
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.ports import Ref, Write
from vecferry.stores.memory import MemoryStore, database

FILE = """
name = "planned"
[source]
type = "memory"
url = "memory://{name}-source"
[target]
type = "memory"
url = "memory://{name}-target?normalises"
[[collections]]
source = "docs"
{more}
"""


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    name = f"plan-{request.node.name[:40]}".replace("[", "-").replace("]", "").replace("_", "-")
    store = MemoryStore(database(f"{name}-source"))
    index = {"type": "hnsw", "m": 8}
    store.create(Collection("docs", (VectorSpec("e", dim=2, metric="cosine", index=index),)))
    vectors = [struct.pack("<2f", 1.0, 0.0), struct.pack("<2f", 3.0, 4.0)]
    writes = [
        Write(
            Key("docs", "", at),
            Image({"e": Dense("float32", 2, vectors[at % 2])}, b'{"text":"a secret"}'),
        )
        for at in range(10)
    ]
    assert store.write(Ref("docs", "docs"), writes) == []
    path = tmp_path / "vecferry.toml"
    path.write_text(FILE.format(name=name, more=""))
    yield path
    store.drop("docs")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(cast("int", ended.value.code))


def add(file: Path, more: str) -> None:
    file.write_text(file.read_text() + more)


def test_a_loss_that_only_points_show_is_refused_until_it_is_acknowledged(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("plan", "-c", str(file), "--json") == 3
    (docs,) = json.loads(capsys.readouterr().out)["collections"]
    (vector,) = [field for field in docs["fields"] if field["field"] == "vectors.e"]
    assert (vector["rating"], vector["share"]) == ("lossy", 0.5)
    assert vector["example"].startswith("docs/")
    add(file, 'acknowledge = ["vectors.e"]\n')
    assert run("plan", "-c", str(file), "--json") == 0


def test_no_value_of_a_point_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "-c", str(file))
    run("plan", "-c", str(file), "--json")
    assert "secret" not in capsys.readouterr().out


def test_the_index_of_both_sides_stands_side_by_side(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(file, 'acknowledge = ["vectors.e"]\n[collections.index.vectors.e]\nm = 32\n')
    assert run("plan", "-c", str(file), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["collections"][0]["index"]
    assert (row["source"]["m"], row["target"]["m"]) == (8, 32)
    assert document["estimate"]["points"] == 10


def test_typed_fields_and_memory_stand_in_the_plan(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = MemoryStore(database(Migration(file).settings.source.url.removeprefix("memory://")))
    typed = {"name": "title", "type": "VarChar", "max_length": 512, "nullable": True}
    options = {"milvus": {"auto_id": True, "fields": [typed]}}
    (spec,) = store.describe("docs").vectors
    store.drop("docs")
    store.create(Collection("docs", (spec,), options=options))
    assert run("plan", "-c", str(file), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (docs,) = document["collections"]
    title, made = docs["limits"]
    assert title["source"] == "VarChar, max_length 512, nullable True"
    assert (made["field"], made["source"]) == ("id", "made by the database (auto_id)")
    assert set(document["estimate"]["target"]) == {"memory", "disk"}
    assert run("plan", "-c", str(file)) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "typed field source target" in text
    assert "VarChar, max_length 512" in text
    assert "target, memory" in text


def test_measuring_takes_the_place_of_a_guess(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("plan", "-c", str(file), "--json", "--measure")
    told = json.loads(capsys.readouterr().out)["estimate"]["assumptions"]
    assert any("measured" in each for each in told)
    run("plan", "-c", str(file), "--json")
    told = json.loads(capsys.readouterr().out)["estimate"]["assumptions"]
    assert not any("measured" in each for each in told)


def test_acls_need_neither_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vecferry.toml"
    path.write_text(FILE.format(name="nowhere", more="").replace('"memory"', '"qdrant"'))
    assert run("plan", "-c", str(path), "--acls") == 0
    assert "kafka-acls" in capsys.readouterr().out


def test_an_unknown_acknowledgement_is_an_error(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(file, 'acknowledge = ["vectors.f"]\n')
    assert run("plan", "-c", str(file)) == 2
    assert "'vectors.e'" in " ".join(capsys.readouterr().err.split())


def keep(file: Path, tmp_path: Path) -> Path:
    add(file, 'acknowledge = ["vectors.e"]\n')
    kept = tmp_path / "kept.json"
    assert run("plan", "-c", str(file), "--json", "--out", str(kept)) == 0
    file.write_text(f'plan_file = "{kept}"\n' + file.read_text())
    return kept


def a_control(body: dict[str, Any]) -> Control:
    record = SimpleNamespace(body=body)
    return cast("Control", SimpleNamespace(latest=lambda _kind: {"planned": record}))


def test_a_role_refuses_another_plan_than_the_one_that_is_kept(file: Path, tmp_path: Path) -> None:
    kept = keep(file, tmp_path)
    document = load_decided(kept)
    migration = Migration(file)
    require_kept(migration, a_control({"plan": document}))
    document["collections"]["docs"]["target"] = "other"
    with pytest.raises(
        ConfigError, match=r"collections\.docs\.target is 'other' now and was 'docs'"
    ):
        require_kept(migration, a_control({"plan": document}))
    with pytest.raises(ConfigError, match="without a plan"):
        require_kept(migration, a_control({}))


def test_what_is_computed_anew_is_held_against_the_file(file: Path, tmp_path: Path) -> None:
    from vecferry.cli.planning import decided

    kept = keep(file, tmp_path)
    with Migration(file).stores(sample=True) as both:
        require_decided(kept, decided(Migration(file), both))
        both.target.create(both.plans[0].collection)
    with Migration(file).stores(sample=True) as both:
        require_decided(kept, decided(Migration(file), both))
        both.target.drop("docs")
    add(file, "[collections.index]\nm = 64\n")
    with (
        Migration(file).stores(sample=True) as both,
        pytest.raises(ConfigError, match=r"index\.e\.m is 64 now and was 8"),
    ):
        require_decided(kept, decided(Migration(file), both))
