"""The user's functions: found or refused at the start, and judged by what they return."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vecferry.errors import ConfigError, HaltError, RecordError, TransientError, UnknownOutcome
from vecferry.mapping import callables
from vecferry.mapping.callables import Called, load_callable
from vecferry.model import Dense, Image, Key, Multi, Point, Sparse
from vecferry.transform_settings import TransformSettings

IMAGE = Image({"v": Dense("float32", 1, b"\0\0\0\0")}, b'{"a":1}')

Write = Callable[[str], str]


def points(count: int) -> list[Point]:
    return [Point(Key("docs", "", number), IMAGE) for number in range(count)]


def called(function: Any, **settings: Any) -> Called:
    name = settings.pop("as_", "transform")
    return Called(TransformSettings.model_validate({name: "m:f", **settings}), function)


def batched(function: Any, **settings: Any) -> Called:
    return called(function, as_="transform_batch", **settings)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> str:
        name = f"module_{uuid.uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return make


# --- found ---


def test_a_module_beside_the_file_is_found(write: Write, tmp_path: Path) -> None:
    name = write("def f(image):\n    return image\n")
    assert load_callable(f"{name}:f", tmp_path)(IMAGE) is IMAGE


def test_a_module_that_is_not_there_is_told_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such module") as refused:
        load_callable("not_there_at_all:f", tmp_path)
    assert str(tmp_path) in str(refused.value)


def test_a_module_that_lacks_another_one_is_told_apart(write: Write, tmp_path: Path) -> None:
    name = write("import not_there_at_all\n")
    with pytest.raises(ConfigError, match=r"it raised ModuleNotFoundError.*not_there_at_all"):
        load_callable(f"{name}:f", tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no function 'f'"),
        ("f = 3", "has no function 'f'"),
        ("def f(): pass", "must take one argument"),
        ("def f(a, b): pass", "must take one argument"),
        ("def f(*, a): pass", "must take one argument"),
        ("async def f(a): pass", "is async"),
        ("1 / 0", "it raised ZeroDivisionError"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(
    text: str, why: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why):
        load_callable(f"{write(text)}:f", tmp_path)


def test_optional_arguments_do_no_harm(write: Write, tmp_path: Path) -> None:
    name = write("def f(image, twice=False, *rest, **more): return image\n")
    assert load_callable(f"{name}:f", tmp_path)(IMAGE) is IMAGE


@pytest.mark.parametrize("name", ["module", "module:", ":f", ""])
def test_a_name_is_a_module_and_a_function(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="module:name"):
        load_callable(name, tmp_path)


# --- called ---


def test_an_image_comes_back_and_none_leaves_the_point_out() -> None:
    made = IMAGE._replace(payload=b'{"b": 2, "a": 1}')
    step = called(lambda image: made if image is IMAGE else None)
    other = Point(Key("docs", "", 9), IMAGE._replace())
    assert step([*points(1), other]) == [
        Point(Key("docs", "", 0), IMAGE._replace(payload=b'{"a":1,"b":2}')),  # canonical
        None,
    ]


def test_a_batch_gets_points_and_returns_as_many() -> None:
    seen: list[Any] = []

    def odd(given: list[Point]) -> list[Image | None]:
        seen.append(given)
        return [point.image if int(point.key.id) % 2 else None for point in given]

    assert batched(odd)(points(3)) == [None, points(2)[1], None]
    assert seen == [points(3)]
    assert batched(odd)([]) == []


def test_the_point_that_makes_a_batch_fail_is_found_and_the_others_go_on() -> None:
    def fail(given: list[Point]) -> list[Image]:
        if any(point.key.id == 5 for point in given):
            raise ValueError("the secret")
        return [point.image for point in given]

    outcomes = batched(fail)(points(8))
    assert [each for at, each in enumerate(outcomes) if at != 5] == [
        point for point in points(8) if point.key.id != 5
    ]
    assert isinstance(outcomes[5], RecordError)


def test_without_the_halving_one_point_would_cost_its_whole_batch() -> None:
    class Whole(Called):
        def __call__(self, points: Any) -> Any:
            return [self._call(list(points))] * len(points)

    step = Whole(TransformSettings(transform_batch="m:f"), lambda given: [1 / 0])
    assert all(isinstance(each, RecordError) for each in step(points(8)))


def test_a_failure_is_told_by_its_place_and_never_by_its_values(
    write: Write, tmp_path: Path
) -> None:
    name = write(
        "def inner(payload):\n    raise KeyError(payload)\n\ndef f(image):\n    return inner(image.payload)\n"
    )
    secret = Point(Key("docs", "", 1), IMAGE._replace(payload=b'{"secret":"private"}'))
    (outcome,) = called(load_callable(f"{name}:f", tmp_path))([secret])
    assert str(outcome) == f"m:f raised KeyError at {name}.py:5 in f > {name}.py:2 in inner"


@pytest.mark.parametrize(
    "error", [TransientError("busy"), UnknownOutcome("gone"), HaltError("no"), MemoryError()]
)
def test_an_outage_and_a_broken_function_are_no_fault_of_the_record(error: Exception) -> None:
    def fail(_: Any) -> None:
        raise error

    for step in (called(fail), batched(fail)):
        with pytest.raises(type(error)):
            step(points(2))


@pytest.mark.parametrize("error", [ConnectionResetError("host"), TimeoutError("host")])
def test_a_broken_connection_is_an_outage(error: Exception) -> None:
    def fail(_: Any) -> None:
        raise error

    with pytest.raises(TransientError, match="lost its connection"):
        called(fail)(points(1))


def test_a_record_error_of_its_own_is_the_reason() -> None:
    def fail(_: Any) -> None:
        raise RecordError("no title")

    for step in (called(fail), batched(fail)):
        outcomes = step(points(2))
        assert [str(each) for each in outcomes] == ["no title", "no title"]


# --- judged ---


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ({"v": 1}, "returned dict, not an Image"),
        (IMAGE._replace(payload="{}"), "payload of type str"),
        (IMAGE._replace(payload=b"[]"), "a payload is a list"),
        (IMAGE._replace(vectors=[1]), "not an Image"),
        (IMAGE._replace(vectors={"w": IMAGE.vectors["v"]}), "made a vector 'w'"),
        (
            IMAGE._replace(vectors={"v": Dense("float32", 2, b"\0" * 8)}),
            r"float32\[2\], not float32\[1\]",
        ),
        (
            IMAGE._replace(vectors={"v": Dense("float16", 1, b"\0" * 2)}),
            r"float16\[1\], not float32\[1\]",
        ),
        (IMAGE._replace(vectors={"v": Dense("float32", 1, b"\0" * 3)}), "must have 4 bytes"),
        (IMAGE._replace(vectors={"v": Dense("float32", 1, [0.0])}), "must have 4 bytes"),
        (IMAGE._replace(vectors={"v": [0.0]}), "is list, not a dense one"),
        (IMAGE._replace(vectors={"v": Sparse(b"", b"")}), "is Sparse, not a dense one"),
        (IMAGE._replace(vectors={"s": Dense("float32", 1, b"\0" * 4)}), "not a Sparse"),
        (IMAGE._replace(vectors={"s": Sparse(b"\0" * 4, b"")}), "4 bytes of indices, 0 of values"),
        (IMAGE._replace(vectors={"m": Multi("int8", 2, 2, b"\0" * 3)}), "must have 4 bytes"),
    ],
)
def test_what_is_no_image_of_the_collection_is_refused(returned: Any, why: str) -> None:
    declared = {"s": {"kind": "sparse"}, "m": {"kind": "multi", "dtype": "int8", "dim": 2}}
    (outcome,) = called(lambda _: returned, vectors=declared)(points(1))
    assert isinstance(outcome, RecordError)
    with pytest.raises(RecordError, match=why):
        raise outcome


def test_a_list_of_another_length_is_refused() -> None:
    outcomes = batched(lambda given: [IMAGE, IMAGE, IMAGE])(points(2))
    assert all("as long as" in str(each) for each in outcomes)


def test_declared_vectors_of_every_kind_are_taken() -> None:
    vectors = {
        "v": Dense("float16", 2, b"\0" * 4),
        "s": Sparse(b"\0" * 4, b"\0" * 4),
        "m": Multi("int8", 2, 3, b"\0" * 6),
    }
    declared = {
        "v": {"dtype": "float16", "dim": 2},
        "s": {"kind": "sparse"},
        "m": {"kind": "multi", "dtype": "int8", "dim": 2},
    }
    (outcome,) = called(lambda image: image._replace(vectors=vectors), vectors=declared)(points(1))
    assert isinstance(outcome, Point)
    assert outcome.image.vectors == vectors


# --- threads ---


def at_once(step: Called) -> int:
    """Call from several threads; return how many were inside together."""
    inside, most = 0, 0
    guard = threading.Lock()
    met = threading.Event()

    def function(image: Image) -> Image:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
            if inside > 1:
                met.set()
        met.wait(0.2)
        with guard:
            inside -= 1
        return image

    step._function = function
    threads = [threading.Thread(target=step, args=(points(1),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most


def test_one_call_runs_at_a_time() -> None:
    assert at_once(called(None)) == 1


def test_where_the_setting_says_so_several_run() -> None:
    start = time.monotonic()
    while at_once(called(None, concurrent=True)) == 1:  # a busy machine may run them in turn
        assert time.monotonic() < start + 60


def test_without_the_lock_several_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callables, "_ONE_AT_A_TIME", contextlib.nullcontext())
    start = time.monotonic()
    while at_once(called(None)) == 1:
        assert time.monotonic() < start + 60
