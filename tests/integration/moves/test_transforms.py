"""Points that are changed on their way, and a target that was restored from a snapshot."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecferry.cli.progress import Reached
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.ports import Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import engines
from vecferry.testing.runs import Run

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

DIM = 8
POINTS = 300
LANGUAGES = ("en", "de", "fr")

MODULE = '''
import struct
from vecferry.model import Dense, Image

def length(points):
    """The text's length and its double as a vector; points without a text fail."""
    made = []
    for point in points:
        size = len(__import__("json").loads(point.image.payload)["text"])
        extra = Dense("float32", 2, struct.pack("<2f", size, 2 * size))
        made.append(Image({**point.image.vectors, "length": extra}, point.image.payload))
    return made
'''


def image_of(number: int, version: int = 0) -> Image:
    vector = np.random.default_rng([number, version]).standard_normal(DIM).astype("<f4")
    payload = {"lang": LANGUAGES[number % 3], "text": "x" * (number % 7), "secret": 1, "n": number}
    if number == 7:
        del payload["text"]
    return Image({"": Dense("float32", DIM, vector.tobytes())}, canonical(payload))


def canonical(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()


def write(store: Store, name: str, images: dict[int, Image | None]) -> None:
    writes = [Write(Key(name, "", number), image) for number, image in images.items()]
    assert store.write(Ref(name, name), writes) == []


def read(store: Store, name: str) -> dict[Any, Image]:
    return {
        point.key.id: point.image
        for bounds in store.plan_chunks(name, 1_000)
        for page in store.scan(Ref(name, name), bounds)
        for point in page
    }


@pytest.fixture
def place() -> dict[str, Any]:
    rest, grpc = engines.qdrant()
    return {"type": "qdrant", "url": rest, "grpc_url": grpc}


@pytest.fixture
def store(place: dict[str, Any]) -> Iterator[Store]:
    with contextlib.closing(open_store(StoreSettings(**place))) as opened:
        yield opened


@pytest.fixture
def names(store: Store) -> Iterator[tuple[str, str]]:
    """A full source collection, and the name of a target that is not there."""
    names = f"from_{uuid.uuid4().hex[:8]}", f"to_{uuid.uuid4().hex[:8]}"
    store.create(Collection(names[0], (VectorSpec("", dim=DIM, metric="dot"),)))
    write(store, names[0], {number: image_of(number) for number in range(POINTS)})
    yield names
    for name in names:
        store.drop(name)


@pytest.fixture
def document(place: dict[str, Any], names: tuple[str, str]) -> dict[str, Any]:
    log = {"bootstrap_servers": engines.kafka(), "session_timeout_s": 6.0, "partitions": 2}
    return {
        "source": place,
        "target": place,
        "collections": [{"source": names[0], "target": names[1]}],
        "log": log,
        "snapshot": {"chunk_points": 100},
    }


def test_points_arrive_as_the_transforms_make_them_and_parity_compares_through_them(
    store: Store, names: tuple[str, str], document: dict[str, Any], tmp_path: Path
) -> None:
    module = f"steps_{uuid.uuid4().hex}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    document["collections"][0]["transforms"] = [
        {"where": {"lang": {"one_of": ["en", "de"]}}},
        {"rename_vector": {"": "text"}},
        {"transform_batch": f"{module}:length", "vectors": {"length": {"dim": 2, "metric": "l2"}}},
        {"rename": {"n": "meta.number"}},
        {"drop": ["secret"]},
        {"cast": {"meta.number": "text"}},
        {"set": {"origin": "here"}},
    ]
    with Run(tmp_path, document) as run:
        planned = run.say("plan", "--json")
        assert planned.code == 0, planned
        up = run.start("up", "--once", "--json")
        assert up.ended(180) == 0, up.text

        arrived = read(store, names[1])
        assert set(arrived) == {n for n in range(POINTS) if n % 3 != 2 and n != 7}
        for number, image in arrived.items():
            assert image.vectors["text"] == image_of(number).vectors[""]
            wanted = np.array([number % 7, 2 * (number % 7)], "<f4").tobytes()
            assert image.vectors["length"] == Dense("float32", 2, wanted)
            assert json.loads(image.payload) == {
                "lang": LANGUAGES[number % 3],
                "text": "x" * (number % 7),
                "meta": {"number": str(number)},
                "origin": "here",
            }

        # the point without a text is a dead letter that says where it failed, and not what it held
        (letter,) = run.letters()
        assert "raised KeyError at" in letter["reason"]
        assert f"{module}.py:9 in length" in letter["reason"]
        (report,) = run.say("check", "--json").document
        assert report["left_out"] == POINTS // 3
        assert [(each["kind"], each["key"]) for each in report["mismatches"]] == [
            ("MISSING", f"{names[0]}/7")
        ]

        write(store, names[1], {4: None})
        (report,) = run.say("check", "--json").document
        assert {each["key"] for each in report["mismatches"]} == {f"{names[0]}/7", f"{names[0]}/4"}


def test_a_seeded_target_with_stale_missing_and_extra_points_ends_equal(
    store: Store, names: tuple[str, str], document: dict[str, Any], tmp_path: Path
) -> None:
    source, target = names
    store.create(Collection(target, (VectorSpec("", dim=DIM, metric="dot"),)))
    seeded: dict[int, Image | None] = {number: image_of(number) for number in range(POINTS)}
    stale, missing, extra = range(10, 15), range(150, 160), range(POINTS, POINTS + 5)
    seeded |= {number: image_of(number, 1) for number in (*stale, *extra)}
    for number in missing:
        del seeded[number]
    write(store, target, seeded)
    document["snapshot"]["mode"] = "seeded"
    document["collections"][0]["transforms"] = [{"where_not": {"n": {"equals": 200}}}]

    def is_reconciled(now: Reached) -> bool:
        return now.is_applied and not now.live.rescans

    with Run(tmp_path, document) as run:
        refused = run.say("up", "--once", "--json")
        assert refused.code == 2
        assert "leave --once out" in refused.line
        assert run.say("init").code == 0
        up = run.start("up", "--json")
        now = run.wait(is_reconciled, 180)
        # what the target had already was not moved: the row of 200 deletes it there
        assert now.rows == len(stale) + len(missing) + 1
        run.wait(lambda _: not set(extra) & set(read(store, target)), 60)
        run.require_equal()
        arrived = read(store, target)
        assert arrived == {n: image_of(n) for n in range(POINTS) if n != 200}
        assert read(store, source) == {n: image_of(n) for n in range(POINTS)}
        up.close()


def test_a_seeded_target_must_be_there(
    document: dict[str, Any], names: tuple[str, str], tmp_path: Path
) -> None:
    document["snapshot"]["mode"] = "seeded"
    with Run(tmp_path, document) as run:
        refused = run.say("init")
    assert refused.code == 2
    assert f"no collection {names[1]!r}" in refused.line
    assert "restore it first" in refused.line
