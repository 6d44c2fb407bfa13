"""Counting the tries that a client hides, and what they say about an outcome."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from pymilvus.exceptions import MilvusException, ParamError

from vecferry.producers.feeds.clients.attempts import Attempts, counted
from vecferry.producers.feeds.clients.milvus import judge


class _Call:
    def __call__(self, request: Any, timeout: float) -> str:
        return f"{request}/{timeout}"

    def future(self, request: Any) -> str:
        return f"future {request}"


def _handler() -> Any:
    return SimpleNamespace(_stub=SimpleNamespace(Insert=_Call(), Delete=_Call(), Query=_Call()))


def test_every_try_of_a_write_is_counted_and_passes_through() -> None:
    handler = _handler()
    with counted(handler) as attempts:
        assert handler._stub.Insert("rows", timeout=3) == "rows/3"
        assert handler._stub.Delete.future("rows") == "future rows"
        handler._stub.Query("rows", timeout=3)
    handler._stub.Insert("rows", timeout=3)
    assert attempts is not None
    assert attempts.number == 2


def test_what_counts_is_put_in_place_once_and_again_after_a_reconnect() -> None:
    handler = _handler()
    with counted(handler):
        first = handler._stub
    with counted(handler):
        assert handler._stub is first
    handler._stub = _handler()._stub
    with counted(handler) as attempts:
        handler._stub.Insert("rows", timeout=3)
    assert attempts is not None
    assert attempts.number == 1


def test_tasks_count_for_themselves() -> None:
    handler = _handler()

    async def write(times: int) -> int:
        with counted(handler) as attempts:
            for _ in range(times):
                handler._stub.Insert("rows", timeout=3)
                await asyncio.sleep(0)
        assert attempts is not None
        return attempts.number

    async def run() -> list[int]:
        return await asyncio.gather(*(write(times) for times in (1, 2, 3)))

    assert asyncio.run(run()) == [1, 2, 3]


def test_a_client_of_other_parts_is_not_counted() -> None:
    for handler in (None, object()):
        with counted(handler) as attempts:
            assert attempts is None


def _tried(number: int) -> Attempts:
    attempts = Attempts()
    attempts.number = number
    return attempts


@pytest.mark.parametrize(
    ("tries", "error", "is_definite"),
    [
        (0, ParamError(message="no such argument"), True),  # code 1, but nothing was sent
        (0, KeyboardInterrupt(), False),
        (1, MilvusException(1100, "bad value"), True),
        (1, MilvusException(8, "too fast"), True),
        (1, MilvusException(65535, "anything"), False),
        (1, MilvusException(1, "anything"), False),
        (1, MilvusException(grpc.StatusCode.UNAVAILABLE, "gone"), False),
        (2, MilvusException(1100, "bad value"), False),  # the first try may have landed
        (1, OSError("broken"), False),
        (1, asyncio.CancelledError(), False),
    ],
)
def test_an_outcome_is_definite_or_unknown(
    tries: int, error: BaseException, is_definite: bool
) -> None:
    assert judge(_tried(tries)).refuses(error) is is_definite


def test_without_counting_an_error_is_judged_by_itself() -> None:
    assert judge(None).refuses(MilvusException(1100, "bad value"))
    assert not judge(None).refuses(ParamError(message="no such argument"))


def test_an_answer_to_a_second_try_leaves_the_first_open() -> None:
    assert judge(_tried(2)).is_open({})
    assert not judge(_tried(1)).is_open({})
    assert not judge(None).is_open({})
