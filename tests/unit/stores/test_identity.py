from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.errors import RecordError
from vecferry.model import Key
from vecferry.ports import Capabilities
from vecferry.stores.identity import (
    CARRIED_FIELD,
    ID_FIELD,
    NAMESPACE_FIELD,
    decode_carried,
    pack,
    target_id,
    unpack,
)

SETTINGS = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
INTS_AND_UUIDS = Capabilities(frozenset({"int", "uuid"}), frozenset(), frozenset())
ONE = UUID("0f9c2a44-3a7b-4c0e-9d63-2f1b8c5e7a10")

IDS = st.one_of(st.integers(), st.text(st.characters(exclude_categories=["Cs"])), st.uuids())
KEYS = st.builds(Key, st.just("docs"), st.sampled_from(["", "a", "ü"]), IDS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["a", "", "_vf_id", "_vf_ns", "_vf_x", "_vf_other", "_v"])


def own_id(key: Key) -> object:
    return target_id(key, INTS_AND_UUIDS)


def restored(payload: dict[str, object], native: object) -> tuple[Key, dict[str, object]]:
    return unpack(payload, native, "docs", own_id)  # type: ignore[arg-type]


@SETTINGS
@given(KEYS, st.dictionaries(NAMES, JSON), st.dictionaries(st.sampled_from(["x", "y"]), JSON))
def test_every_key_and_payload_comes_back(key, payload, carried):
    packed = pack(payload, key, carried)
    assert restored(packed, own_id(key)) == (key, payload | carried)


def test_the_original_id_is_always_stored_also_where_it_is_kept():
    assert pack({}, Key("docs", "", 5)) == {ID_FIELD: "i5"}
    assert pack({}, Key("docs", "a", "5")) == {ID_FIELD: "s5", NAMESPACE_FIELD: "a"}


@pytest.mark.parametrize(
    "stored",
    [7, None, ["i7"], {"a": 1}, "", "x7", "i", "i 7", "i07", "i7_0", "u7", "i" + "9" * 5000, "s7"],
)
def test_an_id_field_that_is_not_ours_is_the_applications(stored):
    payload = {ID_FIELD: stored, "a": 1}
    assert restored(payload, 7) == (Key("docs", "", 7), payload)


def test_an_id_field_that_leads_to_another_point_is_not_believed():
    payload = pack({"a": 1}, Key("docs", "", 8))
    assert restored(payload, 7) == (Key("docs", "", 7), payload)


def test_a_point_migrated_under_another_name_keeps_its_own_id_as_its_key():
    other = Key("elsewhere", "", "text")
    payload = pack({}, other)
    native = own_id(other)
    assert restored(payload, native) == (Key("docs", "", native), payload)


def test_a_namespace_that_is_not_text_is_not_believed():
    payload = {ID_FIELD: "i7", NAMESPACE_FIELD: 3}
    assert restored(payload, 7) == (Key("docs", "", 7), payload)


def test_no_reserved_field_of_a_point_of_ours_is_shown():
    payload = pack({"a": 1}, Key("docs", "", 7)) | {"_vf_norm": 2.0}
    assert restored(payload, 7) == (Key("docs", "", 7), {"a": 1})


def test_a_field_written_since_wins_over_the_carried_one():
    payload = pack({}, Key("docs", "", 7), {"big": 2**70}) | {"big": 3}
    assert restored(payload, 7)[1] == {"big": 3}


@pytest.mark.parametrize("text", [5, "no json", "[1]", "[" * 5000, '{"a":' + "[" * 100_000])
def test_a_carried_field_that_is_not_ours_stays_a_field(text):
    payload = {ID_FIELD: "i7", CARRIED_FIELD: text, "a": 1}
    assert restored(payload, 7)[1] == {CARRIED_FIELD: text, "a": 1}
    with pytest.raises(RecordError):
        decode_carried(text)


def test_a_deep_carried_text_with_long_digits_is_refused_too():
    with pytest.raises(RecordError):
        decode_carried('{"a":' + "[" * 100_000 + "9" * 30 + "]" * 100_000 + "}")
