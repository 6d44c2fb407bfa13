"""A source and a target with limits are served without an error and without hammering."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from vecferry.consumers.retries import Backoff
from vecferry.errors import TransientError, UnknownOutcome
from vecferry.model import Point
from vecferry.settings import StoreSettings
from vecferry.stores.pinecone import connect
from vecferry.stores.pinecone.connect import Pace
from vecferry.testing.pinecone import PineconeServer
from vecferry.testing.subjects import Subject

THREADS = 4
REFUSED = 4
"""So many are refused in any case: a busy machine may not reach a limit."""


def refusals_max(accepted: int, per_s: int, threads: int = THREADS) -> int:
    """Each thread may be refused once a window; twice as many for windows that slide."""
    return REFUSED + 2 * threads * (accepted // per_s + 2)


def test_a_source_that_answers_429_is_scanned_without_an_error(
    server: PineconeServer, subject: Subject
) -> None:
    points = [subject.point(f"{n:04}") for n in range(600)]
    subject.put(points)
    bounds = subject.chunks(100)
    server.script(per_s_max=8, retry_after_s=1.0, fail_status=429, fail_times=REFUSED)

    def read(part: int) -> list[Point]:
        return list(subject.points_of(bounds[part]))

    with ThreadPoolExecutor(THREADS) as pool:
        found = [point for part in pool.map(read, range(len(bounds))) for point in part]
    assert found == points
    counts = server.counts()
    accepted = counts["requests"] - counts["throttled"]
    assert counts["throttled"] >= REFUSED
    assert counts["throttled"] <= refusals_max(accepted, 8)


def test_a_target_that_takes_fifty_requests_a_second_gets_no_more(
    server: PineconeServer, subject: Subject
) -> None:
    """Batches are repeated as the applier does it: after the time that was asked for."""
    batches = [[subject.point(f"{batch} {n}") for n in range(5)] for batch in range(200)]
    server.script(per_s_max=50, retry_after_s=1.0, fail_status=429, fail_times=REFUSED)
    backoff = Backoff(30.0, seed=1)

    def apply(batch: list[Point]) -> int:
        for tries in range(100):
            try:
                assert subject.put(batch) == []
            except UnknownOutcome:
                raise
            except TransientError as error:
                time.sleep(backoff.pause_s(tries, error.retry_after_s))
            else:
                return tries
        raise AssertionError("never accepted")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(apply, batches))
    counts = server.counts()
    assert counts["upsert"] - counts["throttled"] == 200, "each batch was taken once"
    assert REFUSED <= counts["throttled"] <= refusals_max(200, 50)
    server.script()
    assert subject.store.count(subject.ref.name) == 1_000


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda subject: subject.put([subject.point("a")]), id="write"),
        pytest.param(lambda subject: subject.get(subject.point("a").key), id="read"),
    ],
)
def test_a_long_wait_is_the_loops_affair(
    server: PineconeServer,
    settings: StoreSettings,
    subject: Subject,
    work: Callable[[Subject], object],
) -> None:
    server.script(fail_status=429, fail_times=1, retry_after_s=60.0)
    hasty = connect(settings.model_copy(update={"timeout_s": 1.0}))
    limited = subject._replace(store=hasty)
    try:
        with pytest.raises(TransientError) as raised:
            work(limited)
        assert not isinstance(raised.value, UnknownOutcome)
        assert raised.value.retry_after_s is not None
        assert 50 < raised.value.retry_after_s <= 60
        asked = server.counts()["requests"]
        with pytest.raises(TransientError):
            work(limited)
        assert server.counts()["requests"] == asked, "nothing is sent before the time is over"
    finally:
        hasty.close()


def test_without_the_shared_wait_the_service_would_be_hammered(
    server: PineconeServer, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard removed: every refusal is answered with the next request at once."""
    monkeypatch.setattr(Pace, "wait", lambda *_: None)
    server.script(retry_after_s=1.0, fail_status=429, fail_times=100)
    assert subject.put([subject.point("a")]) == []
    assert server.counts()["throttled"] == 100 > refusals_max(1, 1, threads=1)
