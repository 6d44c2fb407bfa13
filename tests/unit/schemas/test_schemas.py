"""The schemas as they are shipped."""

import json
from io import BytesIO
from typing import get_args

import pytest
from fastavro import schemaless_reader, schemaless_writer

from vecferry import schemas
from vecferry.model import BITS, Dtype
from vecferry.record import ControlRecord, Dead, Event, EventKind, Hint, HintKind
from vecferry.schemas import evolution


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_part_of_a_schema_is_documented(name):
    assert evolution.undocumented(schemas.source(name)) == []


@pytest.mark.parametrize("name", schemas.NAMES)
def test_the_newest_release_is_the_current_schema_and_all_read_each_other(name):
    released = [schemas.source(name, version) for version in schemas.versions(name)]
    assert schemas.versions(name) == tuple(range(1, len(released) + 1))
    assert evolution.check_history(schemas.source(name), released) == []


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_released_schema_is_found_by_its_fingerprint(name):
    known = schemas.by_fingerprint(name)
    for version in schemas.versions(name):
        assert schemas.fingerprint(name, version) in known
    assert known[schemas.fingerprint(name)] is schemas.load(name)


def test_the_fingerprints_of_the_first_release_never_change():
    # what is written in somebody's log; a failure here means that the file of a release was edited
    first = {name: schemas.fingerprint(name, 1).hex() for name in schemas.NAMES}
    assert first == {
        "hint": "37fc29fb14a5f45e",
        "event": "743cd71ee7d170d6",
        "dead": "340b13bbdb414b63",
        "control": "b115409e02250622",
    }


def test_the_fingerprint_is_that_of_the_specification():
    # its known value for the schema "int", which a header carries little-endian
    assert schemas.fingerprint_of("int") == 0x7275D51A3F395C8F.to_bytes(8, "little")


def test_a_doc_does_not_change_the_fingerprint_and_a_field_does():
    event = schemas.source("event")
    before = schemas.fingerprint_of(event)
    event["doc"] = event["fields"][0]["doc"] = "other words"
    assert schemas.fingerprint_of(event) == before
    event["fields"].append({"name": "more", "type": "long", "default": 0})
    assert schemas.fingerprint_of(event) != before


@pytest.mark.parametrize(
    ("name", "record", "left_out"),
    [
        ("hint", Hint, set()),
        ("event", Event, set()),
        ("dead", Dead, set()),
        ("control", ControlRecord, {"offset"}),
    ],
)
def test_a_record_has_the_fields_of_its_schema(name, record, left_out):
    fields = [field["name"] for field in schemas.source(name)["fields"]]
    assert set(fields) == set(record._fields) - left_out


def test_the_enumerations_hold_what_the_program_knows():
    assert set(schemas.enums("hint")["HintKind"]) == {"UNKNOWN", *HintKind}
    event = schemas.enums("event")
    assert set(event["EventKind"]) == {"UNKNOWN", *EventKind}
    assert set(event["Dtype"]) == {"unknown", *BITS} == {"unknown", *get_args(Dtype)}
    assert set(event["VectorKind"]) == {"unknown", "dense", "sparse", "multi"}


def test_the_defaults_of_the_records_are_those_of_the_schemas():
    for name, record in (("hint", Hint), ("event", Event)):
        defaults = {f["name"]: f["default"] for f in schemas.load(name)["fields"] if "default" in f}
        mine = {
            n: list(v) if isinstance(v, tuple) else v for n, v in record._field_defaults.items()
        }
        assert defaults == mine


def test_a_default_of_bytes_is_read_as_bytes():
    old = schemas.source("event")
    old["fields"] = [field for field in old["fields"] if field["name"] not in ("digest", "key")]
    out = BytesIO()
    schemaless_writer(out, schemas.parse(old), {"kind": "EPOCH", "term": 3})
    out.seek(0)
    found = schemaless_reader(out, schemas.parse(old), schemas.load("event"))
    assert (found["key"], found["digest"], found["term"]) == (b"", b"", 3)


def test_a_version_that_was_never_released_is_not_there():
    with pytest.raises(FileNotFoundError):
        schemas.load("event", 999)


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_schema_is_plain_json(name):
    text = json.dumps(schemas.source(name))
    assert "__fastavro" not in text
    assert "logicalType" not in text  # a reader without logical types sees the same values
