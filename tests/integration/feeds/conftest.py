"""Proxies before the run's Qdrant."""

import uuid
from collections.abc import Iterator

import pytest

from vecferry.testing import engines
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
