"""The ends of the log that an applier holds."""

from dataclasses import dataclass

from vecferry.log.codec import Codec
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.publish import Publisher
from vecferry.log.topics import Topics


@dataclass(frozen=True, slots=True)
class ApplyLog:
    """What an applier reads from and writes to.

    Attributes:
        connection: For its membership of the group.
        topics: Their names.
        codec: How records are encoded.
        control: Marks, progress, and what the operator said.
        publisher: To ``dead``.
    """

    connection: Connection
    topics: Topics
    codec: Codec
    control: Control
    publisher: Publisher
