"""What hot paths need of a class, and which id a key has in it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from vecferry.errors import RecordError
from vecferry.model import Collection, Key, Metric, VectorSpec
from vecferry.ports import Capabilities
from vecferry.stores.identity import CARRIED_FIELD, ID_FIELD, NAMESPACE_FIELD, target_id

OWN_PROPERTIES = (ID_FIELD, NAMESPACE_FIELD, CARRIED_FIELD)
UNNAMED = "default"
"""What the one vector of a class without names is called."""

METRICS: Mapping[str, Metric] = {
    "cosine": "cosine",
    "dot": "dot",
    "l2-squared": "l2",
    "manhattan": "l1",
    "hamming": "hamming",
}
CAPABILITIES = Capabilities(
    id_types=frozenset({"uuid"}),
    dtypes=frozenset({"float32"}),
    metrics=frozenset(METRICS.values()),
    multi=True,
    several_vectors=True,
    unnamed_vector=UNNAMED,
    dim_max=65_535,
    collection_name="[A-Z][_0-9A-Za-z]{0,255}",
    vector_name="[_A-Za-z][_0-9A-Za-z]{0,229}",
    index_types=frozenset({"hnsw", "flat"}),
    quantisations=frozenset({"hnsw/scalar", "hnsw/product", "hnsw/binary", "flat/binary"}),
)
"""Of the database. A class with tenants keeps namespaces, too; one without, which is what a
collection is unless its options say otherwise, carries them."""

_WITH_TENANTS = replace(CAPABILITIES, namespaces=True)
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Layout(NamedTuple):
    """What hot paths need of a class.

    Attributes:
        vectors: By name.
        types: Data types of its properties, by name, those of ours left out.
        unnamed: Its one vector has no name there.
        tenants: Whether its objects lie in tenants.
        prepared: Whether it has the properties that are ours.
    """

    vectors: Mapping[str, VectorSpec]
    types: Mapping[str, str]
    unnamed: bool = False
    tenants: bool = False
    prepared: bool = True

    @classmethod
    def of(cls, collection: Collection) -> "Layout":
        """Return the layout of a collection that need not be there."""
        vectors = {spec.name: spec for spec in collection.vectors}
        return cls(
            vectors,
            property_types(collection.options.get("properties")),
            tenants=has_tenants(collection.options),
        )

    def place(self, key: Key) -> "Place":
        """Return where a key's point is.

        Raises:
            RecordError: The class has tenants, and none can have the namespace's name.
        """
        if not self.tenants:
            return Place("", native_id(key, CAPABILITIES))
        if not _TENANT.fullmatch(key.namespace):
            raise RecordError(
                f"{key}: the class has tenants, and no tenant can be called {key.namespace!r}"
            )
        return Place(key.namespace, native_id(key, _WITH_TENANTS))

    def own_id(self, key: Key) -> UUID:
        """Return the id that a key has in this class."""
        return native_id(key, _WITH_TENANTS if self.tenants else CAPABILITIES)


class Place(NamedTuple):
    """A tenant, ``""`` where there are none, and an id in it."""

    tenant: str
    id: UUID


def native_id(key: Key, capabilities: Capabilities) -> UUID:
    """Return a key's UUID, its own or the one made of the whole key."""
    found = target_id(key, capabilities)
    if not isinstance(found, UUID):
        raise RecordError(f"{key} has no UUID")  # cannot be: no other type is native
    return found


def property_types(properties: Any) -> dict[str, str]:
    """Return the data types of a schema's properties, without ours."""
    if not isinstance(properties, list | tuple):
        return {}
    return {
        found["name"]: found["dataType"][0]
        for found in properties
        if found["name"] not in OWN_PROPERTIES
    }


def has_tenants(options: Mapping[str, Any]) -> bool:
    """Whether a schema says that objects lie in tenants."""
    tenancy = options.get("multiTenancyConfig")
    return isinstance(tenancy, Mapping) and bool(tenancy.get("enabled"))
