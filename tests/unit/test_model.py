"""Keys: typed, spelled in one way, and back."""

import contextlib
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecferry.model import (
    Collection,
    Key,
    VectorSpec,
    key_bytes,
    parse_key,
    parse_typed_id,
    typed_id,
)
from vecferry.testing import strategies

QUICK = settings(
    max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
UUID_TEXT = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@given(strategies.keys)
@QUICK
def test_a_key_comes_back_equal_and_of_the_same_type(key):
    found = parse_key(key_bytes(key))
    assert found == key
    assert type(found.id) is type(key.id)


@given(strategies.keys, strategies.keys)
@QUICK
def test_different_keys_have_different_bytes_and_equal_ones_equal(one, other):
    assert (key_bytes(one) == key_bytes(other)) == (one == other)


@given(st.binary(max_size=30))
@QUICK
def test_any_bytes_are_the_one_spelling_of_a_key_or_an_error(data):
    with contextlib.suppress(ValueError):
        assert key_bytes(parse_key(data)) == data


@given(strategies.ids)
@QUICK
def test_an_id_comes_back_from_its_typed_spelling(value):
    found = parse_typed_id(typed_id(value))
    assert (found, type(found)) == (value, type(value))


def test_the_bytes_are_those_that_are_documented():
    assert key_bytes(Key("docs", "", 42)) == b"4:docs0:i42"
    assert key_bytes(Key("docs", "Müller", "a:b")) == "4:docs7:Müllersa:b".encode()
    assert key_bytes(Key("", "", -5)) == b"0:0:i-5"


def test_a_number_a_text_and_a_uuid_are_three_keys():
    ids = [1, "1", UUID(int=1), str(UUID(int=1))]
    assert len({key_bytes(Key("c", "", value)) for value in ids}) == 4


@pytest.mark.parametrize(
    "spelling", [UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), f"{{{UUID_TEXT}}}"]
)
def test_a_uuid_has_one_spelling(spelling):
    assert key_bytes(Key("c", "", UUID(spelling))) == b"1:c0:u" + UUID_TEXT.encode()


def test_names_cannot_run_into_each_other():
    # without the lengths, each pair would be the same bytes
    assert key_bytes(Key("ab", "c", "d")) != key_bytes(Key("a", "bc", "d"))
    assert key_bytes(Key("a", "1:b0:i7", "x")) != key_bytes(Key("a", "", "1:b0:i7x"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"4:docs",
        b"4:docs0:",
        b"9:docs0:i1",
        b"-1:docs0:i1",
        b"04:docs0:i1",
        b"4:docs0:i042",
        b"4:docs0:i1_000",
        b"4:docs0:i+1",
        b"4:docs0:i 1",
        b"4:docs0:x1",
        b"4:docs0:u" + UUID_TEXT.upper().encode(),
        b"4:docs0:u" + UUID_TEXT.replace("-", "").encode(),
        b"1:\xff0:i1",
    ],
)
def test_what_is_not_the_one_spelling_of_a_key_is_refused(data):
    with pytest.raises(ValueError, match="is not"):
        parse_key(data)


def test_a_text_that_utf8_cannot_spell_is_refused():
    with pytest.raises(ValueError, match="surrogates"):
        key_bytes(Key("c", "", "\ud800"))


def test_a_truth_value_is_spelled_as_the_number_that_it_is():
    assert typed_id(True) == "i1"


def test_a_key_is_printed_with_the_type_of_its_id():
    assert str(Key("docs", "", "7")) == "docs/'7'"
    assert str(Key("docs", "tenant", 7)) == "docs/tenant/7"


def test_a_collection_gives_a_vector_by_its_name():
    collection = Collection("docs", (VectorSpec("a"), VectorSpec("", dim=3)))
    assert collection.vector("").dim == 3
    assert collection.vector("b") is None
