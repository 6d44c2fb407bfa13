"""``init``: the privileged part: topics, first commits, the target's collections."""

from typing import Any, cast

from vecferry.cli.migration import Both, Migration
from vecferry.cli.planning import decided
from vecferry.errors import ConfigError
from vecferry.log.control import Control
from vecferry.log.topics import Premise, check_topics, create_topics
from vecferry.mapping.decided import require_decided
from vecferry.mapping.names import Mapping
from vecferry.mapping.plan import Plan
from vecferry.mapping.resolve import entry_of
from vecferry.mapping.transforms import Transforms, load_transforms
from vecferry.ports import Ref
from vecferry.producers.passes import ask

_RECORD = "migration"


def prepare(migration: Migration) -> list[Premise]:
    """Make what is missing; a second run changes nothing.

    Returns:
        The broker's premises, met or not.

    Raises:
        ConfigError: A collection of the target holds points, the migration's name
            was used for others, or what is planned is not what ``plan_file`` holds.
        CutoverError: The plan is refused.
    """
    with migration.stores(sample=True) as both:
        both.require_accepted()
        if migration.settings.plan_file is not None:
            require_decided(migration.settings.plan_file, decided(migration, both))
        if not migration.has_log():  # nothing is made for a target that is refused
            _require_empty(migration, both)
        make = create_topics if migration.settings.log.create_topics else check_topics
        premises = make(migration.connection, migration.topics, migration.settings.log)
        with migration.control() as control:
            if not _is_known(migration, both, control):
                _require_empty(migration, both)
                _create_collections(both)
                control.append(_RECORD, migration.settings.name, _moves(migration, both))
            else:
                _make_anew(both, control)
    return premises


def prepared(migration: Migration, control: Control) -> list[Mapping]:
    """Return the mapping of each collection, as it was when the migration was prepared.

    Roles ask this and not the databases: a worker that starts while the other
    side is down has its own side's work to do.

    Raises:
        ConfigError: It was never prepared.
    """
    record = control.latest(_RECORD).get(migration.settings.name)
    if record is None:
        raise ConfigError(
            f"{migration.settings.name!r} was never prepared: `vecferry init` makes its topics and collections"
        )
    body = cast("dict[str, Any]", record.body)
    return [
        Mapping(
            Ref(source, source),
            Ref(target, source),
            tuple((ours, theirs) for ours, theirs in vectors),
        )
        for (source, target), vectors in zip(body["collections"], body["vectors"], strict=True)
    ]


def prepared_transforms(migration: Migration, control: Control) -> dict[str, Transforms]:
    """Return the transforms of each collection, by its source's name, ready to run.

    Raises:
        ConfigError: They are not those that the migration was prepared with, or
            a function of theirs cannot be used.
    """
    body = cast("dict[str, Any]", control.latest(_RECORD)[migration.settings.name].body)
    names = [source for source, _ in body["collections"]]
    found = {}
    for name, known in zip(names, body["transforms"], strict=True):
        entry = entry_of(migration.settings.collections, name)
        found[name] = load_transforms(entry.transforms, migration.path.parent)
        if found[name].words() != known:
            raise ConfigError(
                f"collections.transforms of {name!r} are not those that {migration.settings.name!r} was "
                f"prepared with: points that were written already would differ. Give a changed "
                f"migration another name"
            )
    return found


def _moves(migration: Migration, both: Both) -> dict[str, Any]:
    return {
        "source": migration.settings.source.type,
        "target": migration.settings.target.type,
        "partitions": migration.settings.log.partitions,
        "collections": [
            [plan.mapping.source.name, plan.mapping.target.name] for plan in both.plans
        ],
        # what a feed may be told: an id of another type would be another point's
        "id_types": [
            sorted(both.source.describe(plan.mapping.source.name).id_types) for plan in both.plans
        ],
        "vectors": [[list(pair) for pair in plan.mapping.vectors] for plan in both.plans],
        "plan": decided(migration, both),
        "transforms": [each.words() for each in both.transforms],
    }


def _is_known(migration: Migration, both: Both, control: Control) -> bool:
    """Tell whether this migration was prepared before.

    Raises:
        ConfigError: Its name was used for something else.
    """
    record = control.latest(_RECORD).get(migration.settings.name)
    if record is None:
        return False
    wanted, known = _moves(migration, both), cast("dict[str, Any]", record.body)
    for what in ("source", "target", "partitions", "collections", "vectors", "transforms"):
        if wanted[what] != known[what]:
            raise ConfigError(
                f"the name {migration.settings.name!r} was used before for another migration: its {what} "
                f"was {known[what]!r} and is now {wanted[what]!r}. Give this one another name"
            )
    return True


def _require_empty(migration: Migration, both: Both) -> None:
    allowed = {entry.source: entry.allow_not_empty for entry in migration.settings.collections}
    existing = set(both.target.collections())
    if migration.settings.snapshot.mode == "seeded":
        _require_seeded(both, existing)
        return
    for plan in both.plans:
        name = plan.mapping.target.name
        if name not in existing or allowed.get(plan.mapping.source.name, False):
            continue
        points = both.target.count(name)
        if points:
            raise ConfigError(
                f"the target's collection {name!r} holds {points} points already: empty it, name another one, "
                f"or set collections.allow_not_empty = true"
            )


def _require_seeded(both: Both, existing: set[str]) -> None:
    for plan in both.plans:
        if plan.mapping.target.name not in existing:
            raise ConfigError(
                f"the target has no collection {plan.mapping.target.name!r}, and snapshot.mode = 'seeded' "
                f"says that it was restored there: restore it first, or leave the mode out"
            )


def _create_collections(both: Both) -> None:
    for plan in _missing(both):
        both.target.create(plan.collection)


def _make_anew(both: Both, control: Control) -> None:
    """Make collections that were lost: what was applied to them has to be read again."""
    for plan in _missing(both):
        scope, name = plan.mapping.source.name, plan.mapping.target.name
        # first the record: one that is made and not filled would look finished
        ask(control, f"lost/{scope}", scope, f"the target had lost its collection {name!r}")
        both.target.create(plan.collection)


def _missing(both: Both) -> list[Plan]:
    existing = set(both.target.collections())
    return [plan for plan in both.plans if plan.mapping.target.name not in existing]
