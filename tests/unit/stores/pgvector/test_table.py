from uuid import UUID

import pytest
from hypothesis import given

from vecferry.errors import HaltError, RecordError
from vecferry.model import Key
from vecferry.stores.identity import hashed_id
from vecferry.stores.pgvector.table import TYPED_KEY, Place, Table
from vecferry.testing.strategies import keys

TYPED = Table("docs", "public", "docs", TYPED_KEY, "text", (), spaces=True)
UUIDS = Table("docs", "public", "docs", "id", "uuid", (), spaces=True, keeps_ids=True)
TEXTS = Table("docs", "public", "docs", "id", "text", (), spaces=True, keeps_ids=True)
INTS = Table("docs", "public", "docs", "id", "int4", ())


@given(keys)
def test_every_key_has_a_place_of_its_own_in_a_typed_table_and_comes_back(key: Key) -> None:
    if "\0" in key.namespace:
        with pytest.raises(RecordError):
            TYPED.place(key)
        return
    place = TYPED.place(key)
    assert "\0" not in str(place.id)
    assert TYPED.key_of(key.collection, *place, None) == key


def test_ids_of_another_type_are_hashed_where_the_original_can_be_kept() -> None:
    key = Key("docs", "b", 5)
    assert UUIDS.place(key) == Place(hashed_id(key), "b")
    assert TEXTS.place(key) == Place(str(hashed_id(key)), "b")
    assert UUIDS.key_of("docs", hashed_id(key), "b", "i5") == key
    assert TEXTS.place(Key("docs", "", "5")) == Place("5", "")


@pytest.mark.parametrize("stored", [None, "i6", "i05", "nonsense", "s5"])
def test_an_id_that_does_not_lead_to_its_row_is_not_believed(stored: str | None) -> None:
    native = hashed_id(Key("docs", "", 5))
    assert UUIDS.key_of("docs", native, "", stored) == Key("docs", "", native)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (INTS, Key("docs", "", 2**31)),
        (INTS, Key("docs", "", "5")),
        (INTS, Key("docs", "", UUID(int=5))),
        (INTS, Key("docs", "space", 5)),
        (TEXTS, Key("docs", "", "nul\0")),
        (TYPED, Key("docs", "nul\0", 5)),
    ],
)
def test_a_key_that_has_no_place_is_refused(table: Table, key: Key) -> None:
    with pytest.raises(RecordError):
        table.place(key)


def test_an_untyped_id_in_a_typed_table_halts() -> None:
    with pytest.raises(HaltError, match="typed id"):
        TYPED.key_of("docs", "5", "", None)


def test_names_are_quoted() -> None:
    assert Table('a"b', "public", 'a"b', "id", "int4", ()).quoted == '"public"."a""b"'
