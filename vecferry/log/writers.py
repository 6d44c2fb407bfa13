"""Who writes to the source, against who is expected to: nobody may write past the capture.

``capture.expected_writers`` names the applications and how many processes each
has at least. Where that cannot be said, or one will never come, the operator's
word stands in its place, on record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vecferry.log.control import Control
from vecferry.log.silences import present

FEEDS = "feed/"
_VOUCHED = "vouched"
_ALL = ""


class Writer(NamedTuple):
    """One expected application.

    Attributes:
        name: As its feeds are told, by the option ``name``.
        expected: Processes, at least.
        registered: Processes that are there now.
        vouched: The operator's reason why fewer will do; empty without one.
    """

    name: str
    expected: int
    registered: int
    vouched: str

    @property
    def missing(self) -> int:
        """How many processes more should be there."""
        return max(0, self.expected - self.registered)


@dataclass(frozen=True, slots=True)
class Writers:
    """Who should write and who does.

    Attributes:
        expected: One for each application that the settings name.
        unexpected: Processes by the name of an application that they do not;
            empty where none is expected.
        vouched: The operator's reason for all of them; empty without one.
    """

    expected: tuple[Writer, ...] = ()
    unexpected: Mapping[str, int] = field(default_factory=dict)
    vouched: str = ""

    @property
    def reasons(self) -> list[str]:
        """Why it is not certain that every writer is captured; empty when it is."""
        if self.vouched:
            return []
        if not self.expected:
            return [
                "nobody said which writers to expect: capture.expected_writers, or `vecferry vouch`"
            ]
        missing = [
            f"{writer.name}: {writer.missing} of {writer.expected} processes are not registered"
            for writer in self.expected
            if writer.missing and not writer.vouched
        ]
        return missing + [
            f"{count} processes {f'of {name!r}' if name else 'without a name'} write and are not expected"
            for name, count in self.unexpected.items()
        ]


def writers(control: Control, expected: Mapping[str, int]) -> Writers:
    """Hold the registered feeds against ``expected``, as far as ``control`` has been read.

    The ``feed`` role is none: it writes nothing to the source.
    """
    there: dict[str, int] = {}
    for name, record in present(control).items():
        if name.startswith(FEEDS) and "writer" in record.body:
            writer = str(record.body["writer"])
            there[writer] = there.get(writer, 0) + 1
    words = {
        name: str(record.body["reason"])
        for name, record in control.latest(_VOUCHED).items()
        if record.body["reason"]
    }
    return Writers(
        tuple(
            Writer(name, count, there.get(name, 0), words.get(name, ""))
            for name, count in expected.items()
        ),
        {name: there[name] for name in sorted(there.keys() - expected.keys())} if expected else {},
        words.get(_ALL, ""),
    )


def vouch(control: Control, writer: str | None, reason: str) -> None:
    """Put the operator's word on record: fewer processes of this writer will do.

    Args:
        control: Where it is written.
        writer: The application; None for all of them.
        reason: Why; an empty one takes the word back.
    """
    control.append(_VOUCHED, _ALL if writer is None else writer, {"reason": reason})
