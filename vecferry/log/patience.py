"""Asking Kafka until it answers."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from vecferry.errors import TransientError
from vecferry.log.errors import NO_TOPIC, code_of, translate

_T = TypeVar("_T")

REQUEST_S = 10.0
"""How long one request may take before it is made again."""

_PAUSE_S = 0.1


def persist(ask: Callable[[], _T], doing: str, timeout_s: float = 60.0) -> _T:
    """Ask until it is answered: a topic or a group that is new is not known everywhere yet.

    Raises:
        TransientError: It was not answered in that time.
        VecferryError: Another error, at once.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            failed = translate(code_of(error), doing)
            early = isinstance(failed, TransientError) or code_of(error).code() in NO_TOPIC
            if not early or time.monotonic() > deadline:
                raise failed from error
        time.sleep(_PAUSE_S)
