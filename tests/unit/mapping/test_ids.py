import re
import uuid
from pathlib import Path
from uuid import UUID

import pytest

from vecferry.mapping.ids import NAMESPACE, hashed_id, is_native, target_id
from vecferry.model import Key, key_bytes, parse_typed_id
from vecferry.ports import Capabilities

PAGE = Path(__file__).parents[3] / "docs" / "target-ids.md"
ONE = UUID("0f9c2a44-3a7b-4c0e-9d63-2f1b8c5e7a10")


def able(*types: str, **more: object) -> Capabilities:
    return Capabilities(frozenset(types), frozenset(), frozenset(), **more)  # type: ignore[arg-type]


def vectors() -> list[tuple[str, ...]]:
    rows = re.findall(
        r"^\| `(.*)` \| `(.*)` \| `(.*)` \| `(.*)` \| `(.*)` \|$", PAGE.read_text(), re.M
    )
    assert len(rows) >= 8
    return rows


@pytest.mark.parametrize(("collection", "namespace", "typed", "canonical", "expected"), vectors())
def test_the_specification_s_vectors_hold(collection, namespace, typed, canonical, expected):
    key = Key(collection, namespace, parse_typed_id(typed))
    assert key_bytes(key) == canonical.encode()
    assert str(hashed_id(key)) == expected
    assert uuid.uuid5(NAMESPACE, canonical) == hashed_id(key), "the library's own UUIDv5"


def test_the_specification_names_the_namespace():
    assert str(NAMESPACE) in PAGE.read_text()
    assert uuid.uuid5(uuid.NAMESPACE_DNS, "vecferry target ids") == NAMESPACE


@pytest.mark.parametrize("identifier", [0, 2**64 - 1, ONE])
def test_what_the_target_holds_is_kept(identifier):
    assert target_id(Key("docs", "", identifier), able("int", "uuid")) == identifier


@pytest.mark.parametrize("identifier", [-1, 2**64, "5", str(ONE)])
def test_what_it_cannot_hold_becomes_a_uuid_and_is_never_cast(identifier):
    key = Key("docs", "", identifier)
    assert not is_native(key, able("int", "uuid"))
    assert target_id(key, able("int", "uuid")) == hashed_id(key)


def test_ids_that_look_alike_stay_apart():
    ids = [
        target_id(Key("docs", "", one), able("int", "uuid"))
        for one in (5, "5", -5, "-5", ONE, str(ONE))
    ]
    assert len(set(ids)) == 6


def test_one_id_in_two_namespaces_is_two_points():
    keys = [Key("docs", namespace, 5) for namespace in ("", "a", "b")]
    assert len({target_id(key, able("int", "uuid")) for key in keys}) == 3


def test_a_namespace_with_a_container_of_its_own_keeps_the_id():
    assert target_id(Key("docs", "a", 5), able("int", "uuid", namespaces=True)) == 5


def test_a_target_without_uuids_gets_text():
    key = Key("docs", "", "x")
    assert target_id(key, able("int")) == str(hashed_id(key))
    assert target_id(key, able("int", "str")) == "x"
