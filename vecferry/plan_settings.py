"""What the plan is told: other indexes than the source's, and figures for the estimate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class IndexWords(BaseModel):
    """An index in neutral words; what is left out is as in the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["hnsw", "flat", "ivf_flat", "diskann", "dynamic", "autoindex"] | None = None
    """The algorithm; one that the target lacks becomes its nearest, and the plan says so."""
    m: int | None = Field(default=None, ge=2, le=2_048)
    """HNSW: the links of a node. More find more, and take memory."""
    ef_construct: int | None = Field(default=None, ge=1, le=100_000)
    """HNSW: the breadth of the search while building. More find more, and take time."""
    nlist: int | None = Field(default=None, ge=1, le=65_536)
    """IVF: the number of clusters."""
    quantisation: Literal["none", "scalar", "product", "binary"] | None = None
    """Compression of what the index searches; the vectors themselves are kept."""

    def words(self) -> dict[str, object]:
        """Return what is set."""
        return self.model_dump(exclude_none=True, include=set(IndexWords.model_fields))


class IndexSettings(IndexWords):
    """The target's indexes of one collection."""

    vectors: Mapping[str, IndexWords] = Field(default_factory=dict)
    """The same for single vectors, by their names in the source."""

    def words_for(self, vector: str) -> dict[str, object]:
        """Return what is set for one vector: its own words before those for all."""
        own = self.vectors.get(vector)
        return self.words() | (own.words() if own else {})


class PlanSettings(BaseModel):
    """Looking at both sides beforehand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: int = Field(default=100, ge=0, le=100_000)
    """Points of each collection that are tried against the target, from several places; 0 tries none."""
    prices: Path | None = None
    """A table of prices in place of the examples that come with Vecferry (``mapping/prices.toml``)."""
    read_points_per_s: float = Field(default=0.0, ge=0)
    """What one worker reads of the source, for the estimate; 0 takes what ``plan --measure`` saw, or a guess."""
    write_points_per_s: float = Field(default=0.0, ge=0)
    """What one worker writes to the target, for the estimate; 0 is a guess."""
    changes_per_s: float = Field(default=0.0, ge=0)
    """What the application writes, for the estimate of the log."""
    soak_days: float = Field(default=7.0, ge=0)
    """How long both databases run side by side, for the estimate of the log and of the cost."""
    drift_s: float = Field(default=60.0, gt=0)
    """How often the source's schema is held against the one that was planned."""
