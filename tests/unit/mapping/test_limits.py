"""What a source's schema demands of its fields is a row of the plan, kept or not."""

from typing import Any

from vecferry.mapping.limits import plan_limits
from vecferry.model import Collection, VectorSpec

TITLE = {"name": "title", "type": "VarChar", "nullable": True, "max_length": 512}
TAGS = {"name": "tags", "type": "Array", "nullable": False, "element": "Int64", "max_capacity": 9}


def milvus(*fields: dict[str, Any], auto_id: bool = False) -> Collection:
    options = {"milvus": {"auto_id": auto_id, "fields": list(fields)}}
    return Collection("docs", (VectorSpec("e", dim=2, metric="l2"),), options=options)


def rows(source: Collection, *, same_vendor: bool, **more: Any) -> dict[str, tuple[str, str]]:
    existing, planned = more.get("existing"), more.get("planned", source)
    found = plan_limits(source, planned, existing, same_vendor=same_vendor)
    return {row.field: (row.source, row.target) for row in found}


def test_every_demand_of_the_source_is_a_row_in_its_own_words() -> None:
    shown = rows(milvus(TITLE, TAGS, auto_id=True), same_vendor=False)
    assert shown["title"][0] == "VarChar, max_length 512, nullable True"
    assert shown["tags"][0] == "Array, element Int64, max_capacity 9"
    assert shown["id"][0] == "made by the database (auto_id)"
    assert {name for name, (_, target) in shown.items() if "without this" in target} == {
        "title",
        "tags",
    }


def test_within_one_product_they_are_kept_but_for_ids_that_the_database_makes() -> None:
    shown = rows(milvus(TITLE, auto_id=True), same_vendor=True)
    assert shown["title"][1].startswith("the same")
    assert "whoever writes there gives it" in shown["id"][1]
    assert "id" not in rows(milvus(TITLE), same_vendor=True)


def test_a_field_that_a_transform_moved_is_not_kept() -> None:
    shown = rows(milvus(TITLE, TAGS), same_vendor=True, planned=milvus(TAGS))
    assert "without this" in shown["title"][1]
    assert "the same" in shown["tags"][1]


def test_what_is_there_already_is_told_as_it_is() -> None:
    shorter = milvus(TITLE | {"max_length": 16})
    assert rows(milvus(TITLE, TAGS), same_vendor=True, existing=shorter) == {
        "title": (
            "VarChar, max_length 512, nullable True",
            "VarChar, max_length 16, nullable True",
        ),
        "tags": (
            "Array, element Int64, max_capacity 9",
            "an ordinary field of the payload, without this",
        ),
    }


def test_columns_of_a_table_are_shown_too() -> None:
    column = {"name": "title", "type": "varchar(20)", "base": "varchar", "array": False}
    table = Collection(
        "docs", (VectorSpec("e", dim=2),), options={"pgvector": {"columns": [column]}}
    )
    assert rows(table, same_vendor=False)["title"][0] == "varchar(20)"


def test_a_source_that_demands_nothing_has_no_rows() -> None:
    assert rows(Collection("docs", (VectorSpec("e", dim=2),)), same_vendor=False) == {}
