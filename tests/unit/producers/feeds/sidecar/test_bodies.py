from uuid import UUID

import pytest

from vecferry.producers.feeds.sidecar.bodies import IDS_MAX, Begin, BodyError, End, parse, typed

SPELLED = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def test_ids_keep_their_types() -> None:
    body = parse(
        Begin,
        b'{"collection": "docs", "ids": [1, "1", {"uuid": "%s"}, 18446744073709551615, -5, "'
        b'%s"]}' % (SPELLED.upper().encode(), SPELLED.encode()),
    )
    assert typed(body.ids, texts_are_uuids=False) == [
        *(1, "1", UUID(SPELLED), 2**64 - 1, -5, SPELLED)
    ]


def test_a_text_is_a_uuid_where_the_source_has_no_texts() -> None:
    found = typed([1, SPELLED.replace("-", "")], texts_are_uuids=True)
    assert found == [1, UUID(SPELLED)]
    with pytest.raises(BodyError, match="is not a UUID"):
        typed(["chapter 1"], texts_are_uuids=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"collection": 5, "ids": [1]}',
        b'{"collection": "docs", "ids": 1}',
        b'{"collection": "docs", "ids": [1.0]}',
        b'{"collection": "docs", "ids": [true]}',
        b'{"collection": "docs", "ids": [null]}',
        b'{"collection": "docs", "ids": [{"uuid": "x"}]}',
        b'{"collection": "docs", "ids": [{"uid": "%s"}]}' % SPELLED.encode(),
        b'{"collection": "docs", "ids": ["\\ud800"]}',
        b'{"collection": "docs", "ids": [1], "verb": "sing"}',
        b'{"collection": "docs", "ids": [1], "more": 1}',
        b'{"collection": "docs", "ids": [%s]}' % b",".join([b"1"] * (IDS_MAX + 1)),
    ],
)
def test_what_is_not_understood_is_refused(raw: bytes) -> None:
    with pytest.raises(BodyError):
        parse(Begin, raw)


def test_a_refusal_names_the_place_and_not_what_was_there() -> None:
    with pytest.raises(BodyError, match="outcome") as caught:
        parse(End, b'{"ticket": "x", "outcome": "a secret"}')
    assert "a secret" not in str(caught.value)
