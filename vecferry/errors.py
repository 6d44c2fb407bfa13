"""What can go wrong, as a tree whose branches say what to do about it.

::

    VecferryError
    ├── ConfigError            exit 2: names the file, the key and what it should be
    ├── TransientError         the same input again, later (``retry_after_s``)
    │   └── UnknownOutcome     ... but the request that failed may still land
    ├── RecordError            this record can never apply: dead-letter it, go on
    ├── HaltError              going on could lose data: stop, commit nothing, say why
    └── CutoverError           the gate is closed (reasons), the step is illegal

Only the worker loops dispatch on these classes. Each store translates its
vendor's exceptions in one place, raising ``from`` the vendor's own. A message
says what failed, on what, and what to do next; it holds keys, counts, shapes
and digests, never a vector, a payload or a secret.
"""


class VecferryError(Exception):
    """The root of every error that Vecferry raises on purpose."""


class ConfigError(VecferryError):
    """The configuration or a command's arguments cannot be used as they are."""


class TransientError(VecferryError):
    """The same input may succeed later.

    Attributes:
        retry_after_s: How long the other side asked to be left alone, in
            seconds; None where it did not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownOutcome(TransientError):  # noqa: N818 - the name says what is known
    """A request was sent and no answer came: it may land until its time is over."""


class RecordError(VecferryError):
    """A record that can never be applied, however often it is tried."""


class HaltError(VecferryError):
    """Going on could lose data: the worker stops and commits nothing."""


class CutoverError(VecferryError):
    """The gate is closed, or the step is illegal in this phase.

    Attributes:
        reasons: Each condition that is not met.
    """

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons
