"""The table of prices: an editable file, and what a week costs by it."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from vecferry.errors import ConfigError

_WEEKS_A_MONTH = 365.25 / 12 / 7


class Price(BaseModel):
    """What one database or the log costs, in the table's currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_gb_month: float = Field(default=0.0, ge=0)
    """A gigabyte of memory for a month."""
    disk_gb_month: float = Field(default=0.0, ge=0)
    """A gigabyte of disk or of storage for a month."""
    read_units_million: float = Field(default=0.0, ge=0)
    """A million read units, where reads are billed."""
    write_units_million: float = Field(default=0.0, ge=0)
    """A million write units, where writes are billed."""
    broker_month: float = Field(default=0.0, ge=0)
    """A broker of the log for a month, without its disk."""
    month_min: float = Field(default=0.0, ge=0)
    """The least that is billed for a month."""

    def week(self, *, memory: float = 0.0, disk: float = 0.0, brokers: int = 0) -> float:
        """Return what a week costs of so many bytes of memory and disk, and brokers."""
        month = (
            memory / 1e9 * self.memory_gb_month
            + disk / 1e9 * self.disk_gb_month
            + brokers * self.broker_month
        )
        return max(month, self.month_min) / _WEEKS_A_MONTH

    def units(self, *, reads: float = 0.0, writes: float = 0.0) -> float:
        """Return what so many read and write units cost once."""
        return (reads * self.read_units_million + writes * self.write_units_million) / 1e6


class Prices(RootModel[dict[str, Price | str]]):
    """The whole table."""

    @property
    def currency(self) -> str:
        """The currency's name."""
        return str(self.root.get("currency", "USD"))

    def of(self, what: str) -> Price:
        """Return the price of a type of store or of ``kafka``, else the default one."""
        found = self.root.get(what) or self.root.get("default")
        return found if isinstance(found, Price) else Price()


def load_prices(path: Path | None = None) -> Prices:
    """Read a table of prices; without a path the examples that come with Vecferry.

    Raises:
        ConfigError: The file is not there, is not TOML, or holds something unknown.
    """
    where = path.expanduser() if path else files("vecferry.mapping") / "prices.toml"
    try:
        table: Mapping[str, object] = tomllib.loads(where.read_text())
        return Prices.model_validate(table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"plan.prices = {str(path)!r} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1] + first["loc"][2:])
        raise ConfigError(
            f"plan.prices = {str(path)!r}: {name}: {first['msg']}; it should be like "
            "vecferry/mapping/prices.toml"
        ) from None
