"""``Index`` and ``AsyncIndex`` of the ``pinecone`` client, captured."""

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pinecone.errors.exceptions import ApiError, PineconeTypeError, PineconeValueError

from vecferry.errors import ConfigError
from vecferry.producers.feeds.clients.pinecone_answers import Answers, watched
from vecferry.producers.feeds.clients.steps import Ask, Step, Steps, Wait
from vecferry.producers.feeds.clients.touches import (
    Captured,
    Ids,
    Judge,
    Keys,
    Matching,
    Pages,
    Touch,
    Whole,
    captured_call,
)
from vecferry.producers.feeds.clients.wrapping import Asked, Rules, directly
from vecferry.stores.pinecone.errors import meaning_of
from vecferry.stores.pinecone.places import namespace_of

_PAGE = 100
_LABEL = re.compile(r"([a-z0-9-]+)-[a-z0-9]+\.svc\..+")


def index_of(host: str) -> str:
    """Return the name of the index behind a host: Pinecone's own, or a path that ends with it.

    Raises:
        ConfigError: The host does not tell.
    """
    parts = urlsplit(host if "://" in host else f"https://{host}")
    found = _LABEL.fullmatch(parts.hostname or "")
    name = found[1] if found else parts.path.rstrip("/").rpartition("/")[2]
    if not name:
        raise ConfigError(
            f"the host {parts.hostname!r} does not tell the name of its index, so its writes cannot be "
            "captured by this client: use Feed.writing around them"
        )
    return name


def judge(answers: Answers, *, is_batched: bool) -> Judge:
    """Return what tells the outcome of a call whose answers are watched.

    Of a call that the client cuts into batches nobody knows which try broke: it
    stays open until its time is over.
    """

    def refuses(error: BaseException) -> bool:
        if isinstance(error, PineconeValueError | PineconeTypeError):
            return True  # of the client's own checks: nothing was sent
        if answers.is_broken or is_batched or not isinstance(error, ApiError):
            return False  # an earlier try may land
        return meaning_of(error.status_code) != "unknown"

    return Judge(
        refuses,
        is_open=lambda _result: answers.is_broken or is_batched,
        position=lambda _result: answers.position,
    )


def _capturing(
    touches: Callable[[str, Mapping[str, Any]], list[Touch]],
) -> Callable[[Asked], Steps]:
    def flow(asked: Asked) -> Steps:
        name = yield from _moving(asked)
        if name is None:
            return (yield Ask(asked.method, asked.arguments))
        found = touches(name, asked.arguments)
        is_batched = asked.arguments.get("batch_size") is not None
        with watched(asked.client) as answers:
            feed = asked.captive.feed
            verdict = judge(answers, is_batched=is_batched)
            call = Captured(feed, verdict, asked.method, asked.arguments)
            return (yield from captured_call(call, found))

    return flow


def _moving(asked: Asked) -> Generator[Step, Any, str | None]:
    feed = asked.captive.feed
    if not feed.is_open:
        yield Wait(lambda: feed.collections)
    name = index_of(asked.client.host)
    return name if name in feed.collections else None


def _namespace(given: Mapping[str, Any]) -> str:
    return namespace_of(given.get("namespace") or "")


def _upserted(name: str, given: Mapping[str, Any]) -> list[Touch]:
    ids: Ids = [(_namespace(given), found) for found in map(_id, given["vectors"]) if found]
    return [Keys(name, ids, "upsert")] if ids else []


def _id(vector: Any) -> str | None:
    if isinstance(vector, Mapping):
        found = vector.get("id")
    else:
        found = vector[0] if isinstance(vector, tuple | list) else getattr(vector, "id", None)
    return found if isinstance(found, str) else None  # the client refuses any other


def _deleted(name: str, given: Mapping[str, Any]) -> list[Touch]:
    if given.get("delete_all"):
        return [Whole(name, f"the namespace {_namespace(given)!r} was emptied")]
    if given.get("filter") is not None:
        return [_matching(name, given, "delete")]
    ids: Ids = [(_namespace(given), found) for found in given.get("ids") or ()]
    return [Keys(name, ids, "delete")] if ids else []


def _updated(name: str, given: Mapping[str, Any]) -> list[Touch]:
    if given.get("dry_run"):
        return []
    if given.get("filter") is not None:
        return [_matching(name, given, "upsert")]
    found = given.get("id")
    return [Keys(name, [(_namespace(given), found)], "upsert")] if isinstance(found, str) else []


def _matching(name: str, given: Mapping[str, Any], verb: str) -> Matching:
    """Return what a filter touches; a match that the service has not indexed yet is not found."""

    def find() -> Pages:
        asked: dict[str, Any] = {
            "filter": given["filter"],
            "namespace": given.get("namespace") or "",
            "limit": _PAGE,
        }
        while True:
            answer = yield Ask("fetch_by_metadata", asked)
            yield [(_namespace(given), found) for found in answer.vectors]
            token = answer.pagination.next if answer.pagination else None
            if not token:
                return
            asked = {**asked, "pagination_token": token}

    return Matching(name, verb, find)


def _emptied(name: str, given: Mapping[str, Any]) -> list[Touch]:
    return [Whole(name, "a namespace was deleted")]


_PASSES = """
host query query_namespaces fetch fetch_by_metadata search search_records describe_index_stats
create_namespace describe_namespace list_namespaces list_namespaces_paginated
list list_paginated describe_import cancel_import list_imports list_imports_paginated
upsert_from_dataframe
"""

RULES = Rules(
    vendor="pinecone",
    captures={
        "upsert": _capturing(_upserted),
        "delete": _capturing(_deleted),
        "update": _capturing(_updated),
        "delete_namespace": _capturing(_emptied),
        "close": directly,
    },
    refused={
        "start_import": "it is a job that goes on after the call, so nobody would know when to read "
        "the index again. Call it on the original client, and run a rescan when the job has ended",
        "upsert_records": "the service makes their vectors later. Call it on the original client "
        "inside Feed.writing",
    },
    passes=frozenset(_PASSES.split()),
)
"""``upsert_from_dataframe`` calls ``upsert``."""
