"""The least that each role needs, on Kafka and on both databases; and what no feed can see."""

from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vecferry.log.names import Topics
from vecferry.model import Collection


class Grant(NamedTuple):
    """What one role needs on one resource of Kafka.

    Attributes:
        role: Of ``up --role``, or ``init`` and ``feed``: the application with a wrapped client.
        resource: ``topic``, ``group`` or ``cluster``.
        name: Its name; ``kafka-cluster`` for the cluster.
        operations: In Kafka's words.
    """

    role: str
    resource: str
    name: str
    operations: tuple[str, ...]


ROLES = ("init", "snapshot", "capture", "apply", "check", "feed", "operator")
"""``operator`` is who runs ``status``, ``pause``, ``check``, ``dlq`` and ``rescan``."""

_READ = ("Describe", "Read")
_WRITE = ("Describe", "Write")
_BOTH = ("Describe", "Read", "Write")


def kafka_grants(topics: Topics) -> list[Grant]:
    """Return the least that each role needs on Kafka, by role.

    Brokers before 3.0 want ``IdempotentWrite`` on the cluster from every role, too.
    """
    control = topics.control
    capture, apply = topics.group("capture"), topics.group("apply")
    needs: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
        "init": [
            ("cluster", "kafka-cluster", ("Create", "DescribeConfigs")),
            *(
                ("topic", name, ("Create", "Describe", "DescribeConfigs", "Read"))
                for name in (topics.hints, topics.events, topics.dead)
            ),
            ("topic", control, ("Create", "Describe", "DescribeConfigs", "Read", "Write")),
            ("group", capture, _READ),
            ("group", apply, _READ),
        ],
        "snapshot": [
            ("topic", topics.events, _WRITE),
            ("topic", topics.dead, _WRITE),
            ("topic", topics.hints, _WRITE),
        ],
        "capture": [
            ("topic", topics.hints, _READ),
            ("group", capture, _READ),
            ("topic", topics.events, _WRITE),
            ("topic", topics.dead, _WRITE),
        ],
        "apply": [
            ("topic", topics.events, _READ),
            ("group", apply, _READ),
            ("topic", topics.dead, _WRITE),
        ],
        "check": [("topic", topics.hints, _WRITE)],
        "feed": [("topic", topics.hints, _BOTH), ("group", capture, ("Describe",))],
        "operator": [
            ("topic", topics.hints, _BOTH),
            ("topic", topics.events, _READ),
            ("topic", topics.dead, _READ),
            ("group", capture, ("Describe",)),
            ("group", apply, ("Describe",)),
        ],
    }
    found = []
    for role in ROLES:
        wanted = list(needs[role])
        if role != "init":
            wanted.append(("topic", control, _BOTH))
        wanted.append(("group", f"{control}.tail", ("Describe", "Read")))
        found += [Grant(role, *each) for each in wanted]
    return found


def missing_rights(
    grants: Sequence[Grant], allowed: Mapping[str, Some[str]]
) -> list[tuple[Grant, tuple[str, ...]]]:
    """Return the grants on topics that a client lacks, with the operations that it lacks.

    Args:
        grants: Of :func:`kafka_grants`.
        allowed: What the client may do with each topic; others were not asked for.
    """
    lacking = [
        (grant, tuple(each for each in grant.operations if each not in allowed[grant.name]))
        for grant in grants
        if grant.resource == "topic" and grant.name in allowed
    ]
    # a topic that is there need not be made
    wanted = [(grant, tuple(e for e in which if e != "Create")) for grant, which in lacking]
    return [(grant, which) for grant, which in wanted if which]


def acl_lines(grants: list[Grant], bootstrap_servers: str, principal: str) -> Iterator[str]:
    """Yield a ``kafka-acls`` command for each grant.

    Args:
        grants: Of :func:`kafka_grants`.
        bootstrap_servers: The cluster.
        principal: Of every role, with ``ROLE`` where the role's name goes.
    """
    for grant in grants:
        operations = " ".join(f"--operation {each}" for each in grant.operations)
        where = "--cluster" if grant.resource == "cluster" else f"--{grant.resource} {grant.name}"
        who = principal.replace("ROLE", grant.role)
        yield (
            f"kafka-acls --bootstrap-server {bootstrap_servers} --add "
            f"--allow-principal {who} {operations} {where}"
        )


class Rights(NamedTuple):
    """What a database must allow: to read as a source, to make and to write as a target."""

    read: str
    make: str
    write: str


_RIGHTS: Mapping[str, Rights] = {
    "qdrant": Rights(
        "a read-only API key, or a token with access `r` to the collections",
        "a token with `manage`: collections and payload indexes are created",
        "a token with access `rw` to the collections",
    ),
    "milvus": Rights(
        "ShowCollections, DescribeCollection, ShowPartitions, IndexDetail, GetLoadState, Query, Search",
        "CreateCollection, CreateIndex, CreatePartition, Load, DropCollection (after a failed creation)",
        "Upsert, Delete, CreatePartition, Query, Search, DescribeCollection, ShowPartitions",
    ),
    "weaviate": Rights(
        "read_collections, read_data, read_tenants on the collections",
        "create_collections, delete_collections (after a failed creation)",
        "create_data, update_data, delete_data, read_data, create_tenants, read_tenants",
    ),
    "pinecone": Rights(
        "an API key with the role DataPlaneViewer",
        "an API key with the role ControlPlaneEditor",
        "an API key with the role DataPlaneEditor",
    ),
    "pgvector": Rights(
        "USAGE on the schema, SELECT on the tables; REPLICATION and ownership of a publication for the feed",
        "CREATE on the schema; the extension `vector` must be there",
        "SELECT, INSERT, UPDATE, DELETE on the tables",
    ),
    "parquet": Rights("read and list", "write and list", "read, write, list and delete"),
    "memory": Rights("nothing", "nothing", "nothing"),
}


def database_rights(kind: str) -> Rights:
    """Return what a type of store must allow; of an adapter from elsewhere its maker knows."""
    unknown = "what its adapter says"
    return _RIGHTS.get(kind, Rights(unknown, unknown, unknown))


class Sight(NamedTuple):
    """What can be seen of a source's changes.

    Attributes:
        feeds: The feeds that there are for it.
        unseen: Changes that none of them sees; a rescan or ``check`` finds them.
    """

    feeds: tuple[str, ...]
    unseen: tuple[str, ...]


_ANY = ("sidecar", "scan", "timestamp")
_SIGHT: Mapping[str, Sight] = {
    "qdrant": Sight(
        ("wrapped client", "proxy", *_ANY),
        ("a snapshot that is restored past the proxy", "shards that are moved in by hand"),
    ),
    "milvus": Sight(
        ("wrapped client", *_ANY),
        ("bulk imports", "restored backups", "rows that expire (collection.ttl.seconds)"),
    ),
    "weaviate": Sight(
        _ANY,
        ("restored backups", "objects that expire", "tenants that are offloaded"),
    ),
    "pinecone": Sight(
        ("wrapped client", *_ANY), ("imports from object storage", "restored backups")
    ),
    "pgvector": Sight(
        ("logical", *_ANY),
        ("a dropped replication slot: what came meanwhile is read again (a rescan)",),
    ),
    "parquet": Sight((), ("everything: a file that is written anew is another source",)),
}


def sight_of(kind: str, collections: list[Collection]) -> tuple[Sight, tuple[str, ...]]:
    """Return what the feeds see of such a source, and warnings about these collections."""
    sight = _SIGHT.get(kind, Sight(_ANY, ("writes past the feed",)))
    warned = [
        f"{collection.name}: rows expire after {ttl} s, and no feed sees that: ask for a "
        f"`vecferry rescan {collection.name} --reason ttl` before the switch, or take the TTL off until then"
        for collection in collections
        if (ttl := _ttl(collection))
    ]
    return sight, tuple(warned)


def _ttl(collection: Collection) -> str:
    own = collection.options.get("milvus")
    properties = own.get("properties") if isinstance(own, Mapping) else None
    value = properties.get("collection.ttl.seconds") if isinstance(properties, Mapping) else None
    return "" if value in (None, "", "0", 0, "-1", -1) else str(value)
