"""``plan``: what will become of each collection, told beforehand; writes nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vecferry.cli.migration import Both, Migration
from vecferry.errors import ConfigError, TransientError
from vecferry.log.connection import Connection
from vecferry.log.control import Control
from vecferry.log.rights import allowed_operations
from vecferry.log.topics import Premise, check_topics
from vecferry.mapping.access import (
    Grant,
    acl_lines,
    database_rights,
    kafka_grants,
    missing_rights,
    sight_of,
)
from vecferry.mapping.decided import decide, first_difference, load_decided, write_decided
from vecferry.mapping.drift import planned_schemas
from vecferry.mapping.estimate import (
    Cluster,
    Estimate,
    Facts,
    Work,
    estimate_move,
    vector_bytes,
)
from vecferry.mapping.index import translate_index
from vecferry.mapping.limits import plan_limits
from vecferry.mapping.plan import Plan
from vecferry.mapping.prices import load_prices
from vecferry.mapping.sample import Sample, measure_sizes

_BROKER_S = 30.0
_PRINCIPAL = "User:vecferry-ROLE"


def plan_document(migration: Migration, both: Both, *, measured: bool = False) -> dict[str, Any]:
    """Return the whole plan as JSON values.

    Args:
        migration: Its settings and its log.
        both: The stores, with samples.
        measured: The samples are large enough to tell how fast the source is read.
    """
    settings = migration.settings
    premises = _premises(migration)
    sight, warned = sight_of(settings.source.type, [plan.source for plan in both.plans])
    counts = [both.source.count(plan.mapping.source.name) for plan in both.plans]
    estimate = _estimate(migration, both, counts, measured=measured)
    return {
        "name": settings.name,
        "source": both.source.version(),
        "target": both.target.version(),
        "log": {
            "embedded": settings.log.embedded,
            "partitions": settings.log.partitions,
            "premises": [premise._asdict() for premise in premises],
        },
        "capture": {
            "feed": settings.feed.type,
            "feeds": list(sight.feeds),
            "unseen": list(sight.unseen),
            "warnings": list(warned),
        },
        "collections": [
            _collection(plan, points, same_vendor=settings.source.type == settings.target.type)
            for plan, points in zip(both.plans, counts, strict=True)
        ],
        "estimate": _plain(estimate),
    }


def _collection(plan: Plan, points: int, *, same_vendor: bool) -> dict[str, Any]:
    names = dict(plan.mapping.vectors)
    existing = None if plan.collection is plan.planned else plan.collection
    limits = plan_limits(plan.source, plan.planned, existing, same_vendor=same_vendor)
    return {
        "source": plan.mapping.source.name,
        "target": plan.mapping.target.name,
        "points": points,
        "sampled": plan.sampled,
        "vectors": names,
        "fields": [field._asdict() for field in plan.fields],
        "index": [
            {
                "vector": spec.name,
                "source": translate_index(spec.index),
                "target": translate_index(made.index) if made else {},
            }
            for spec in plan.source.vectors
            for made in [plan.collection.vector(names.get(spec.name, spec.name))]
        ],
        "limits": [limit._asdict() for limit in limits],
        "refusals": list(plan.refusals),
        "warnings": list(plan.warnings),
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _estimate(migration: Migration, both: Both, counts: list[int], *, measured: bool) -> Estimate:
    settings = migration.settings
    samples = both.samples or tuple(Sample(()) for _ in both.plans)
    facts = [
        _facts(plan, sample, points)
        for plan, sample, points in zip(both.plans, samples, counts, strict=True)
    ]
    work = Work(
        read=settings.plan.read_points_per_s or (_measured(samples) if measured else None),
        write=settings.plan.write_points_per_s or None,
        readers=settings.snapshot.workers,
        writers=settings.apply.workers,
        changes_per_s=settings.plan.changes_per_s,
        soak_days=settings.plan.soak_days,
    )
    kinds = (settings.source.type, settings.target.type)
    prices = load_prices(settings.plan.prices)
    return estimate_move(facts, _cluster(migration), work, prices, kinds)


def _facts(plan: Plan, sample: Sample, points: int) -> Facts:
    sizes = measure_sizes(sample.points)
    there = [plan.mapping.apply(point) for point in sample.points]
    return Facts(
        points=points,
        record_mean=sizes.mean or vector_bytes((), plan.source),
        record_max=sizes.largest,
        payload_mean=sizes.payload_mean,
        source_vectors=vector_bytes(sample.points, plan.source),
        target_vectors=vector_bytes(there, plan.collection) or vector_bytes((), plan.collection),
        source=plan.source,
        target=plan.collection,
    )


def _measured(samples: tuple[Sample, ...]) -> float | None:
    took = sum(sample.read_s for sample in samples)
    return sum(sample.read_points for sample in samples) / took if took else None


def _cluster(migration: Migration) -> Cluster:
    log = migration.settings.log
    limit = Connection.record_bytes(log)
    if log.embedded:
        return Cluster(1, 1, limit)
    brokers = len(migration.connection.require().list_topics(timeout=_BROKER_S).brokers)
    return Cluster(log.replication_factor or (3 if brokers >= 3 else 1), brokers, limit)


def _premises(migration: Migration) -> list[Premise]:
    """Return the broker's premises as far as the topics are there already."""
    log = migration.settings.log
    if log.embedded:
        return []
    found = check_topics(migration.connection, migration.topics, log)
    return [premise for premise in found if premise.value != "not there"]


def decided(migration: Migration, both: Both) -> dict[str, Any]:
    """Return what was decided, as ``plan --out`` keeps it."""
    settings = migration.settings
    return decide(settings.name, (settings.source.type, settings.target.type), both.plans)


def require_kept(migration: Migration, control: Control) -> None:
    """Hold what the migration was prepared with against the file that keeps the plan.

    Roles ask ``control`` and not the databases, which may be down.

    Raises:
        ConfigError: They differ, and ``plan_file`` is set.
    """
    path = migration.settings.plan_file
    record = control.latest("migration").get(migration.settings.name)
    if path is None or record is None:
        return
    known = record.body.get("plan")
    if not isinstance(known, dict):
        raise ConfigError(
            f"{migration.settings.name!r} was prepared without a plan to keep: run `vecferry init` "
            f"under another name, or leave out plan_file"
        )
    difference = first_difference(load_decided(path), known)
    if difference:
        raise ConfigError(
            f"{migration.settings.name!r} was prepared with another plan than plan_file = "
            f"{str(path)!r}: {difference}. Name the file that it was prepared with, or prepare a "
            f"migration of another name with `vecferry init`"
        )


def prepared_schemas(migration: Migration, control: Control) -> dict[str, Mapping[str, Any]]:
    """Return the source's schemas that the migration was prepared with, by collection."""
    record = control.latest("migration").get(migration.settings.name)
    return planned_schemas(record.body.get("plan")) if record else {}


def keep_decided(migration: Migration, both: Both, path: Path) -> None:
    """Write what was decided to a file.

    Raises:
        ConfigError: It cannot be written.
    """
    write_decided(decided(migration, both), path)


def _missing(migration: Migration, grants: list[Grant]) -> list[dict[str, Any]] | None:
    names = sorted({grant.name for grant in grants if grant.resource == "topic"})
    try:
        allowed = allowed_operations(migration.connection, names)
    except TransientError:
        return None  # what is needed can be told without a broker
    return [
        {"role": grant.role, "name": grant.name, "operations": list(lacking)}
        for grant, lacking in missing_rights(grants, allowed)
    ]


def access_document(migration: Migration) -> dict[str, Any]:
    """Return the least that each role needs, on Kafka and on both databases.

    ``missing`` is what the client of this file's ``[log]`` lacks on the topics that
    are there; None where nobody could say.
    """
    settings = migration.settings
    grants = kafka_grants(migration.topics)
    missing = None if settings.log.embedded else _missing(migration, grants)
    source, target = (database_rights(each.type) for each in (settings.source, settings.target))
    return {
        "name": settings.name,
        "kafka": [grant._asdict() for grant in grants],
        "missing": missing,
        "lines": list(acl_lines(grants, settings.log.bootstrap_servers, _PRINCIPAL)),
        "source": {"snapshot, capture, feed, check": source.read},
        "target": {"init": target.make, "apply, check": target.write},
    }
