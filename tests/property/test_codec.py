"""Every record comes back, and the bytes written by hand are fastavro's."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry import schemas
from vecferry.errors import RecordError
from vecferry.log import wire
from vecferry.log.codec import SingleObjectCodec
from vecferry.log.event_wire import EventReader
from vecferry.payload import encode_payload
from vecferry.testing import strategies

CODEC = SingleObjectCodec()
QUICK = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def by_fastavro(event):
    return CODEC._encode("event", wire.event_fields(event))


@given(strategies.events)
@QUICK
def test_an_event_comes_back_equal(event):
    found = CODEC.decode_event(CODEC.encode_event(event))
    assert found == event
    if event.image is not None:
        assert list(found.image.vectors) == list(event.image.vectors)
        assert [type(v) for v in found.image.vectors.values()] == [
            type(v) for v in event.image.vectors.values()
        ]


@given(strategies.events)
@QUICK
def test_the_bytes_written_by_hand_are_fastavros_and_fastavro_reads_them(event):
    data = CODEC.encode_event(event)
    assert data == by_fastavro(event)
    assert CODEC._decode("event", data, wire.event_of) == event


@given(st.lists(strategies.events, min_size=1, max_size=4))
@QUICK
def test_reading_by_hand_needs_no_help_and_remembers_nothing_wrong(events):
    # one reader for all, each event twice: what it remembers of one must not colour another
    reader = EventReader()
    for event in [*events, *events]:
        assert reader.read(CODEC.encode_event(event), 10) == event


@given(strategies.events, st.data())
@QUICK
def test_a_damaged_event_is_read_by_hand_as_fastavro_reads_it_or_not_at_all(event, data):
    body = bytearray(CODEC.encode_event(event))
    index = data.draw(st.integers(10, len(body) - 1))
    body[index] ^= data.draw(st.integers(1, 255))
    reader = EventReader()
    reader.read(CODEC.encode_event(event), 10)
    try:
        found = reader.read(bytes(body), 10)
    except RecordError:  # a shape that does not fit
        with pytest.raises(RecordError):
            CODEC._decode("event", bytes(body), wire.event_of)
    else:
        if found is not None:
            assert found == CODEC._decode("event", bytes(body), wire.event_of)


@given(strategies.hints)
@QUICK
def test_a_hint_comes_back_equal(hint):
    assert CODEC.decode_hint(CODEC.encode_hint(hint)) == hint


@given(strategies.dead_letters)
@QUICK
def test_a_dead_letter_comes_back_equal(dead):
    assert CODEC.decode_dead(CODEC.encode_dead(dead)) == dead


@given(strategies.control_records)
@QUICK
def test_a_control_record_comes_back_equal_with_its_types(record):
    found = CODEC.decode_control(CODEC.encode_control(record), record.offset)
    assert found == record
    assert encode_payload(found.body) == encode_payload(record.body)  # 1 is not 1.0


@given(st.sampled_from(schemas.NAMES), st.binary(max_size=60))
@QUICK
def test_any_bytes_are_a_record_or_a_record_error(name, body):
    decode = {
        "hint": CODEC.decode_hint,
        "event": CODEC.decode_event,
        "dead": CODEC.decode_dead,
        "control": lambda data: CODEC.decode_control(data, 0),
    }[name]
    for data in (body, CODEC.header(name) + body):
        with contextlib.suppress(RecordError):
            decode(data)
