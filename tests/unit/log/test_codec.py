"""The codec: what comes back, and what is refused."""

import contextlib
import copy
import struct
import threading
from io import BytesIO
from types import MappingProxyType

import pytest
from fastavro import schemaless_writer

from vecferry import schemas
from vecferry.errors import RecordError
from vecferry.log.codec import SingleObjectCodec
from vecferry.model import Dense, Image, Multi, Sparse
from vecferry.record import ControlRecord, Dead, Event, EventKind, Hint, HintKind

NAN = struct.pack("<4I", 0x7FC00001, 0xFFC00000, 0x80000000, 0x00000001)
IMAGE = Image(
    {
        "": Dense("float32", 4, NAN),
        "tags": Sparse(struct.pack("<2I", 3, 2**32 - 1), struct.pack("<2f", 0.5, -1.0)),
        "tokens": Multi("float16", 2, 3, bytes(12)),
        "bits": Dense("binary", 12, b"\xff\xf0"),
    },
    b'{"a":1}',
)
EVENT = Event(EventKind.IMAGE, b"4:docs0:i42", IMAGE, term=7, hint_offset=2**40)
HINT = Hint(HintKind.INTENT, "r1", (b"4:docs0:i1", b"4:docs0:i2"), "upsert", "17", 5)
DEAD = Dead("t", 3, 4, b"k", b"\x00raw", "too large", "RecordError", "apply", 6)
CONTROL = ControlRecord("claim", 9, "capture/3", {"n": 2**70, "f": 1.0, "t": "ü"}, 12, 34)


@pytest.fixture
def codec():
    return SingleObjectCodec()


def encoded(codec):
    return {
        "hint": (codec.encode_hint(HINT), codec.decode_hint),
        "event": (codec.encode_event(EVENT), codec.decode_event),
        "dead": (codec.encode_dead(DEAD), codec.decode_dead),
        "control": (codec.encode_control(CONTROL), lambda data: codec.decode_control(data, 12)),
    }


def written_with(schema, fields):
    out = BytesIO()
    out.write(b"\xc3\x01" + schemas.fingerprint_of(schema))
    schemaless_writer(out, schemas.parse(copy.deepcopy(schema)), fields)
    return out.getvalue()


def test_every_kind_of_record_comes_back_equal(codec):
    found = {name: decode(data) for name, (data, decode) in encoded(codec).items()}
    assert found == {"hint": HINT, "event": EVENT, "dead": DEAD, "control": CONTROL}
    assert isinstance(found["hint"].kind, HintKind)
    assert isinstance(found["event"].kind, EventKind)
    assert isinstance(found["control"].body["f"], float)


def test_the_bits_of_a_vector_survive_also_those_of_nan_and_negative_zero(codec):
    vector = codec.decode_event(codec.encode_event(EVENT)).image.vectors[""]
    assert vector.data == NAN
    assert isinstance(vector.data, bytes)


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_record_starts_with_the_single_object_header(codec, name):
    data, _ = encoded(codec)[name]
    assert data[:10] == b"\xc3\x01" + schemas.fingerprint(name)


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_record_cut_anywhere_is_refused(codec, name):
    data, decode = encoded(codec)[name]
    for size in range(len(data)):
        with pytest.raises(RecordError):
            decode(data[:size])


@pytest.mark.parametrize("name", schemas.NAMES)
def test_bytes_behind_a_record_are_refused(codec, name):
    data, decode = encoded(codec)[name]
    with pytest.raises(RecordError, match="what follows is not part of it"):
        decode(data + b"\x00")


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_record_of_an_unknown_schema_is_refused_with_its_fingerprint(codec, name):
    _, decode = encoded(codec)[name]
    with pytest.raises(RecordError, match=r"0102030405060708.*upgrade"):
        decode(b"\xc3\x01" + bytes(range(1, 9)) + b"body")


def test_a_record_of_another_kind_is_refused(codec):
    with pytest.raises(RecordError, match="does not know"):
        codec.decode_hint(codec.encode_event(EVENT))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"\xc3\x01\x00", "truncated"),
        (b"\x00\x00\x00\x00\x07" + bytes(20), "schema_registry_url"),
        (b'{"not": "avro at all"}', "it starts with 7b22"),
    ],
)
def test_what_is_no_record_is_refused_with_what_it_is(codec, data, why):
    with pytest.raises(RecordError, match=why):
        codec.decode_event(data)


def test_damage_in_any_byte_never_ends_in_another_error(codec):
    for data, decode in encoded(codec).values():
        for index in range(10, len(data)):
            for flip in (0x01, 0x80, 0xFF):
                damaged = bytearray(data)
                damaged[index] ^= flip
                with contextlib.suppress(RecordError):
                    decode(bytes(damaged))


@pytest.mark.parametrize(
    "vector",
    [
        Dense("float32", 3, bytes(11)),
        Dense("float16", 2, bytes(8)),
        Dense("binary", 9, bytes(1)),
        Multi("float32", 2, 2, bytes(12)),
        Sparse(bytes(4), bytes(8)),
        Sparse(bytes(3), bytes(3)),
    ],
)
def test_a_vector_whose_bytes_do_not_fit_its_shape_is_refused_both_ways(codec, vector):
    with pytest.raises(RecordError, match=r"vector 'v' has \d+ bytes"):
        codec.encode_event(EVENT._replace(image=Image({"v": vector})))
    sparse = isinstance(vector, Sparse)
    fields = {
        "name": "v",
        "kind": type(vector).__name__.lower(),
        "dtype": "float32" if sparse else vector.dtype,
        "dim": 0 if sparse else vector.dim,
        "rows": getattr(vector, "rows", 0),
        "indices": vector.indices if sparse else b"",
        "data": vector.values if sparse else vector.data,
    }
    image = {"vectors": [fields], "payload": b"{}"}
    data = written_with(
        schemas.source("event"), {"kind": "IMAGE", "key": b"k", "image": image, "digest": b""}
    )
    with pytest.raises(RecordError, match=r"vector 'v' has \d+ bytes"):
        codec.decode_event(data)


def test_two_vectors_of_one_name_are_refused(codec):
    vector = {"name": "v", "kind": "dense", "dtype": "int8", "dim": 1, "indices": b"", "data": b"x"}
    image = {"vectors": [vector, vector], "payload": b"{}"}
    data = written_with(
        schemas.source("event"), {"kind": "ROW", "key": b"k", "image": image, "digest": b""}
    )
    with pytest.raises(RecordError, match="two vectors of one name"):
        codec.decode_event(data)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "UNKNOWN"}, "an event is of a kind"),
        ({"kind": "ROW", "vector": {"kind": "unknown"}}, "'v' is of a kind or a dtype"),
        ({"kind": "ROW", "vector": {"dtype": "unknown"}}, "'v' is of a kind or a dtype"),
    ],
)
def test_what_came_after_this_release_is_refused_and_says_upgrade(codec, change, why):
    vector = {"name": "v", "kind": "dense", "dtype": "int8", "dim": 1, "indices": b"", "data": b"x"}
    image = {"vectors": [vector | change.get("vector", {})], "payload": b"{}"}
    fields = {"kind": change["kind"], "key": b"k", "image": image, "digest": b""}
    with pytest.raises(RecordError, match=f"{why}.*upgrade"):
        codec.decode_event(written_with(schemas.source("event"), fields))


def test_a_hint_of_a_later_kind_is_refused(codec):
    with pytest.raises(RecordError, match="upgrade"):
        codec.decode_hint(written_with(schemas.source("hint"), {"kind": "UNKNOWN"}))


def older_event():
    """A version without the fields behind ``term``, as one could have been released."""
    schema = schemas.source("event")
    schema["fields"] = [
        f for f in schema["fields"] if f["name"] in ("kind", "key", "image", "term")
    ]
    return schema


def test_an_older_released_schema_is_read_by_its_fingerprint(monkeypatch):
    old = older_event()
    known = {
        **schemas.by_fingerprint("event"),
        schemas.fingerprint_of(old): schemas.parse(copy.deepcopy(old)),
    }
    released = schemas.by_fingerprint
    monkeypatch.setattr(
        schemas,
        "by_fingerprint",
        lambda name: MappingProxyType(known) if name == "event" else released(name),
    )
    fields = {"kind": "IMAGE", "key": b"k", "image": {"vectors": [], "payload": b"{}"}, "term": 5}
    found = SingleObjectCodec().decode_event(written_with(old, fields))
    assert found == Event(EventKind.IMAGE, b"k", Image({}), term=5)


def test_without_the_older_schema_the_same_record_is_refused(codec):
    with pytest.raises(RecordError, match="upgrade"):
        codec.decode_event(written_with(older_event(), {"kind": "IMAGE", "key": b"k", "term": 5}))


def test_a_control_body_that_is_not_an_object_is_refused(codec):
    fields = {"kind": "claim", "term": 0, "name": "x", "body": b"[1]", "at_ms": 0}
    with pytest.raises(RecordError, match="list"):
        codec.decode_control(written_with(schemas.source("control"), fields), 0)
    with pytest.raises(RecordError, match=r"NaN|nan"):
        codec.encode_control(CONTROL._replace(body={"x": float("nan")}))


def test_no_message_shows_a_vector_or_a_payload(codec):
    image = Image({"v": Dense("uint8", 7, b"SECRETS")}, b'{"password":"hunter2"}')
    data = codec.encode_event(EVENT._replace(image=image))
    for broken in (data[:-3], data + b"x", data[:20] + b"\xff" * 10 + data[30:]):
        with pytest.raises(RecordError) as caught:
            codec.decode_event(broken)
        assert "SECRETS" not in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_threads_share_a_codec_though_their_vectors_differ(codec):
    failures = []

    def work(dim):
        event = EVENT._replace(image=Image({f"v{dim}": Dense("float32", dim, bytes(4 * dim))}))
        for _ in range(300):
            if codec.decode_event(codec.encode_event(event)) != event:
                failures.append(dim)

    threads = [threading.Thread(target=work, args=(dim,)) for dim in (1, 2, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
