"""Requests as bytes: pipelined, in chunks, broken off, and with two lengths."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from vecferry.testing.proxied import VECTOR, Scene
from vecferry.testing.proxies import RecordingFeed, RunningProxy


@pytest.fixture
def scene(running: tuple[RunningProxy, RecordingFeed], unused: Iterator[str]) -> Iterator[Scene]:
    proxy, feed = running
    feed.seen.clear()
    scene = Scene(proxy, feed, next(unused), rest=True)
    yield scene
    scene.close()


def body_of(*ids: int) -> bytes:
    return json.dumps({"points": [{"id": one, "vector": VECTOR} for one in ids]}).encode()


def head(scene: Scene, *headers: str) -> bytes:
    lines = [f"PUT /collections/{scene.name}/points?wait=false HTTP/1.1", "Host: proxy"]
    lines += ["Content-Type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode()


def whole(scene: Scene, *ids: int, last: bool = False) -> bytes:
    body = body_of(*ids)
    more = ["Connection: close"] if last else []
    return head(scene, f"Content-Length: {len(body)}", *more) + body


def exchange(scene: Scene, sent: bytes, *, breaks_off: bool = False) -> bytes:
    """Send bytes, and return everything that comes until the proxy closes."""
    parts = urlsplit(scene.proxy.url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=60) as connection:
        connection.sendall(sent)
        if breaks_off:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def announced(scene: Scene) -> list[object]:
    return [one for seen in scene.seen() if seen.step == "begin" for one in seen.ids]


def test_writes_sent_without_waiting_for_answers_are_each_announced(scene: Scene) -> None:
    answers = exchange(scene, whole(scene, 1) + whole(scene, 2) + whole(scene, 1, 3, last=True))
    assert answers.count(b"HTTP/1.1 200") == 3
    assert announced(scene) == [1, 2, 1, 3]
    assert set(scene.points()) == {1, 2, 3}


def test_a_body_in_chunks_is_announced_whole(scene: Scene) -> None:
    body = body_of(*range(50))
    chunks = [body[at : at + 100] for at in range(0, len(body), 100)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    answer = exchange(scene, head(scene, "Transfer-Encoding: chunked", "Connection: close") + coded)
    assert answer.startswith(b"HTTP/1.1 200")
    assert announced(scene) == list(range(50))
    assert len(scene.points()) == 50


@pytest.mark.parametrize("coding", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_a_write_that_is_broken_off_goes_nowhere(scene: Scene, coding: str) -> None:
    half = body_of(1, 2)
    sent = half if coding.startswith("Content") else b"%x\r\n%s\r\n" % (len(half), half)
    assert b"HTTP/1.1 200" not in exchange(scene, head(scene, coding) + sent, breaks_off=True)
    exchange(scene, whole(scene, 9, last=True))  # the proxy serves on
    assert announced(scene) == [9]
    assert set(scene.points()) == {9}


def test_a_write_of_two_lengths_writes_nothing_that_is_not_announced(scene: Scene) -> None:
    body = body_of(1)
    coded = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    hidden = whole(scene, 2, last=True)
    lengths = [f"Content-Length: {len(coded)}", "Transfer-Encoding: chunked"]
    exchange(scene, head(scene, *lengths) + coded + hidden)
    assert set(scene.points()) <= set(announced(scene))
