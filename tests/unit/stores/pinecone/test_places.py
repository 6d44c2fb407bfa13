import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecferry.errors import RecordError
from vecferry.model import Key
from vecferry.stores.identity import hashed_id
from vecferry.stores.pinecone.places import (
    CAPABILITIES,
    Place,
    namespace_of,
    native_id,
    native_namespace,
    owned_id,
    parse_place,
    spell_place,
)


@pytest.mark.parametrize("text", ["a", "x" * 512, " ", "doc#1/2", "\x01\x7f"])
def test_ascii_texts_are_kept(text: str) -> None:
    assert native_id(Key("docs", "red", text)) == text


@pytest.mark.parametrize("id", ["", "ü", "x" * 513, "a\0b", 5, UUID(int=5)])
def test_any_other_id_is_the_uuid_of_its_key(id: object) -> None:
    key = Key("docs", "red", id)  # type: ignore[arg-type]
    assert native_id(key) == str(hashed_id(key))


@given(st.text(max_size=40))
def test_a_namespace_is_ascii_there_and_comes_back(name: str) -> None:
    native = native_namespace(name)
    assert native.isascii()
    assert "\0" not in native
    assert namespace_of(native) == name


@pytest.mark.parametrize("name", ["__default__", "vf~", "vf~%41", "red", "Grün"])
def test_names_that_look_like_another_are_told_apart(name: str) -> None:
    assert native_namespace(name) != "__default__"
    assert namespace_of(native_namespace(name)) == name


def test_the_default_namespace_has_two_names() -> None:
    assert native_namespace("") == ""
    assert namespace_of("__default__") == namespace_of("") == ""


@pytest.mark.parametrize("native", ["vf~a", "vf~%ff", "vf~%C3%bc", "vf~" + "%20" * 200])
def test_what_only_looks_escaped_is_an_applications_own_name(native: str) -> None:
    assert namespace_of(native) == native


def test_a_namespace_that_is_too_long_is_refused() -> None:
    assert native_namespace("x" * 512)
    with pytest.raises(RecordError, match="600"):
        native_namespace("x" * 600)


def test_a_key_owns_its_id_in_its_own_namespace_alone() -> None:
    key = Key("docs", "red", 5)
    assert owned_id(key, "red") == native_id(key)
    assert owned_id(key, "blue") == ""
    assert owned_id(Key("docs", "x" * 600, 5), "red") == ""


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_place_comes_back_from_its_spelling(namespace: str, id: str) -> None:
    assert parse_place(spell_place(Place(namespace, id))) == Place(namespace, id)


@pytest.mark.parametrize(
    ("name", "allowed"), [("docs-2", True), ("docs_2", False), ("Docs", False), ("-a", False)]
)
def test_names_of_indexes_have_a_pattern(name: str, allowed: bool) -> None:
    assert (re.fullmatch(CAPABILITIES.collection_name, name) is not None) is allowed
