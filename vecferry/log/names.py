"""The names of a migration's topics and groups."""

from typing import NamedTuple


class Topics(NamedTuple):
    """The topics of one direction of a migration; ``control`` serves both."""

    migration: str
    direction: str = "forward"

    @property
    def hints(self) -> str:
        """Which keys may have changed."""
        return self._name("hints")

    @property
    def events(self) -> str:
        """Images, deletes and markers: the truth."""
        return self._name("events")

    @property
    def dead(self) -> str:
        """What could not be captured or applied."""
        return self._name("dead")

    @property
    def control(self) -> str:
        """Claims, chunks, certificates, processes."""
        return f"vecferry.{self.migration}.control"

    def group(self, role: str) -> str:
        """Return the consumer group of a role: ``capture`` reads hints, ``apply`` events."""
        return self._name(role)

    @property
    def first_commits(self) -> tuple[tuple[str, str], ...]:
        """The groups whose first offsets are committed when the topics are made, with their topics."""
        return ((self.group("capture"), self.hints), (self.group("apply"), self.events))

    def _name(self, last: str) -> str:
        return f"vecferry.{self.migration}.{self.direction}.{last}"
