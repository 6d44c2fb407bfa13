import json
from typing import Any
from uuid import UUID

import pytest

from vecferry.producers.feeds.proxy import bodies
from vecferry.producers.feeds.proxy.changes import Change
from vecferry.producers.feeds.proxy.refusals import RefusalError

HEX = "6f9619ff8b864b01a0b1d5f0c9a0c9a0"
ONE = UUID(HEX)


def change(operation: str, body: Any) -> Change:
    return bodies.read_change(operation, json.dumps(body).encode())


def test_ids_are_read_and_vectors_stepped_over() -> None:
    points = [
        {"id": 2**64 - 1, "vector": {"a": [1.0, 2.0]}, "payload": {"id": 9, "points": [1]}},
        {"id": HEX.upper(), "vector": {"s": {"indices": [1], "values": [0.5]}}},
    ]
    assert change("upsert", {"points": points, "shard_key": "x"}) == Change(
        "upsert", (2**64 - 1, ONE)
    )


def test_a_columnar_upsert_names_its_ids() -> None:
    body = {"batch": {"ids": [1, 2], "vectors": [[1.0], [2.0]], "payloads": [{}, None]}}
    assert change("upsert", body).ids == (1, 2)


def test_both_forms_of_an_upsert_at_once_name_all_their_ids() -> None:
    body = {"batch": {"ids": [1]}, "points": [{"id": 2}]}
    assert set(change("upsert", body).ids) == {1, 2}


@pytest.mark.parametrize(
    "operation", ["delete", "set_payload", "overwrite_payload", "clear_payload", "delete_vectors"]
)
def test_ids_win_over_a_filter(operation: str) -> None:
    body = {"points": [1], "filter": {"must": []}, "payload": {"filter": 1}}
    found = change(operation, body)
    assert (found.ids, found.filters) == ((1,), ())
    assert found.verb == ("delete" if operation == "delete" else "unknown")


def test_no_ids_at_all_still_win_over_a_filter() -> None:
    assert change("delete", {"points": [], "filter": {}}) == Change("delete")


def test_a_filter_stays_the_bytes_that_it_is() -> None:
    text = b'{"must": [{"key":"a",  "match":{"value":18446744073709551616}}]}'
    found = bodies.read_change("delete", b'{"points": null, "filter": ' + text + b"}")
    assert found.filters == (text,)
    asked = bodies.scroll_body(text, 5, 10)
    assert text in asked
    assert json.loads(asked)["offset"] == 5
    assert json.loads(asked)["with_payload"] is False


def test_a_batch_names_what_its_operations_name() -> None:
    found = change(
        "batch",
        {
            "operations": [
                {"upsert": {"points": [{"id": 1, "vector": [1.0]}]}},
                {"delete": {"filter": {"must": []}}},
                {"update_vectors": {"points": [{"id": 2, "vector": [1.0]}]}},
                {"set_payload": {"payload": {}, "points": [3]}},
            ]
        },
    )
    assert (found.verb, found.ids, len(found.filters)) == ("unknown", (1, 2, 3), 1)


def test_a_batch_of_one_kind_keeps_its_verb() -> None:
    body = {"operations": [{"delete": {"points": [1]}}, {"delete": {"points": [2]}}]}
    assert change("batch", body) == Change("delete", (1, 2))


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("upsert", {}),
        ("upsert", {"points": [{"vector": [1.0]}]}),
        ("upsert", {"points": [{"id": 1.5}]}),
        ("upsert", {"points": [{"id": True}]}),
        ("upsert", {"points": [{"id": -1}]}),
        ("upsert", {"points": [{"id": 2**64}]}),
        ("upsert", {"points": [{"id": "no uuid"}]}),
        ("upsert", [[{"id": 1}]]),
        ("delete", {}),
        ("delete", {"filter": None}),
        ("delete", [1, 2]),
        ("batch", {"operations": [{"teleport": {"points": [1]}}]}),
        ("batch", [{"delete": {"points": [1]}}]),
    ],
)
def test_a_write_whose_points_cannot_be_told_is_refused(operation: str, body: Any) -> None:
    with pytest.raises(RefusalError):
        change(operation, body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b'{"points":[{"id":"\xff"}]}', b"[" * 9999]
)
def test_what_is_no_json_is_refused_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(RefusalError, match="cannot be read"):
        bodies.read_change("upsert", body)


def test_a_copy_of_another_collection_is_seen() -> None:
    assert bodies.copies_another(b'{"vectors": {}, "init_from": {"collection": "a"}}')
    assert not bodies.copies_another(b'{"vectors": {}, "init_from": null}')


@pytest.mark.parametrize(
    ("reply", "applied"),
    [
        ({"result": {"operation_id": 1, "status": "completed"}}, True),
        ({"result": [{"status": "completed"}, {"status": "completed"}]}, True),
        ({"result": {"operation_id": 1, "status": "acknowledged"}}, False),
        ({"result": {"operation_id": 1, "status": "wait_timeout"}}, False),
        ({"result": [{"status": "completed"}, {"status": "acknowledged"}]}, False),
        ({"result": True}, False),
        ({}, False),
    ],
)
def test_only_a_reply_that_says_so_is_an_applied_write(reply: Any, applied: bool) -> None:
    assert bodies.is_applied(json.dumps(reply).encode()) is applied
    assert not bodies.is_applied(b"<html>")
