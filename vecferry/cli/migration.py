"""One migration, opened: its log, its stores and its plans."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vecferry.errors import ConfigError, CutoverError
from vecferry.log.codec import Codec
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.registry import open_codec
from vecferry.log.topics import Topics
from vecferry.mapping.plan import Plan, Side, plan_mapping
from vecferry.mapping.resolve import resolve_collections
from vecferry.mapping.sample import Sample, take_sample, try_sample
from vecferry.mapping.transforms import Preview, Transforms, load_transforms
from vecferry.parity.full import Pair
from vecferry.ports import Store
from vecferry.settings import CollectionSettings, Settings, load_settings
from vecferry.stores import open_store

_METADATA_S = 30.0


def run_folder(name: str) -> Path:
    """Return where a running ``up`` on this machine leaves the address of its embedded broker."""
    root = os.environ.get("VECFERRY_HOME") or Path.home() / ".local" / "state" / "vecferry"
    return Path(root) / name


@dataclass(frozen=True)
class Both:
    """The two stores and the plan of each collection.

    Attributes:
        source, target: The stores.
        plans: One for each collection, in the order of the file.
        samples: Their points that were tried, where they were asked for.
        transforms: Of each collection.
    """

    source: Store
    target: Store
    plans: tuple[Plan, ...]
    samples: tuple[Sample, ...] = ()
    transforms: tuple[Transforms, ...] = ()

    def pairs(self, tolerance: float) -> list[Pair]:
        """Return what parity compares, with the tolerance where the target normalises.

        A function among the transforms has a tolerance of its own for what it makes.
        """
        pairs = []
        for plan, transforms in zip(self.plans, self.transforms, strict=True):
            tolerances = plan.mapping.rename(transforms.tolerances())
            for spec in plan.collection.vectors:
                is_changed = spec.metric == "cosine" and spec.kind != "sparse"
                if is_changed and self.target.capabilities.normalises:
                    tolerances[spec.name] = max(tolerance, tolerances.get(spec.name, 0.0))
            pairs.append(Pair(self.source, self.target, plan.mapping, tolerances, transforms))
        return pairs

    def require_accepted(self) -> None:
        """Raise unless every plan can go ahead.

        Raises:
            CutoverError: With every refusal.
        """
        reasons = [
            f"{plan.mapping.source.name}: {refusal}"
            for plan in self.plans
            for refusal in plan.refusals
        ]
        if reasons:
            raise CutoverError(
                "the plan is refused; see `vecferry plan` and collections.acknowledge",
                reasons=tuple(reasons),
            )


class Migration:
    """A migration's settings and the log behind them; opened once for each command."""

    def __init__(self, path: Path) -> None:
        """Read the file at ``path``.

        Raises:
            ConfigError: See :func:`vecferry.settings.load_settings`.
        """
        self.path = path
        self.settings: Settings = load_settings(path)
        self.topics = Topics(self.settings.name)

    @cached_property
    def connection(self) -> Connection:
        """How the broker is reached.

        Raises:
            ConfigError: The broker is the embedded one and no ``up`` runs here.
        """
        if not self.settings.log.embedded:
            return Connection(self.settings.log)
        try:
            address = (run_folder(self.settings.name) / "broker").read_text().strip()
        except FileNotFoundError as error:
            raise ConfigError(
                f"the log of {self.settings.name!r} is embedded, and no `vecferry up` runs on this machine: "
                "an embedded log lives as long as `up` does"
            ) from error
        return Connection(self.settings.log, address)

    @cached_property
    def codec(self) -> Codec:
        """How records are encoded."""
        return open_codec(self.settings.log, self.topics)

    def has_log(self) -> bool:
        """Tell whether the topics of this name were made.

        Raises:
            TransientError: The broker does not answer.
        """
        found = self.connection.require().list_topics(timeout=_METADATA_S).topics
        return self.topics.control in found

    @contextlib.contextmanager
    def control(self) -> Iterator[Control]:
        """Open ``control``, read to its end.

        Raises:
            ConfigError: There is none: the migration was never prepared.
        """
        if not self.has_log():
            raise ConfigError(
                f"{self.settings.name!r} was never prepared: `vecferry init` makes its topics and collections"
            )
        control = Control(self.connection, self.topics, self.codec)
        try:
            control.read_to_end()
            yield control
        finally:
            control.close()

    @contextlib.contextmanager
    def stores(self, *, sample: bool = False, pages: int = 1) -> Iterator[Both]:
        """Open both stores and plan every collection; nothing is written.

        Args:
            sample: Try points of the source against the target, too, and check the
                acknowledgements.
            pages: How many pages of each chunk the sample is read from.

        Raises:
            ConfigError: A store cannot be reached, or a collection is missing.
        """
        with contextlib.ExitStack() as stack:
            source = _open(stack, self.settings, "source")
            target = _open(stack, self.settings, "target")
            existing = set(target.collections())
            plans, samples, transforms = [], [], []
            for entry in resolve_collections(self.settings.collections, source.collections()):
                self._require_two(entry)
                transforms.append(load_transforms(entry.transforms, self.path.parent))
                side = Side(source.describe(entry.source), source.capabilities)
                there = target.describe(entry.target) if entry.target in existing else None
                plan = plan_mapping(
                    side, target.capabilities, entry, there, same_vendor=self._same_vendor
                )
                if sample:
                    wanted = self.settings.plan.sample
                    points = take_sample(source, plan.mapping.source, wanted, pages=pages)
                    preview = Preview(transforms[-1], plan.mapping)
                    plan = try_sample(plan, target, points, preview)
                    plan = replace(plan, warnings=(*plan.warnings, *preview.warnings()))
                    samples.append(points)
                plans.append(plan)
            yield Both(source, target, tuple(plans), tuple(samples), tuple(transforms))

    def _require_two(self, entry: CollectionSettings) -> None:
        """Refuse to move a collection onto itself, whatever else is allowed."""
        ours, theirs = self.settings.source, self.settings.target
        place = ("type", "url", "database")
        is_one = all(getattr(ours, each) == getattr(theirs, each) for each in place)
        if is_one and entry.source == entry.target:
            raise ConfigError(
                f"collection {entry.source!r} would be moved onto itself: source and target are one "
                f"database; give it another name in collections.target"
            )

    @property
    def _same_vendor(self) -> bool:
        return self.settings.source.type == self.settings.target.type


def _open(stack: contextlib.ExitStack, settings: Settings, side: str) -> Store:
    try:
        store = open_store(getattr(settings, side))
        stack.callback(store.close)
        store.version()
    except ConfigError as error:
        raise ConfigError(f"[{side}] {error}") from error
    return store
