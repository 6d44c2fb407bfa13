"""Records that nobody can apply are told one by one; everything else arrives."""

import uuid
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from confluent_kafka import Producer
from qdrant_client import grpc as messages

from vecferry.log.partition import partition_of
from vecferry.model import Dense, Image, Key, key_bytes
from vecferry.payload import encode_payload
from vecferry.ports import Ref, Store, Write
from vecferry.record import Event, EventKind
from vecferry.testing.runs import Run

pytestmark = pytest.mark.kafka

DIM = 8
NAN, LARGE = 100, 101


@pytest.fixture
def spoiled(source: str, store: Store, qdrant: dict[str, Any]) -> None:
    """Add a point with a NaN, as a client can that is not asked, and a large one."""
    values = [float("nan"), *[1.0] * (DIM - 1)]
    point = messages.PointStruct(
        id=messages.PointId(num=NAN),
        vectors=messages.Vectors(vector=messages.Vector(data=values)),
    )
    with grpc.insecure_channel(qdrant["grpc_url"]) as channel:
        asked = messages.UpsertPoints(collection_name=source, points=[point], wait=True)
        messages.points_service_pb2_grpc.PointsStub(channel).Upsert(asked)
    image = Image(
        {"": Dense("float32", DIM, np.ones(DIM, "<f4").tobytes())},
        encode_payload({"text": "x" * 60_000}),
    )
    assert store.write(Ref(source, source), [Write(Key(source, "", LARGE), image)]) == []


def put(run: Run, key: Key, value: bytes) -> None:
    """Put bytes into ``events`` where records of the key lie."""
    migration = run.migration
    data = key_bytes(key)
    producer = Producer({"bootstrap.servers": migration.settings.log.bootstrap_servers})
    partition = partition_of(data, migration.settings.log.partitions)
    producer.produce(migration.topics.events, value, data, partition)
    assert producer.flush(30.0) == 0
    producer.close(5.0)


def test_what_cannot_be_applied_becomes_a_letter_and_the_rest_arrives(
    tmp_path: Path, document: dict[str, Any], source: str, spoiled: None
) -> None:
    document["log"]["kafka"] = {"message.max.bytes": 50_000}
    document["collections"][0]["acknowledge"] = ["vectors."]  # the plan has seen one of them
    with Run(tmp_path, document) as run:
        assert run.say("init").code == 0
        ghost, torn = Key(source, "", uuid.uuid4()), Key(source, "", 7_000)
        whole = run.migration.codec.encode_event(
            Event(EventKind.IMAGE, key_bytes(torn), Image({}, b"{}"), term=1)
        )
        put(run, ghost, b"\xc3\x01" + b"\x07" * 8 + b"whatever a newer program wrote")
        put(run, torn, whole[: len(whole) // 2])

        up = run.start("up", "--once", "--json")
        assert up.ended() == 0, up.text
        assert run.arrived() == 40

        letters = {letter["key"]: letter for letter in run.letters()}
        assert letters.keys() == {
            str(key) for key in (ghost, torn, Key(source, "", NAN), Key(source, "", LARGE))
        }
        assert all(
            letter["open"] and letter["error"] == "RecordError" for letter in letters.values()
        )
        nan, large = (letters[str(Key(source, "", at))] for at in (NAN, LARGE))
        assert "NaN" in nan["reason"]
        assert (nan["role"], large["role"]) == ("apply", "snapshot")
        assert "message.max.bytes" in large["reason"]  # the setting to raise
        assert any(
            60_000 < int(word) < 62_000 for word in large["reason"].split() if word.isdigit()
        )
        assert letters[str(ghost)]["bytes"] == 40  # raw, for a program that can read it
        assert letters[str(torn)]["bytes"] == len(whole) // 2
        assert letters[str(torn)]["origin"]["topic"] == run.migration.topics.events

        explained = run.say("dlq", "explain", nan["place"])
        assert explained.code == 0
        assert "an event of kind ROW" in explained.out
        assert f"Dense of {4 * DIM} bytes" in explained.out
        unreadable = run.say("dlq", "explain", letters[str(torn)]["place"])
        assert "cannot be read" in unreadable.out
        assert run.say("dlq", "explain", "0:99").code == 2

        assert run.say("status", "--json").document["diverged"] == 4
        checked = run.say("check", "--json")
        assert checked.code == 3
        (report,) = checked.document
        assert {each["key"] for each in report["mismatches"]} == {
            str(Key(source, "", NAN)),
            str(Key(source, "", LARGE)),
        }
        assert {each["kind"] for each in report["mismatches"]} == {"MISSING"}
        for text in (explained.out, checked.out, run.say("dlq", "list").out):
            assert "xxxx" not in text  # no payload is ever printed
