from http import HTTPStatus

import httpx
import pytest

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)
from vecferry.stores.pinecone.errors import NotConnectedError, retry_after_s, translate_errors

REQUEST = httpx.Request("POST", "http://127.0.0.1:1/vectors/upsert")

WRITING = {
    400: RecordError,
    401: HaltError,
    402: HaltError,
    403: HaltError,
    404: HaltError,
    408: UnknownOutcome,
    409: ConfigError,
    413: RecordError,
    422: RecordError,
    425: TransientError,
    429: TransientError,
}


def refused(status: int, **when: bool) -> VecferryError:
    answer = httpx.Response(status, request=REQUEST, json={"error": {"message": "because"}})
    with pytest.raises(VecferryError) as raised, translate_errors("writing", **when):
        answer.raise_for_status()
    assert isinstance(raised.value.__cause__, httpx.HTTPStatusError)
    assert str(raised.value).startswith(f"writing: Pinecone answered {status} because")
    return raised.value


@pytest.mark.parametrize("status", [status.value for status in HTTPStatus if status >= 300])
def test_every_status_has_a_meaning(status: int) -> None:
    wanted = WRITING.get(status, UnknownOutcome if status >= 500 else HaltError)
    assert type(refused(status, writes=True)) is wanted
    reading = TransientError if wanted is UnknownOutcome else wanted
    assert type(refused(status)) is reading


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_what_a_person_configured_is_to_blame_at_first(status: int) -> None:
    assert type(refused(status, connecting=True)) is ConfigError


def test_missing_rights_name_the_setting() -> None:
    assert "check api_key" in str(refused(401, connecting=True))


def every_error(base: type[Exception]) -> list[type[Exception]]:
    found = [base]
    for inner in base.__subclasses__():
        found += every_error(inner)
    return found


NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"}
OUR_FAULT = {"UnsupportedProtocol", "LocalProtocolError", "InvalidURL"}


@pytest.mark.parametrize("kind", [*every_error(httpx.RequestError), httpx.InvalidURL])
def test_every_error_of_the_client_is_translated(kind: type[Exception]) -> None:
    for writes in (True, False):
        with (
            pytest.raises(VecferryError) as raised,
            translate_errors("writing", writes=writes),
        ):
            raise kind("secret text")
        if kind.__name__ in NOT_SENT:
            wanted: type[Exception] = NotConnectedError
        elif kind.__name__ in OUR_FAULT:
            wanted = ConfigError
        else:
            wanted = UnknownOutcome if writes else TransientError
        assert type(raised.value) is wanted
        assert "secret text" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("", None), ("Tue, 1 Jan", None)]
)
def test_a_time_to_wait_is_a_number_of_seconds(text: str, seconds: float | None) -> None:
    assert retry_after_s(httpx.Response(429, headers={"retry-after": text})) == seconds


def test_a_body_that_is_no_json_is_not_shown() -> None:
    answer = httpx.Response(502, request=REQUEST, content=b"<html>vectors</html>")
    with pytest.raises(TransientError) as raised, translate_errors("reading"):
        answer.raise_for_status()
    assert "html" not in str(raised.value)
