import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from vecferry.cli.sidecar import make_feed
from vecferry.producers.feeds.sidecar.application import Limits
from vecferry.producers.feeds.sidecar.server import make_server
from vecferry.testing.captured import Captured
from vecferry.testing.waiting import wait_until


@contextlib.contextmanager
def serving(captured: Captured, **limits: Any) -> Iterator[httpx.Client]:
    """Serve the sidecar on a port of its own."""
    settings = captured.settings
    feed = make_feed(settings, captured.log.connection.bootstrap_servers)
    server = make_server(feed, Limits(**limits), "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    port = listener.getsockname()[1]
    wait_until(lambda: server.started)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        yield client
    server.should_exit = True
    thread.join(60)
    listener.close()
    feed.close()
    assert not thread.is_alive()


def post(client: httpx.Client, name: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/writes/{name}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def client(captured: Captured) -> Iterator[httpx.Client]:
    with captured.capturing(), serving(captured) as client:
        yield client


def test_a_write_of_any_language_arrives(captured: Captured, client: httpx.Client) -> None:
    one = uuid.uuid4()
    ids = [1, "1", {"uuid": str(one)}]
    ticket = post(client, "begin", collection="docs", ids=ids, verb="upsert")["ticket"]
    captured.put(1, "1", one, n=1)
    post(client, "end", ticket=ticket, outcome="done")
    captured.await_equal()
    assert len(captured.held()) == 3


def test_a_delete_by_filter_arrives(captured: Captured, client: httpx.Client) -> None:
    ticket = post(client, "begin", collection="docs", ids=[1, 2])["ticket"]
    captured.put(1, 2, n=1)
    post(client, "end", ticket=ticket, outcome="done")
    captured.await_equal()
    ticket = post(client, "begin", collection="docs", filter=True, verb="delete")["ticket"]
    post(client, "found", ticket=ticket, ids=[1, 2])
    captured.delete(1, 2)
    post(client, "end", ticket=ticket, outcome="done")
    captured.await_equal()


@pytest.mark.parametrize("ends", [True, False])
def test_a_write_whose_end_never_comes_is_swept(
    captured: Captured, client: httpx.Client, *, ends: bool
) -> None:
    ticket = post(client, "begin", collection="docs", ids=[1])["ticket"]
    captured.put(1, n=1)
    if ends:
        post(client, "end", ticket=ticket, outcome="unknown")
    captured.await_equal()
    wait_until(lambda: client.get("/healthz").json()["tickets"] == 0)
    answer = client.post("/v1/writes/end", json={"ticket": ticket, "outcome": "done"})
    assert answer.status_code == 410


def test_it_is_well_when_the_log_answers(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"collections": ["docs"], "tickets": 0}


def test_a_collection_that_does_not_move_costs_nothing_and_is_served(
    captured: Captured, client: httpx.Client
) -> None:
    ticket = post(client, "begin", collection="other", ids=[1])["ticket"]
    post(client, "end", ticket=ticket, outcome="done")
    assert captured.folded() == {}
