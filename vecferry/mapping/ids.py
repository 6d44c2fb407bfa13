"""Which id a point has in the target: the specification is ``docs/target-ids.md``.

The function lives beside the stores, which need it to write and to read back;
this is its public door, and what a plan asks about a whole collection.
"""

from vecferry.model import Collection
from vecferry.ports import Capabilities
from vecferry.stores.identity import NAMESPACE, hashed_id, is_native, target_id

__all__ = ["NAMESPACE", "hashed_id", "is_native", "keeps_ids", "target_id"]


def keeps_ids(source: Collection, capabilities: Capabilities) -> bool:
    """Whether every id that the source can hold stays the same in the target.

    False where any point's id may become a UUIDv5: the application then asks
    :func:`target_id`, and a ledger of target id to key must stand before the gate
    opens. Judged from the schema alone, so integers count as signed 64 bits.
    """
    if source.namespaces and not capabilities.namespaces:
        return False
    if "int" in source.id_types and capabilities.int_min > 0:
        return False
    return source.id_types <= capabilities.id_types
