from datetime import UTC, datetime

import pytest

from vecferry.payload import encode_payload
from vecferry.producers.feeds.moments import Moments

AT = 1_700_000_000_123_456


@pytest.mark.parametrize(
    ("unit", "value", "wanted"),
    [
        ("s", 1_700_000_000, 1_700_000_000_000_000),
        ("s", 1_700_000_000.5, 1_700_000_000_500_000),
        ("ms", 1_700_000_000_123, 1_700_000_000_123_000),
        ("us", AT, AT),
        ("ns", AT * 1_000 + 999, AT),
        ("s", "2023-11-14T22:13:20.123456Z", AT),
        ("s", "2023-11-14T23:13:20.123456+01:00", AT),
        ("ns", "2023-11-14 22:13:20.123456", AT),
        ("s", "yesterday", None),
        ("s", True, None),
        ("s", None, None),
        ("s", [1], None),
    ],
)
def test_a_time_is_read(unit: str, value: object, wanted: int | None) -> None:
    assert Moments("at", unit).of(encode_payload({"at": value})) == wanted


def test_dots_lead_into_objects() -> None:
    payload = encode_payload({"meta": {"at": 5}, "at": 6})
    assert Moments("meta.at", "s").of(payload) == 5_000_000
    assert Moments("at.meta", "s").of(payload) is None
    assert Moments("other", "s").of(payload) is None


def test_a_payload_that_is_none_has_no_time() -> None:
    assert Moments("at", "s").of(b"nonsense") is None


@pytest.mark.parametrize(("unit", "number"), [("s", 1_700_000_000), ("ns", AT * 1_000)])
def test_a_store_is_asked_in_both_spellings_and_never_for_less(unit: str, number: int) -> None:
    since = Moments("at", unit).since(AT)
    assert since.number == number
    assert since.moment == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


def test_a_time_before_every_calendar_can_be_asked_for() -> None:
    assert Moments("at", "s").since(-(10**30)).moment.year == 1
    assert Moments("at", "s").since(10**30).moment.year == 9999
