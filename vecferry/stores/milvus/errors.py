"""What Milvus' errors mean, in one place.

By code alone: gRPC's status, or the ``Status`` that every reply carries (its
``code``, and where a server leaves that empty the older ``error_code``). A
message's text is for people and changes with the server. A request that changes
something and got no clear answer has an unknown outcome; the same answer to a
request that reads is merely transient.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import grpc
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen import common_pb2

from vecferry.errors import (
    ConfigError,
    HaltError,
    RecordError,
    TransientError,
    UnknownOutcome,
    VecferryError,
)

Meaning = Literal[
    "refused", "unknown", "record", "large", "halt", "unloaded", "exists", "rights", "old"
]
"""refused: nothing was changed, try later; unknown: it may land; record: this input
can never apply; large: this much of it cannot; halt: going on could lose data;
unloaded: it can be read once it is loaded; exists: what should be made is there;
rights: the credentials do not reach; old: the server has no such request."""

RPC_CODES: Mapping[grpc.StatusCode, Meaning] = {
    grpc.StatusCode.CANCELLED: "unknown",
    grpc.StatusCode.UNKNOWN: "unknown",
    grpc.StatusCode.INVALID_ARGUMENT: "record",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unknown",
    grpc.StatusCode.NOT_FOUND: "halt",
    grpc.StatusCode.ALREADY_EXISTS: "exists",
    grpc.StatusCode.PERMISSION_DENIED: "rights",
    grpc.StatusCode.UNAUTHENTICATED: "rights",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "large",  # a message beyond a limit; quotas have their own
    grpc.StatusCode.FAILED_PRECONDITION: "refused",
    grpc.StatusCode.ABORTED: "unknown",
    grpc.StatusCode.OUT_OF_RANGE: "record",
    grpc.StatusCode.UNIMPLEMENTED: "old",
    grpc.StatusCode.INTERNAL: "unknown",
    grpc.StatusCode.UNAVAILABLE: "unknown",  # a stream that broke; see Connection for refused
    grpc.StatusCode.DATA_LOSS: "halt",
}
"""Every gRPC code but OK."""

CODES: Mapping[int, Meaning] = {
    # 1 is "unexpected" in Milvus Lite and "not ready" in Milvus: both may have begun
    **dict.fromkeys((1, 2, 3, 5, 7, 10, 11, 12), "unknown"),
    **dict.fromkeys((4, 8, 9), "refused"),  # too many requests, rate limit, quota
    6: "record",  # Milvus Lite's illegal argument
    **dict.fromkeys((100, 105, 107, 109), "halt"),
    101: "unloaded",
    **dict.fromkeys((102, 250), "refused"),
    **dict.fromkeys((103, 106, 202), "refused"),  # being loaded, recovering
    **dict.fromkeys((104, 108), "halt"),
    **dict.fromkeys((200, 201), "halt"),
    **dict.fromkeys((*range(300, 310), *range(400, 404), *range(500, 506)), "unknown"),
    **dict.fromkeys((*range(600, 606), *range(901, 908)), "unknown"),
    **dict.fromkeys((*range(700, 705), *range(800, 805)), "halt"),
    **dict.fromkeys((1000, 1001, 1002, 1200, *range(1300, 1305)), "unknown"),
    **dict.fromkeys((1100, 1101), "record"),
    1102: "large",
    **dict.fromkeys((1400, 1401, 1402), "rights"),
    **dict.fromkeys((*range(1600, 1604), *range(1700, 1703)), "halt"),
}
"""``Status.code``. What is not here is ``unknown``: 65535 is whatever a server did not
classify, an outage as well as a bad value, so it never condemns a record."""

_LEGACY: Mapping[str, Meaning] = {
    **dict.fromkeys(
        (
            *("IllegalArgument", "IllegalDimension", "IllegalRowRecord", "IllegalVectorID"),
            *("IllegalTOPK", "IllegalMetricType", "IllegalNLIST", "IllegalIndexType"),
            *("IllegalCollectionName", "UpsertAutoIDTrue"),
        ),
        "record",
    ),
    **dict.fromkeys(
        ("CollectionNotExists", "CollectionNameNotFound", "IndexNotExist", "SchemaMismatch"),
        "halt",
    ),
    **dict.fromkeys(("PermissionDenied", "GetCredentialFailure"), "rights"),
    **dict.fromkeys(
        (
            *("RateLimit", "ForceDeny", "MemoryQuotaExhausted", "DiskQuotaExhausted"),
            *("TimeTickLongDelay", "NotReadyServe", "NotReadyCoordActivating", "NotShardLeader"),
            *("NoReplicaAvailable", "InsufficientMemoryToLoad", "DataCoordNA"),
        ),
        "refused",
    ),
}

LEGACY_CODES: Mapping[int, Meaning] = {
    value.number: _LEGACY.get(value.name, "unknown")
    for value in common_pb2.ErrorCode.DESCRIPTOR.values
    if value.number
}
"""``Status.error_code``, every one; asked only where ``code`` is empty."""

_DETAILS_MAX = 300

_ADVICE: Mapping[Meaning, str] = {
    "rights": "check token, or user and password, and that the user may do this",
    "old": "Milvus 2.3 or newer is needed",
    "halt": "look at the collection, then start again",
    "unloaded": "load it first (client.load_collection), a source is never loaded by Vecferry",
}


class TooLargeError(RecordError):
    """A message is larger than a limit of the server; half as much may fit."""


class StatusError(Exception):
    """A reply's ``Status`` that is not a success."""

    def __init__(self, status: Any) -> None:
        super().__init__(status.reason)
        self.code: int = status.code
        self.legacy: int = status.error_code
        self.retriable: bool = status.retriable


class _Answer(NamedTuple):
    meaning: Meaning
    details: str


def meaning_of(error: StatusError) -> Meaning:
    """Return what a reply's status says about the request."""
    found = CODES.get(error.code) if error.code else LEGACY_CODES.get(error.legacy)
    if error.retriable and found in (None, "halt"):
        return "unknown"
    return found or "unknown"


@contextmanager
def translate_errors(doing: str, *, writes: bool = False, first: bool = False) -> Iterator[None]:
    """Raise Vecferry's errors ``from`` what gRPC, a reply or pymilvus raises.

    Args:
        doing: What was tried, and on what: "writing 12 points to 'docs'".
        writes: The request changes something, so that no answer is no "no".
        first: It is one of the first requests, or makes a collection: what a person
            configured is to blame, not a record and not the data.
    """
    try:
        yield
    except grpc.RpcError as error:
        code, details = error.code(), (error.details() or "")[:_DETAILS_MAX]
        answer = _Answer(RPC_CODES[code], f"{code.name}: {details}")
        raise _translate(answer, doing, (writes, first)) from error
    except StatusError as error:
        details = f"code {error.code or error.legacy}: {error.args[0][:_DETAILS_MAX]}"
        raise _translate(_Answer(meaning_of(error), details), doing, (writes, first)) from error
    except MilvusException as error:
        meaning = CODES.get(error.code, "unknown")
        raise _translate(_Answer(meaning, f"code {error.code}"), doing, (writes, first)) from error


def _translate(answer: _Answer, doing: str, when: tuple[bool, bool]) -> VecferryError:
    meaning, (writes, first) = answer.meaning, when
    message = f"{doing}: Milvus answered {answer.details}"
    if advice := _ADVICE.get(meaning):
        message = f"{message}; {advice}"
    if first and meaning in ("record", "large", "halt", "unloaded", "exists", "rights", "old"):
        return ConfigError(message)
    if meaning == "refused" or (meaning == "unknown" and not writes):
        return TransientError(message)
    return _CLASSES[meaning](message)


_CLASSES: Mapping[Meaning, type[VecferryError]] = {
    "unknown": UnknownOutcome,
    "record": RecordError,
    "large": TooLargeError,
    "halt": HaltError,
    "unloaded": ConfigError,
    "exists": ConfigError,
    "rights": HaltError,
    "old": HaltError,
}
