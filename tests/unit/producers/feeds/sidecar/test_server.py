from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError
from vecferry.producers.feeds import Feed
from vecferry.producers.feeds.sidecar.application import Limits
from vecferry.producers.feeds.sidecar.server import is_loopback, make_server, read_token


def test_a_token_is_read_without_the_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" secret\n")
    assert read_token(tmp_path / "token") == "secret"
    assert read_token(None) == ""


@pytest.mark.parametrize("held", [None, "\n", b"\xff"])
def test_a_token_file_that_holds_none_is_told(tmp_path: Path, held: Any) -> None:
    file = tmp_path / "token"
    if held is not None:
        file.write_bytes(held if isinstance(held, bytes) else held.encode())
    with pytest.raises(ConfigError, match="token file"):
        read_token(file)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_this_machine_alone(host: str, wanted: bool) -> None:
    assert is_loopback(host) is wanted


def test_other_machines_are_served_with_a_token_alone() -> None:
    feed = Feed("m", "127.0.0.1:1")
    with pytest.raises(ConfigError, match="token"):
        make_server(feed, Limits(), "0.0.0.0", 0)
    assert make_server(feed, Limits(token="secret"), "0.0.0.0", 0).config.host == "0.0.0.0"
    assert make_server(feed, Limits(), "127.0.0.1", 0).config.host == "127.0.0.1"
    feed.close()
