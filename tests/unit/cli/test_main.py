import pytest

from vecferry.cli import main as command_line
from vecferry.errors import ConfigError, CutoverError, HaltError, RecordError, TransientError
from vecferry.testing.runs import say, to_toml

FILE = {
    "name": "m",
    "source": {"type": "memory", "url": "memory://a"},
    "target": {"type": "memory", "url": "memory://b"},
    "collections": [{"source": "docs"}],
    "log": {"kafka": {"sasl.username": "me"}},
}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("the reason"), 2),
        (CutoverError("the reason", reasons=("because [of] this",)), 3),
        (TransientError("the reason"), 4),
        (HaltError("the reason"), 1),
        (RecordError("the reason"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("the reason"), 70),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_its_line(monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(command_line, "Migration", fail)
    said = say("plan")
    assert said.code == code
    assert "the reason" in said.err or code == 130
    assert "Traceback" not in said.err or code == 70
    assert "because [of] this" in said.err or code != 3


@pytest.mark.parametrize("arguments", [["plam"], ["plan", "--nonsense"], ["up", "--role", "cook"]])
def test_a_wrong_command_line_is_told_by_the_parser(arguments):
    said = say(*arguments)
    assert said.code == 2
    assert said.err


def test_a_file_that_is_not_there_or_is_no_toml(tmp_path):
    missing = say("plan", "-c", str(tmp_path / "none.toml"))
    assert missing.code == 2
    assert "none.toml is not there" in missing.line
    (tmp_path / "torn.toml").write_text("name = ")
    torn = say("plan", "-c", str(tmp_path / "torn.toml"))
    assert torn.code == 2
    assert "is not TOML" in torn.line


def test_an_embedded_log_lives_only_beside_up(tmp_path, monkeypatch):
    monkeypatch.setenv("VECFERRY_HOME", str(tmp_path))
    (tmp_path / "vecferry.toml").write_text(to_toml(FILE))
    said = say("status", "-c", str(tmp_path / "vecferry.toml"))
    assert said.code == 2
    assert "vecferry up" in said.line


def test_a_document_is_spelled_as_toml_that_reads_back():
    import tomllib

    assert tomllib.loads(to_toml(FILE)) == FILE


def test_help_names_every_command():
    said = say("--help")
    assert said.code == 0
    for name in (
        "plan",
        "init",
        "up",
        "status",
        "wait",
        "pause",
        "resume",
        "vouch",
        "check",
        "dlq",
        "demo",
    ):
        assert name in said.out
