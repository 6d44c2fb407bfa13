"""The rules of evolution, each shown on a schema changed badly; fastavro is the judge of the judge."""

import copy
from io import BytesIO

import pytest
from fastavro import schemaless_reader, schemaless_writer

from vecferry import schemas
from vecferry.schemas.evolution import check_history, undocumented, unreadable


def changed(name, change):
    schema = schemas.source(name)
    change(schema, {field["name"]: field for field in schema["fields"]})
    return schema


def add_with_default(schema, fields):
    schema["fields"].append({"name": "more", "type": "bytes", "default": "", "doc": "x"})


def add_without_default(schema, fields):
    schema["fields"].append({"name": "more", "type": "long", "doc": "x"})


def remove_with_default(schema, fields):
    schema["fields"].remove(fields["note"])


def remove_without_default(schema, fields):
    schema["fields"].remove(fields["kind"])


def rename(schema, fields):
    fields["kind"]["name"] = "sort"


def rename_with_alias(schema, fields):
    fields["kind"].update(name="sort", aliases=["kind"])


def narrow(schema, fields):
    fields["term"]["type"] = "int"


def widen(schema, fields):
    fields["image"]["type"][1]["fields"][0]["type"]["items"]["fields"][3]["type"] = "long"


def retype(schema, fields):
    fields["token"].update(type="long", default=0)


def add_symbol(schema, fields):
    fields["kind"]["type"]["symbols"].append("PAUSE")


def remove_symbol(schema, fields):
    fields["kind"]["type"]["symbols"].remove("ROW")


def drop_branch(schema, fields):
    fields["image"]["type"] = fields["image"]["type"][1]
    del fields["image"]["default"]


def rename_record(schema, fields):
    schema["name"] = "Happening"


def deep_field_without_default(schema, fields):
    vector = fields["image"]["type"][1]["fields"][0]["type"]["items"]
    vector["fields"].append({"name": "metric", "type": "string", "doc": "x"})


def array_of_other_items(schema, fields):
    fields["image"]["type"][1]["fields"][0]["type"]["items"] = "bytes"


GOOD = [add_with_default, remove_with_default, add_symbol]
BAD = [
    (add_without_default, "more: it was not written and has no default"),
    (remove_without_default, "kind: it was not written and has no default"),
    (rename, "sort: it was not written and has no default"),
    (rename_with_alias, "kind: it was not written and has no default"),
    (narrow, "term: long became int"),
    (widen, "image.vectors[].dim: long became int"),
    (retype, "token: string became long"),
    (drop_branch, "image: null became record"),
    (rename_record, "the record Event became Happening"),
    (deep_field_without_default, "image.vectors[].metric: it was not written"),
    (array_of_other_items, "image.vectors[]: record became bytes"),
]


@pytest.mark.parametrize("change", GOOD)
def test_a_good_change_is_released_as_the_next_version(change):
    now = changed("event", change)
    assert check_history(now, [schemas.source("event"), now]) == []


@pytest.mark.parametrize(("change", "why"), BAD)
def test_a_bad_change_is_refused_with_its_reason(change, why):
    now = changed("event", change)
    found = check_history(now, [schemas.source("event"), now])
    assert any(why in reason for reason in found), found


def test_a_removed_symbol_is_read_as_the_default_and_so_is_allowed_by_avro():
    now = changed("event", remove_symbol)
    assert check_history(now, [schemas.source("event"), now]) == []


def test_a_new_symbol_needs_the_default_that_the_old_version_has():
    old = changed("event", lambda schema, fields: fields["kind"]["type"].pop("default"))
    new = copy.deepcopy(old)
    new["fields"][0]["type"]["symbols"].append("PAUSE")
    assert check_history(new, [old, new]) == [
        "version 1 cannot read version 2: kind: the reader has no default for PAUSE"
    ]


def test_a_change_that_was_not_released_is_refused():
    now = changed("event", add_with_default)
    assert check_history(now, [schemas.source("event")]) == [
        "the current schema is not version 1: release it as the next"
    ]
    assert check_history(now, [])


def test_other_words_in_a_doc_need_no_release():
    now = changed("event", lambda schema, fields: schema.update(doc="other words"))
    assert check_history(now, [schemas.source("event")]) == []


def test_a_version_must_read_all_others_and_not_only_its_neighbour():
    def record(*fields):
        return {"type": "record", "name": "R", "fields": [dict(f) for f in fields]}

    kept = {"name": "a", "type": "long"}
    # each step is fine by itself: x goes, x comes back with another type
    one = record(kept, {"name": "x", "type": "long", "default": 0})
    two = record(kept)
    three = record(kept, {"name": "x", "type": "string", "default": ""})
    assert check_history(two, [one, two]) == []
    assert check_history(three, [two, three]) == []
    assert check_history(three, [one, two, three]) == [
        "version 1 cannot read version 3: x: string became long",
        "version 3 cannot read version 1: x: long became string",
    ]


def sample(schema, branch):
    """A value of a schema, with content and that branch of each union."""
    if isinstance(schema, list):
        return sample(schema[branch], branch)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict | list):
        return sample(kind, branch)
    if kind == "record":
        return {field["name"]: sample(field["type"], branch) for field in schema["fields"]}
    if kind == "enum":
        return schema["symbols"][-1]
    if kind == "array":
        return [sample(schema["items"], branch)]
    return {"string": "s", "bytes": b"b", "int": 1, "long": 2**40, "null": None}[kind]


def fastavro_reads(reader, writer):
    for branch in (0, -1):
        out = BytesIO()
        parsed = schemas.parse(copy.deepcopy(writer))
        schemaless_writer(out, parsed, sample(writer, branch))
        out.seek(0)
        try:
            schemaless_reader(out, parsed, schemas.parse(copy.deepcopy(reader)))
        except Exception:
            return False
    return True


@pytest.mark.parametrize(
    "change", [*GOOD, *(change for change, _ in BAD if change != rename_record)]
)
@pytest.mark.parametrize("back", [False, True])
def test_the_judgement_is_that_of_a_reader(change, back):
    old, new = schemas.source("event"), changed("event", change)
    reader, writer = (old, new) if back else (new, old)
    assert (unreadable(reader, writer) == []) == fastavro_reads(reader, writer)


def test_types_that_name_each_other_are_compared_once():
    tree = {
        "type": "record",
        "name": "Tree",
        "namespace": "x",
        "fields": [
            {"name": "size", "type": {"type": "fixed", "name": "Four", "size": 4}},
            {"name": "more", "type": {"type": "map", "values": "x.Tree"}},
        ],
    }
    assert unreadable(tree, copy.deepcopy(tree)) == []
    other = copy.deepcopy(tree)
    other["fields"][0]["type"]["size"] = 8
    assert unreadable(tree, other) == ["size: fixed of 8 bytes became 4"]


def test_a_union_takes_a_type_that_it_has_and_no_other():
    assert unreadable(["null", "long"], "int") == []
    assert unreadable(["null", "long"], "boolean") == ["no branch of the union takes boolean"]
    assert unreadable("long", ["int", "string"]) == ["string became long"]


def test_what_has_no_doc_is_named():
    schema = changed("event", lambda schema, fields: fields["term"].pop("doc"))
    assert undocumented(schema) == ["Event.term"]
    schema = schemas.source("event")
    del schema["fields"][2]["type"][1]["fields"][0]["type"]["items"]["doc"]
    assert undocumented(schema) == ["Event.image.Image.vectors.Vector"]
