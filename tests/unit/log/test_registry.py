"""The Confluent framing, against a stand-in that speaks the registry's REST."""

import copy
import json
import sys
import threading
from io import BytesIO

import pytest
from fastavro import schemaless_writer

from vecferry import schemas
from vecferry.errors import ConfigError, RecordError, TransientError
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.names import Topics
from vecferry.log.registry import RegistryCodec, open_codec
from vecferry.model import Dense, Image
from vecferry.record import ControlRecord, Dead, Event, EventKind, Hint, HintKind
from vecferry.settings import LogSettings
from vecferry.testing.registry import RegistryServer

TOPICS = Topics("docs")
SUBJECT = "vecferry.docs.forward.events-value"
EVENT = Event(EventKind.ROW, b"4:docs0:i1", Image({"": Dense("int8", 2, b"ab")}), chunk="c")
HINT = Hint(HintKind.DONE, "r", (b"4:docs0:i1",))


@pytest.fixture
def server():
    with RegistryServer() as server:
        yield server


@pytest.fixture
def codec(server):
    return RegistryCodec(server.url, TOPICS)


def register(server, schema, subject="elsewhere-value"):
    return server.subjects.register(subject, json.dumps(schema))


def framed(number, schema, fields):
    out = BytesIO()
    out.write(b"\x00" + number.to_bytes(4, "big"))
    schemaless_writer(out, schemas.parse(copy.deepcopy(schema)), fields)
    return out.getvalue()


def test_every_kind_of_record_comes_back_equal_and_has_its_topics_subject(server, codec):
    dead = Dead("t", 0, 1, b"k", b"v", "why", "RecordError", "apply", 2)
    control = ControlRecord("claim", 3, "n", {"a": 1}, 7, 8)
    assert codec.decode_hint(codec.encode_hint(HINT)) == HINT
    assert codec.decode_event(codec.encode_event(EVENT)) == EVENT
    assert codec.decode_dead(codec.encode_dead(dead)) == dead
    assert codec.decode_control(codec.encode_control(control), 7) == control
    assert sorted(server.subjects.versions) == [
        "vecferry.docs.control-value",
        "vecferry.docs.forward.dead-value",
        "vecferry.docs.forward.events-value",
        "vecferry.docs.forward.hints-value",
    ]


def test_a_record_is_a_zero_the_schemas_number_and_the_same_body(server, codec):
    codec.encode_hint(HINT)
    data = codec.encode_event(EVENT)
    number = server.subjects.find(SUBJECT, json.dumps(schemas.source("event")))
    assert data[:5] == b"\x00" + number.to_bytes(4, "big")
    assert data[5:] == SingleObjectCodec().encode_event(EVENT)[10:]


def test_each_schema_is_registered_once_and_asked_for_once_however_many_records(server, codec):
    data = [codec.encode_event(EVENT) for _ in range(20)]
    assert [codec.decode_event(value) for value in data] == [EVENT] * 20
    registered = [request for request in server.requests if request.startswith("POST")]
    assert registered == [f"POST /subjects/{SUBJECT}/versions"]
    assert len(server.requests) <= 2


def test_threads_that_start_together_register_once(server, codec):
    start = threading.Barrier(4)
    found = []

    def work():
        start.wait()
        found.append(codec.decode_event(codec.encode_event(EVENT)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [EVENT] * 4
    assert server.requests.count(f"POST /subjects/{SUBJECT}/versions") == 1


def test_another_process_reads_what_one_wrote(server, codec):
    assert RegistryCodec(server.url, TOPICS).decode_event(codec.encode_event(EVENT)) == EVENT


def test_records_from_before_the_registry_was_set_are_still_read(codec):
    assert codec.decode_event(SingleObjectCodec().encode_event(EVENT)) == EVENT


def test_without_a_registry_such_a_record_is_refused_with_the_setting_to_set(codec):
    with pytest.raises(RecordError, match="schema_registry_url"):
        SingleObjectCodec().decode_event(codec.encode_event(EVENT))


def test_an_older_and_a_newer_schema_of_the_registry_are_read(server, codec):
    older, newer = schemas.source("hint"), schemas.source("hint")
    older["fields"] = older["fields"][:3]
    newer["fields"].append({"name": "more", "type": "long", "default": 0})
    for schema, more in ((older, {}), (newer, {"more": 5})):
        fields = {"kind": "DONE", "request": "r", "keys": [b"4:docs0:i1"], **more}
        data = framed(register(server, schema, f"{len(more)}-value"), schema, fields)
        assert codec.decode_hint(data) == HINT


def test_an_incompatible_subject_is_a_configuration_error_and_nothing_is_written(server, codec):
    other = schemas.source("event")
    other["fields"][0] = {"name": "sort", "type": "string"}  # written without a kind
    register(server, other, SUBJECT)
    with pytest.raises(ConfigError, match=r"incompatible.*another migration name"):
        codec.encode_event(EVENT)
    assert len(server.subjects.versions[SUBJECT]) == 1


def test_the_same_subject_without_checks_takes_it(server, codec):
    # what the check above is good for: with it switched off the schema is taken
    other = schemas.source("event")
    other["fields"][0] = {"name": "sort", "type": "string"}
    register(server, other, SUBJECT)
    server.subjects.levels[SUBJECT] = "NONE"
    assert codec.decode_event(codec.encode_event(EVENT)) == EVENT


def test_a_number_that_the_registry_does_not_know_is_a_record_error(codec):
    with pytest.raises(RecordError, match="schema 4711"):
        codec.decode_event(b"\x00" + (4711).to_bytes(4, "big") + b"body")


def test_a_schema_of_another_kind_of_record_is_a_record_error(codec):
    with pytest.raises(RecordError, match=r"cannot be read as a event record.*Hint became Event"):
        codec.decode_event(codec.encode_hint(HINT))


def test_a_schema_that_is_not_avro_is_a_record_error(server, codec):
    for number, text in ((901, "syntax = proto3;"), (902, '{"type": "object"}'), (903, "[1, 2]")):
        server.subjects.numbers[number] = text
        with pytest.raises(RecordError, match=f"schema {number}"):
            codec.decode_event(b"\x00" + number.to_bytes(4, "big") + b"body")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00\x00", b"hello world", b"\x01" * 20])
def test_what_is_no_record_is_refused_without_asking(server, codec, data):
    with pytest.raises(RecordError, match="it starts with"):
        codec.decode_event(data)
    assert server.requests == []


def test_a_record_cut_anywhere_is_refused(codec):
    data = codec.encode_event(EVENT)
    for size in range(len(data)):
        with pytest.raises(RecordError):
            codec.decode_event(data[:size])
    with pytest.raises(RecordError, match="what follows"):
        codec.decode_event(data + b"\x00")


def test_a_registry_that_fails_once_is_asked_again(server, codec):
    server.fail_next(503, times=2)
    assert codec.decode_event(codec.encode_event(EVENT)) == EVENT


def test_a_registry_that_keeps_failing_is_a_transient_error_and_works_later(server, codec):
    server.fail_next(503, times=4)
    with pytest.raises(TransientError, match="told to fail"):
        codec.encode_event(EVENT)
    assert codec.decode_event(codec.encode_event(EVENT)) == EVENT


def test_a_registry_that_is_not_there_is_a_transient_error():
    with RegistryServer() as server:
        url = server.url
    codec = RegistryCodec(url, TOPICS, timeout_s=5)
    with pytest.raises(TransientError, match="does not answer"):
        codec.encode_event(EVENT)


def test_a_user_and_a_password_are_sent_and_never_shown():
    with RegistryServer(user="me", password="hunter2") as server:
        codec = RegistryCodec(server.url, TOPICS, user="me", password="hunter2")
        assert codec.decode_event(codec.encode_event(EVENT)) == EVENT
        with_userinfo = server.url.replace("//", "//me:wrong-secret@")
        for wrong in (
            RegistryCodec(server.url, TOPICS, user="me", password="wrong-secret"),
            RegistryCodec(with_userinfo, TOPICS),
            RegistryCodec(server.url, TOPICS),
        ):
            with pytest.raises(ConfigError, match="schema_registry_user") as caught:
                wrong.encode_event(EVENT)
            assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["not an address", "ftp://me:hunter2@there"])
def test_an_address_that_is_not_one_is_a_configuration_error(url):
    with pytest.raises(ConfigError, match="schema_registry_url") as caught:
        RegistryCodec(url, TOPICS)
    assert "hunter2" not in str(caught.value)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(ConfigError, match=r"pip install 'vecferry\[registry\]'"):
        RegistryCodec("http://127.0.0.1:1", TOPICS)


def test_the_settings_choose_the_codec(server):
    assert isinstance(open_codec(LogSettings(), TOPICS), SingleObjectCodec)
    codec = open_codec(LogSettings(schema_registry_url=server.url), TOPICS)
    assert isinstance(codec, RegistryCodec)
    assert codec.decode_hint(codec.encode_hint(HINT)) == HINT


def test_the_base_install_does_not_import_the_registrys_client():
    import subprocess

    program = (
        "import sys, vecferry.log.codec, vecferry.log.registry;"
        "sys.exit('confluent_kafka.schema_registry' in sys.modules or 'httpx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# the stand-in itself


@pytest.mark.parametrize(
    ("level", "steps", "taken"),
    [
        ("BACKWARD", ["ab", "a"], True),
        ("BACKWARD", ["a", "aB"], False),
        ("BACKWARD", ["a", "ab", "aB"], True),
        ("BACKWARD_TRANSITIVE", ["a", "ab", "aB"], False),
        ("FORWARD", ["a", "aB"], True),
        ("FORWARD", ["aB", "a"], False),
        ("FULL", ["a", "ab", "a"], True),
        ("FULL", ["a", "aB"], False),
        ("NONE", ["a", "B"], True),
    ],
)
def test_the_stand_in_checks_as_its_level_says(server, level, steps, taken):
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    def schema(names):
        # a capital has no default
        fields = [
            {"name": name.lower(), "type": "long", **({} if name.isupper() else {"default": 0})}
            for name in names
        ]
        return Schema(json.dumps({"type": "record", "name": "R", "fields": fields}), "AVRO")

    client = SchemaRegistryClient({"url": server.url, "timeout": 30})
    client.set_compatibility("s", level)
    assert client.get_compatibility("s") == level
    for step in steps[:-1]:
        client.register_schema("s", schema(step))
    assert client.test_compatibility("s", schema(steps[-1])) is taken
    if taken:
        client.register_schema("s", schema(steps[-1]))
        assert client.get_latest_version("s").version == len({*steps})
    else:
        with pytest.raises(SchemaRegistryError) as caught:
            client.register_schema("s", schema(steps[-1]))
        assert caught.value.http_status_code == 409
    assert client.get_subjects() == ["s"]
