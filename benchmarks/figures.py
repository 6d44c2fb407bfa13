"""One line of the table that ``make bench`` prints."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: The figure.
        needs: What it must reach, or must not pass; None for information.
        at_most: Whether ``needs`` is an upper bound.
    """

    what: str
    value: float
    needs: float | None = None
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it is as it should be."""
        if self.needs is None:
            return True
        return self.value <= self.needs if self.at_most else self.value >= self.needs
