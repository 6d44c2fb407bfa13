"""The server's program is built once, whole or not at all, and not without Go."""

import os
from pathlib import Path

import pytest
import weaviate_server

from vecferry.testing import weaviate as kit


def go(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a Go on the path that does what the shell is told."""
    program = folder / "bin" / "go"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_it_is_built_where_the_test_kit_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECFERRY_CACHE", str(tmp_path))
    monkeypatch.delenv("VECFERRY_TEST_WEAVIATE", raising=False)
    go(
        tmp_path,
        f'echo "$@" > {tmp_path}/asked; echo built > "$GOBIN/weaviate-server"',
        monkeypatch,
    )
    assert kit.missing()
    assert weaviate_server.main([]) == 0
    assert kit.missing() is None
    assert kit.program().read_text() == "built\n"
    assert f"weaviate-server@v{kit.VERSION}" in (tmp_path / "asked").read_text()
    go(tmp_path, "exit 1", monkeypatch)
    assert weaviate_server.main([]) == 0, "it is there already"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(tmp_path, 'echo half > "$GOBIN/weaviate-server"; exit 3', monkeypatch)
    assert weaviate_server.build(tmp_path / "cache", "1") == 3
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_without_go_it_is_said_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert weaviate_server.build(tmp_path / "cache", "1") == 0
    assert "without Go" in capsys.readouterr().err
