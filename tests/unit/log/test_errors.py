import pytest
from confluent_kafka import KafkaError

from vecferry.errors import ConfigError, HaltError, RecordError, TransientError
from vecferry.log.errors import NotOwner, refused, translate


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._AUTHENTICATION, ConfigError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ConfigError),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordError),
        (KafkaError.UNKNOWN_MEMBER_ID, NotOwner),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, HaltError),
        (KafkaError._TRANSPORT, TransientError),
        (KafkaError.REBALANCE_IN_PROGRESS, TransientError),
        (KafkaError.NOT_LEADER_FOR_PARTITION, TransientError),
        (KafkaError.COORDINATOR_NOT_AVAILABLE, TransientError),
        (KafkaError._FATAL, HaltError),
        (KafkaError.INVALID_RECORD, HaltError),
    ],
)
def test_what_to_do_about_an_error_follows_from_its_code(code: int, kind: type[Exception]) -> None:
    found = translate(KafkaError(code), "commit in docs")
    assert type(found) is kind
    assert str(found).startswith("commit in docs: ")


def test_every_code_has_an_answer_and_a_fatal_one_always_stops() -> None:
    codes = {
        value
        for name, value in vars(KafkaError).items()
        if name.lstrip("_").isupper() and isinstance(value, int)
    }
    assert len(codes) > 100
    for code in codes:
        translate(KafkaError(code), "x")
    fatal = translate(KafkaError(KafkaError._TRANSPORT, "x", True), "x")
    assert type(fatal) is HaltError


def test_only_a_refusal_counts_as_one() -> None:
    assert refused(KafkaError(KafkaError._SSL))
    assert not refused(KafkaError(KafkaError._TRANSPORT))
