import contextlib
import threading
from pathlib import Path

import httpx
import pytest

from vecferry.errors import ConfigError, TransientError
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone import PineconeStore, connect
from vecferry.stores.pinecone.connect import API_VERSION, Call, Connection, Pace
from vecferry.stores.pinecone.errors import NotConnectedError
from vecferry.testing.pinecone import PineconeServer

KEY = "a-secret-that-must-not-be-shown"


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock, clock.sleep)


def test_a_refusal_holds_everybody_back_as_long_as_it_says(pace: Pace, clock: Clock) -> None:
    pace.refused(3.0)
    pace.wait(pace.deadline(10), "reading")
    assert clock.slept == [3.0]
    pace.wait(pace.deadline(10), "reading")
    assert clock.slept == [3.0]


def test_who_has_no_patience_is_told_how_long_it_takes(pace: Pace, clock: Clock) -> None:
    pace.refused(30.0)
    with pytest.raises(TransientError, match="nothing was sent") as raised:
        pace.wait(pace.deadline(2), "writing")
    assert raised.value.retry_after_s == 30.0
    assert not clock.slept


def test_refusals_without_a_time_wait_longer_and_longer(pace: Pace, clock: Clock) -> None:
    for _ in range(8):
        pace.refused(None)
        pace.wait(pace.deadline(60), "reading")
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    pace.accepted()
    pace.refused(None)
    pace.wait(pace.deadline(60), "reading")
    assert clock.slept[-1] == 0.25


def test_a_shorter_refusal_does_not_open_early(pace: Pace, clock: Clock) -> None:
    pace.refused(5.0)
    pace.refused(1.0)
    pace.wait(pace.deadline(10), "reading")
    assert clock.now == 105.0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "ftp://host"}, "is not an address"),
        ({"url": "http://"}, "is not an address"),
        ({"url": "http://host", "tls": True}, "contradict"),
        ({"api_key": "köy"}, "no header can carry"),
        ({"api_key": "a\nb"}, "no header can carry"),
        ({"ca_file": Path("/nowhere/ca.pem")}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as raised:
        connect(StoreSettings(type="pinecone", **settings))  # type: ignore[arg-type]
    assert "köy" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("", "https://api.pinecone.io"),
        ("api.example.org/", "https://api.example.org"),
        ("http://127.0.0.1:5080/base/", "http://127.0.0.1:5080/base"),
    ],
)
def test_the_address_is_the_control_planes(url: str, base: str) -> None:
    with contextlib.closing(Connection(StoreSettings(type="pinecone", url=url))) as connection:
        assert connection.base == base
        assert connection.host_url("http://host/x/") == "http://host/x"
        assert connection.host_url("docs-1.svc.io") == base.split(":")[0] + "://docs-1.svc.io"


def test_every_request_has_the_key_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def answer(self: object, request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"indexes": []})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    settings = StoreSettings(type="pinecone", api_key=KEY)
    with contextlib.closing(connect(settings)) as store:
        assert store.version() == f"Pinecone API {API_VERSION}"
    assert seen[0].headers["api-key"] == KEY
    assert seen[0].headers["x-pinecone-api-version"] == API_VERSION
    assert KEY not in str(seen[0].url)


def test_the_version_is_that_of_the_client_that_is_installed() -> None:
    from pinecone._internal.constants import CONTROL_PLANE_API_VERSION, DATA_PLANE_API_VERSION

    assert CONTROL_PLANE_API_VERSION == DATA_PLANE_API_VERSION == API_VERSION


def test_a_wrong_key_is_one_clear_error(settings: StoreSettings) -> None:
    wrong = settings.model_copy(update={"api_key": None})
    with (
        contextlib.closing(connect(wrong)) as store,
        pytest.raises(ConfigError, match=r"401.*check api_key") as raised,
    ):
        store.version()
    assert KEY not in str(raised.value)


def test_nothing_that_is_there_is_a_wrong_address() -> None:
    settings = StoreSettings(type="pinecone", url="http://127.0.0.1:9", timeout_s=2.0)
    with contextlib.closing(connect(settings)) as store:
        with pytest.raises(ConfigError, match="control plane"):
            store.version()
        with pytest.raises(NotConnectedError):
            store.collections()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"other": 1}'])
def test_another_service_is_told_apart(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        httpx.HTTPTransport,
        "handle_request",
        lambda self, request: httpx.Response(200, content=body),
    )
    with (
        contextlib.closing(connect(StoreSettings(type="pinecone"))) as store,
        pytest.raises(ConfigError),
    ):
        store.version()


def test_no_secret_is_in_what_is_printed(store: PineconeStore) -> None:
    assert KEY not in repr(vars(store))
    assert KEY not in repr(vars(store._connection))


def test_threads_that_are_refused_together_do_not_hammer(
    server: PineconeServer, settings: StoreSettings
) -> None:
    """Five threads meet a limit of one request a second: each window refuses each at most once."""
    with contextlib.closing(Connection(settings)) as connection:
        server.script(per_s_max=1, retry_after_s=1.0)  # a busy machine may not reach it
        call = Call("POST", f"{server.url}/i/none/query", "asking", body=b"{}", absent_ok=True)
        threads = [threading.Thread(target=connection.call, args=(call,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counts = server.counts()
    assert counts["requests"] - counts.get("throttled", 0) == 5
    assert counts.get("throttled", 0) <= 4 + 3 + 2 + 1
