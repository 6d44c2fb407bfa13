"""Proxies before the run's Qdrant, and sources that are captured."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from vecferry.settings import parse_settings
from vecferry.testing import engines
from vecferry.testing.captured import Captured
from vecferry.testing.logs import fresh_log
from vecferry.testing.proxied import Scene, proxy_options
from vecferry.testing.proxies import RecordingFeed, RunningProxy


@pytest.fixture(scope="module")
def names() -> tuple[str, ...]:
    return tuple(f"proxy-{uuid.uuid4().hex[:8]}" for _ in range(120))


@pytest.fixture(scope="module")
def running(names: tuple[str, ...]) -> Iterator[tuple[RunningProxy, RecordingFeed]]:
    feed = RecordingFeed(*names)
    with RunningProxy(feed, proxy_options(*engines.qdrant())) as proxy:
        yield proxy, feed


@pytest.fixture(scope="module")
def unused(names: tuple[str, ...]) -> Iterator[str]:
    return iter(names)


@pytest.fixture(params=["rest", "grpc"])
def scene(
    request: pytest.FixtureRequest,
    running: tuple[RunningProxy, RecordingFeed],
    unused: Iterator[str],
) -> Iterator[Scene]:
    proxy, feed = running
    feed.seen.clear()
    scene = Scene(proxy, feed, next(unused), request.param == "rest")
    yield scene
    scene.close()


@pytest.fixture
def captured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Captured]:
    """A source and its log; the parameter is the ``[feed]`` section."""
    log = fresh_log("embedded")
    section = {"every_s": 0.1, "state": str(tmp_path), **getattr(request, "param", {})}
    document = {
        "name": log.topics.migration,
        "source": {"type": "memory", "url": f"memory://{uuid.uuid4().hex}"},
        "target": {"type": "memory", "url": "memory://never"},
        "collections": [{"source": "docs"}],
        "log": {"partitions": log.settings.partitions},
        "capture": {"request_max_s": 2.0, "intent_max_s": 2.0},
        "feed": section,
    }
    made = Captured(log, parse_settings(cast("Any", document), {}))
    yield made
    made.close()
